"""Other people's ops and waveforms of 16 bits in C++."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgemeta import Runner
from tests.cpp.conftest import Save, Tool
from tests.device.foreign import foreign_bundle, waveforms


def test_they_are_taken_and_compute_the_same(tool: Tool, save: Save, tmp_path: Path) -> None:
    path = foreign_bundle(tmp_path)
    assert "computes what PyTorch did" in tool("verify", path).out
    x, y = waveforms(6, seed=1)
    out = tmp_path / "state.safetensors"
    support = save(x=x, y=y)
    record = tool("adapt", path, support, "--out", out, "--json").record
    learner = Runner(path).adapt(x, y)
    np.testing.assert_allclose(record["losses"], learner.losses, rtol=1e-5, atol=1e-6)
    done = tool("predict", path, save(x=x), "--state", out, "--json").record
    want = learner.predict_proba(x)
    np.testing.assert_allclose(done["probabilities"], want, rtol=1e-5, atol=1e-6)
    assert (
        "wrong dtype: got int32, expected int16"
        in tool("adapt", path, save(x=x.astype(np.int32), y=y), "--out", out).refused()
    )
