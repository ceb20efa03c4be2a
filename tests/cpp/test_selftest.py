"""Selftests that have samples of large results, and damaged ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from edgemeta.bundle import SELFTEST, next_name, sample_names
from edgemeta.bundle._tensor_file import Tensors, read_tensors
from edgemeta.device.packaged import BUNDLES
from edgemeta_export.recording import sampled
from tests.cases import CASE, Compile
from tests.cpp.conftest import Bundle, Tool
from tests.device.crafting import crafted

NAME = next_name("head.weight")
VALUES, PLACES, RMS = sample_names(NAME)
"""(20, 256): ten blocks."""

Change = Callable[[Tensors], object]


def changed(folder: Path, *changes: Change) -> Path:
    """Return the packaged bundle with samples of its largest result, then changed."""
    _, tensors = read_tensors((BUNDLES / "omniglot" / SELFTEST).read_bytes())
    tensors |= sampled(NAME, tensors.pop(NAME), np.random.default_rng(0))
    for change in changes:
        change(tensors)
    return crafted(folder, selftest=save(tensors))


def test_samples_serve_as_well_as_all_values(tool: Tool, omniglot: Bundle, tmp_path: Path) -> None:
    whole, samples = (
        tool("verify", path, "--json", "--threads", 1).record["differences"]["state"]
        for path in (omniglot.path, changed(tmp_path))
    )
    assert samples["limit"] == whole["limit"]
    assert samples["largest"] <= whole["largest"]


def test_what_the_compiler_samples_is_replayed(tool: Tool, compiled: Compile) -> None:
    path = compiled(CASE["mlp-classes"]).runner.path
    _, tensors = read_tensors((path / SELFTEST).read_bytes())
    assert set(sample_names(next_name("body.0.weight"))) <= set(tensors)
    assert "computes what PyTorch did" in tool("verify", path).out


@pytest.mark.parametrize("part", [VALUES, RMS])
def test_samples_that_are_off(tool: Tool, tmp_path: Path, part: str) -> None:
    path = changed(tmp_path, lambda t: t.update({part: t[part] * np.float32(0.999)}))
    assert "head.weight differs: got " in tool("verify", path).refused(code=1)


def _set(name: str, index: int, value: float) -> Change:
    return lambda t: t[name].__setitem__(index, value)


DAMAGE: dict[str, Change] = {
    "neither form": lambda t: [t.pop(name) for name in (VALUES, PLACES, RMS)],
    "no values": lambda t: t.pop(VALUES),
    "no places": lambda t: t.pop(PLACES),
    "no rms": lambda t: t.pop(RMS),
    "a value less": lambda t: t.update({VALUES: t[VALUES][:-1]}),
    "long places": lambda t: t.update({PLACES: t[PLACES].astype(np.int64)}),
    "a place in another block": _set(PLACES, 1, 0),
    "a place below": _set(PLACES, 0, -1),
    "a place beyond": _set(PLACES, 9, 20 * 256),
    "a value that is no number": _set(VALUES, 0, np.nan),
    "a rms below zero": _set(RMS, 0, -1),
    "a rms above all values": _set(RMS, 0, 1e3),
    "a rms that is no number": _set(RMS, 0, np.nan),
}


@pytest.mark.parametrize("change", DAMAGE.values(), ids=DAMAGE.keys())
def test_samples_that_are_damaged(tool: Tool, tmp_path: Path, change: Change) -> None:
    line = tool("verify", changed(tmp_path, change)).refused()
    assert f"the selftest does not fit the bundle: {NAME}" in line


def test_without_queries_the_support_samples_are_predicted(
    tool: Tool, omniglot: Bundle, tmp_path: Path
) -> None:
    def change(tensors: Tensors) -> None:
        x, y, steps = (tensors[name] for name in ("support_x", "support_y", "steps"))
        learner = omniglot.runner.adapt(x, y, int(steps), guard=False)
        del tensors["query_x"]
        tensors["logits"] = learner.predict_logits(x)

    assert tool("verify", changed(tmp_path, change)).code == 0
