"""`verify` passes on a sound bundle, and goes red on one that computes something else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from edgemeta import BundleError, ParityError, Runner
from edgemeta.bundle import MANIFEST, SELFTEST, FileRecord
from edgemeta.bundle_files import read_manifest
from edgemeta.runner import Learner
from edgemeta.verify import verify
from tests.cases import CASE, CASES, Case, Compile


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_sound_bundle_passes(compiled: Compile, case: Case) -> None:
    runner = compiled(case).runner
    found = verify(runner)
    assert list(found) == ["state", "losses", "logits" if runner.manifest.ways else "output"]
    assert all(difference.passed for difference in found.values())
    # A limit of zero would pass on nothing, one of a thousandth on anything.
    assert all(0 < d.limit < 1e-2 for d in found.values())


def rewrite_selftest(bundle: Path, name: str, factor: float) -> None:
    """Bend one recorded tensor, and let the manifest agree with the bent file."""
    path = bundle / SELFTEST
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    tensors[name] = np.float32(factor) * tensors[name]
    save_file(tensors, path, metadata)
    manifest, _ = read_manifest(bundle)
    files = dict(manifest.files) | {SELFTEST: FileRecord.of(path.read_bytes())}
    (bundle / MANIFEST).write_bytes(replace(manifest, files=files).to_json())


@pytest.mark.parametrize("name", ["head.weight.next", "body.0.weight.next", "losses", "logits"])
def test_a_result_that_is_slightly_off_is_red(bundle_copy: Path, name: str) -> None:
    rewrite_selftest(bundle_copy, name, 1.001)
    with pytest.raises(ParityError, match=f"{name.removesuffix('.next')} differs"):
        verify(Runner(bundle_copy))


@pytest.mark.parametrize("name", ["head.weight.next", "losses", "logits"])
def test_a_recorded_value_that_is_no_number(bundle_copy: Path, name: str) -> None:
    rewrite_selftest(bundle_copy, name, np.nan)
    with pytest.raises(BundleError, match=r"breaks the contract.*not finite"):
        verify(Runner(bundle_copy))


def test_a_runtime_that_computes_no_number(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(bundle_copy)
    state = runner.adapt(*CASE["mlp-classes"].samples(5, seed=1)).state_dict()
    state["head.weight"][0] = np.nan
    monkeypatch.setattr(Learner, "state_dict", lambda self: state)
    with pytest.raises(ParityError, match=r"head\.weight differs: got inf"):
        verify(runner)


def test_a_selftest_without_one_of_its_tensors(bundle_copy: Path) -> None:
    path = bundle_copy / SELFTEST
    save_file({"support_x": np.zeros((1, 28, 28), np.uint8)}, path)
    manifest, _ = read_manifest(bundle_copy)
    files = dict(manifest.files) | {SELFTEST: FileRecord.of(path.read_bytes())}
    (bundle_copy / MANIFEST).write_bytes(replace(manifest, files=files).to_json())
    with pytest.raises(BundleError, match="breaks the contract"):
        verify(Runner(bundle_copy))


@pytest.mark.parametrize(
    "parity", [{}, {"atol": 1e-5}, {"atol": "x", "rtol": 1}, {"atol": 0, "rtol": 1}]
)
def test_a_parity_record_that_bounds_nothing(bundle_copy: Path, parity: dict[str, object]) -> None:
    path = bundle_copy / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"parity": parity}))
    with pytest.raises(BundleError, match="no usable parity record"):
        verify(Runner(bundle_copy))
