"""A few hundred damaged files of each sort; `tests.fuzz.campaign` feeds hundreds of thousands."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edgemeta.bundle import ADAPT, STATE_DIGEST_KEY
from edgemeta.bundle._tensor_file import read_tensors
from tests.fuzz.campaign import RESULT
from tests.fuzz.mutations import onnx_by_structure
from tests.fuzz.sessions import run_sessions
from tests.fuzz.targets import BUNDLE, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_accepted(name: str) -> None:
    assert all(map(TARGETS[name].accepts, TARGETS[name].seeds()))


@pytest.mark.parametrize("name", TARGETS)
@given(seed=st.integers(0, 2**32), rounds=st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_a_damaged_file_is_refused_or_harmless(name: str, seed: int, rounds: int) -> None:
    target, rng = TARGETS[name], random.Random(seed)  # noqa: S311
    content = rng.choice(target.seeds())
    for _ in range(rounds):
        content = target.mutated(content, rng)
    target.accepts(content)


@pytest.mark.parametrize("name", TARGETS)
@given(content=st.binary(max_size=300))
@example(content=b"")
@example(content=b"\0" * 8)
@example(content=b"\xff" * 16)
@example(content=b'{"__metadata__":null}'.rjust(29, b"\0").replace(b"\0" * 8, b"\x15" + b"\0" * 7))
@settings(max_examples=100, deadline=None)
def test_noise_is_refused(name: str, content: bytes) -> None:
    assert not TARGETS[name].accepts(content)


def test_damage_that_a_reader_accepts_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS["state"]
    (content,) = target.seeds()
    damaged = content[:-1] + bytes([content[-1] ^ 0x80])  # the sign of a number
    assert not target.accepts(damaged)
    metadata, _ = read_tensors(content)
    monkeypatch.setattr("edgemeta.bundle.state.digest", lambda *_: metadata[STATE_DIGEST_KEY])
    assert target.accepts(content)
    with pytest.raises(AssertionError):
        target.accepts(damaged)


def test_structural_mutations_often_pass_for_the_real_thing() -> None:
    """Else the fuzzing would only ever test the first check."""
    rng = random.Random(0)  # noqa: S311
    content = (BUNDLE / ADAPT).read_bytes()
    passed = sum(TARGETS["graph"].accepts(onnx_by_structure(content, rng)) for _ in range(60))
    assert 10 < passed < 60


def test_what_passes_does_not_crash_onnxruntime() -> None:
    found = run_sessions(40, seed=1)
    assert found["loaded"] > 0
    assert found["refused_by_reader"] > 0
    assert found["crashes"] == 0


def test_the_campaign_was_large_enough_and_found_nothing() -> None:
    found = json.loads(RESULT.read_text())
    assert found["inputs"] >= 200_000
    assert found["crashes"] == 0
    assert found["longest_ms"] < 1000
    assert found["targets"]["session"]["hangs"] == 0
