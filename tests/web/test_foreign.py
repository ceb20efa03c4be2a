"""Other people's ops and waveforms of 16 bits on JavaScript's onnxruntime: what Python predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from edgemeta import Runner
from tests.device.foreign import foreign_bundle, waveforms
from tests.web.conftest import Node


def test_they_compute_the_same(node: Node, tmp_path: Path) -> None:
    path = foreign_bundle(tmp_path)
    x, y = waveforms(6, seed=1)
    save_file({"x": x, "y": y}, tmp_path / "support.safetensors")
    result = tmp_path / "result.safetensors"
    support = tmp_path / "support.safetensors"
    found = node.ask("adapt", bundle=path, support=support, queries=support, result=result)
    assert "error" not in found, found
    learner = Runner(path).adapt(x, y)
    got = load_file(result)
    np.testing.assert_allclose(got["logits"], learner.predict_logits(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got["losses"], learner.losses, rtol=1e-4, atol=1e-5)
