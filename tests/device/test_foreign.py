"""Graphs with int8, recurrent, branching and scanning ops, and waveforms of 16 bits, are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemeta import InputError, Runner
from edgemeta.bundle import ADAPT
from edgemeta.measure.verify import verify
from tests.device.foreign import OPS, foreign_bundle, waveforms


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign_bundle(tmp_path_factory.mktemp("foreign"))


def test_they_are_what_is_run(foreign: Path) -> None:
    runner = Runner(foreign)
    wanted = {"QLinearConv", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "Scan", "If"}
    assert wanted | {"LSTM", "ReduceMax", "QuantizeLinear"} <= set(runner.manifest.ops[ADAPT])
    assert all(name in OPS for name in wanted)
    assert all(difference.passed for difference in verify(runner).values())


def test_waveforms_are_taken_as_they_are(foreign: Path) -> None:
    runner = Runner(foreign)
    x, y = waveforms(6, seed=1)
    learner = runner.adapt(x, y, steps=100)
    assert learner.predict(x).tolist() == y.tolist()
    with pytest.raises(InputError, match="scaling happens inside the bundle"):
        runner.adapt(x / 2**15, y)
