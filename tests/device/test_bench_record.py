"""What was measured elsewhere is kept beside a bundle, and compared with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemeta import BundleError, EdgemetaError, Runner
from edgemeta.bundle import BENCH
from edgemeta.measure.bench import Latency, Speed
from edgemeta.measure.bench_record import BenchRecord, machine, ratios, read_record, write_record

FAST = Speed(1, 5, 1, Latency(1.0, 2.0), Latency(0.5, 0.6))
SLOW = Speed(1, 5, 1, Latency(3.0, 9.0), Latency(0.25, 0.6))
LARGE = replace(FAST, shots=5, samples=25)


def test_a_record_comes_back_and_changes_no_fingerprint(bundle_copy: Path) -> None:
    before = Runner(bundle_copy).fingerprint
    assert read_record(bundle_copy, before) is None
    record = BenchRecord.here(before, 1, [FAST, LARGE])
    assert record.machine == machine() != ""
    write_record(bundle_copy, record)
    assert read_record(bundle_copy, before) == record
    assert Runner(bundle_copy).fingerprint == before


def test_the_ratio_is_here_over_there_at_the_same_size() -> None:
    there = BenchRecord.here("f", 1, [FAST, LARGE])
    more_steps = replace(SLOW, steps=2)
    (found,) = ratios([SLOW, more_steps], there)
    assert (found.adapt, found.predict) == (3.0, 0.5)
    assert (found.here, found.there) == (SLOW, FAST)


DAMAGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "not an object": lambda record: [record],
    "another bundle": lambda record: record | {"bundle": "0"},
    "an unknown field": lambda record: record | {"more": 1},
    "a missing field": lambda record: {n: v for n, v in record.items() if n != "speeds"},
    "a time of zero": lambda record: (
        record | {"speeds": [record["speeds"][0] | {"adapt": {"p50": 0, "p95": 1}}]}
    ),
    "a time of text": lambda record: (
        record | {"speeds": [record["speeds"][0] | {"adapt": {"p50": "1", "p95": 1}}]}
    ),
    "a size of text": lambda record: record | {"speeds": [record["speeds"][0] | {"steps": "1"}]},
    "a machine that is a list": lambda record: record | {"machine": ["x"]},
    "too large": lambda record: record | {"machine": "x" * 2**16},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record(tmp_path: Path, damage: Callable[[dict[str, Any]], Any]) -> None:
    write_record(tmp_path, BenchRecord.here("f", None, [FAST]))
    assert read_record(tmp_path, "f") is not None
    record = json.loads((tmp_path / BENCH).read_text())
    (tmp_path / BENCH).write_text(json.dumps(damage(record)))
    with pytest.raises(BundleError, match=r"bench\.json cannot be used.*or remove the file"):
        read_record(tmp_path, "f")


def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(EdgemetaError, match="cannot write"):
        write_record(tmp_path / "nowhere", BenchRecord.here("f", 1, [FAST]))
