"""`verify` passes on a sound bundle, and goes red on one that computes something else."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file

from edgemeta import BundleError, ParityError, Runner
from edgemeta.bundle import MANIFEST, SELFTEST, FileRecord, next_name, sample_names
from edgemeta.bundle._tensor_file import Tensors, read_tensors
from edgemeta.bundle.files import read_manifest
from edgemeta.bundle.selftest import Sampled, read_selftest
from edgemeta.device.runner import Learner
from edgemeta.measure.verify import verify
from tests.cases import CASE, CASES, Case, Compile
from tests.manifests import rewrite


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_sound_bundle_passes(compiled: Compile, case: Case) -> None:
    runner = compiled(case).runner
    found = verify(runner)
    assert list(found) == ["state", "losses", "logits" if runner.manifest.ways else "output"]
    assert all(difference.passed for difference in found.values())
    # A limit of zero would pass on nothing, one of a thousandth on anything.
    assert all(0 < d.limit < 1e-2 for d in found.values())


Change = Callable[[Tensors], object]


def rewrite_selftest(bundle: Path, change: Change) -> None:
    """Change what is recorded, and let the manifest agree with the changed file."""
    path = bundle / SELFTEST
    _, tensors = read_tensors(path.read_bytes())
    change(tensors)
    save_file(tensors, path)
    manifest, _ = read_manifest(bundle)
    files = dict(manifest.files) | {SELFTEST: FileRecord.of(path.read_bytes())}
    (bundle / MANIFEST).write_bytes(replace(manifest, files=files).to_json())


def scale(name: str, factor: float) -> Change:
    return lambda t: t.update({name: np.float32(factor) * t[name]})


LARGE = "body.0.weight"
"""(32, 784): the selftest has samples of it."""
VALUES, PLACES, RMS = sample_names(next_name(LARGE))


@pytest.mark.parametrize("name", ["head.weight.next", VALUES, RMS, "losses", "logits"])
def test_a_result_that_is_slightly_off_is_red(bundle_copy: Path, name: str) -> None:
    # Down, since a root mean square above the largest value is no selftest at all.
    rewrite_selftest(bundle_copy, scale(name, 0.999))
    with pytest.raises(ParityError, match=f"{name.partition('.next')[0]} differs"):
        verify(Runner(bundle_copy))


Plant = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], None]


def _backwards(adapted: NDArray[Any], init: NDArray[Any], places: NDArray[Any]) -> None:
    seen = adapted[places]
    adapted[:] = 2 * init - adapted
    adapted[places] = seen


def _frozen(adapted: NDArray[Any], init: NDArray[Any], places: NDArray[Any]) -> None:
    seen = adapted[places]
    adapted[:] = init
    adapted[places] = seen


def _one_row(adapted: NDArray[Any], init: NDArray[Any], places: NDArray[Any]) -> None:
    seen = adapted[places]
    row = int(np.abs(adapted - init).reshape(32, 784).sum(1).argmax())  # some are dead
    adapted[row * 784 : (row + 1) * 784] = init[row * 784 : (row + 1) * 784]
    adapted[places] = seen


def _one_value(adapted: NDArray[Any], init: NDArray[Any], places: NDArray[Any]) -> None:
    adapted[[i for i in range(1000) if i not in places][-1]] += 0.02


@pytest.mark.parametrize("plant", [_backwards, _frozen, _one_row, _one_value])
def test_a_wrong_gradient_between_the_samples_is_red(
    classifier: Runner, monkeypatch: pytest.MonkeyPatch, plant: Plant
) -> None:
    recorded = read_selftest(classifier.path, classifier.manifest)
    sampled = recorded.state[LARGE]
    assert isinstance(sampled, Sampled)
    support = (recorded.support_x, recorded.support_y, recorded.steps)
    state = classifier.adapt(*support, guard=False).state_dict()
    init = classifier.init.state_dict()[LARGE].reshape(-1)
    monkeypatch.setattr(Learner, "state_dict", lambda self: state)
    assert verify(classifier)["state"].passed
    plant(state[LARGE].reshape(-1), init, sampled.places)
    with pytest.raises(ParityError, match=f"{LARGE} differs"):
        verify(classifier)


def _set(name: str, index: int, value: float) -> Change:
    return lambda t: t[name].__setitem__(index, value)


DAMAGE: dict[str, tuple[Change, str]] = {
    "no values": (lambda t: t.pop(VALUES), "missing or unknown tensors"),
    "no places": (lambda t: t.pop(PLACES), "missing or unknown tensors"),
    "no rms": (lambda t: t.pop(RMS), "missing or unknown tensors"),
    "both forms": (
        lambda t: t.update({next_name(LARGE): np.zeros((32, 784), np.float32)}),
        "missing or unknown tensors",
    ),
    "neither form": (
        lambda t: [t.pop(name) for name in (VALUES, PLACES, RMS)],
        "missing or unknown tensors",
    ),
    "samples of the logits": (
        lambda t: t.update(dict.fromkeys(sample_names("logits"), t.pop("logits"))),
        "missing or unknown tensors",
    ),
    "a value less": (lambda t: t.update({VALUES: t[VALUES][:-1]}), "float32 (48,), not"),
    "a place less": (lambda t: t.update({PLACES: t[PLACES][:-1]}), "int32 (48,), not"),
    "a rms less": (lambda t: t.update({RMS: t[RMS][:-1]}), "float32 (48,), not"),
    "long places": (lambda t: t.update({PLACES: t[PLACES].astype(np.int64)}), "int64"),
    "a place in another block": (_set(PLACES, 1, 0), "not one place in each block"),
    "a place below": (_set(PLACES, 0, -1), "not one place in each block"),
    "a place beyond": (_set(PLACES, 48, 32 * 784), "not one place in each block"),
    "a value that is no number": (_set(VALUES, 3, np.nan), "not finite"),
    "a rms that is no number": (_set(RMS, 3, np.inf), "not finite"),
    "a rms below zero": (_set(RMS, 3, -1), "root mean square outside 0.."),
    "a rms above all values": (_set(RMS, 3, 1e3), "root mean square outside 0.."),
}


@pytest.mark.parametrize(("change", "reason"), DAMAGE.values(), ids=DAMAGE.keys())
def test_samples_that_are_damaged(bundle_copy: Path, change: Change, reason: str) -> None:
    rewrite_selftest(bundle_copy, change)
    with pytest.raises(BundleError, match=f"breaks the contract.*{re.escape(reason)}") as caught:
        verify(Runner(bundle_copy))
    assert str(caught.value).isprintable()


def test_a_selftest_of_whole_results_is_read_too(bundle_copy: Path, classifier: Runner) -> None:
    """As bundles have it that were made before there were samples."""
    recorded = read_selftest(classifier.path, classifier.manifest)
    support = (recorded.support_x, recorded.support_y, recorded.steps)
    whole = classifier.adapt(*support, guard=False).state_dict()[LARGE]

    def change(tensors: Tensors) -> None:
        for name in (VALUES, PLACES, RMS):
            del tensors[name]
        tensors[next_name(LARGE)] = whole

    rewrite_selftest(bundle_copy, change)
    assert verify(Runner(bundle_copy))["state"].passed


def test_without_queries_the_support_samples_are_predicted(
    bundle_copy: Path, classifier: Runner
) -> None:
    recorded = read_selftest(classifier.path, classifier.manifest)
    learner = classifier.adapt(recorded.support_x, recorded.support_y, recorded.steps, guard=False)

    def change(tensors: Tensors) -> None:
        tensors.pop("query_x", None)
        tensors["logits"] = learner.predict_logits(recorded.support_x)

    rewrite_selftest(bundle_copy, change)
    assert verify(Runner(bundle_copy))["logits"].passed
    rewrite_selftest(bundle_copy, lambda t: t.update(logits=t["logits"] * np.float32(1.001)))
    with pytest.raises(ParityError, match="logits differs"):
        verify(Runner(bundle_copy))


@pytest.mark.parametrize("name", ["head.weight.next", "losses", "logits"])
def test_a_recorded_value_that_is_no_number(bundle_copy: Path, name: str) -> None:
    rewrite_selftest(bundle_copy, scale(name, np.nan))
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
    def change(tensors: Tensors) -> None:
        tensors.clear()
        tensors["support_x"] = np.zeros((1, 28, 28), np.uint8)

    rewrite_selftest(bundle_copy, change)
    with pytest.raises(BundleError, match="breaks the contract"):
        verify(Runner(bundle_copy))


@pytest.mark.parametrize(
    "parity", [{}, {"atol": 1e-5}, {"atol": "x", "rtol": 1}, {"atol": 0, "rtol": 1}]
)
def test_a_parity_record_that_bounds_nothing(bundle_copy: Path, parity: dict[str, object]) -> None:
    rewrite(bundle_copy, lambda record: record.update(parity=parity))
    with pytest.raises(BundleError, match="breaks the contract: got parity"):
        Runner(bundle_copy)
