"""An adaptation that diverges: one clear line, exit code 1, nothing written."""

from __future__ import annotations

from pathlib import Path

from edgemeta.device.packaged import BUNDLES
from tests.cli.conftest import Call


def test_a_rate_too_high(call: Call, support: Path, tmp_path: Path) -> None:
    out = tmp_path / "state.safetensors"
    out.write_text("what was there")
    done = call("adapt", BUNDLES / "omniglot", support, "--out", out, "--lr-scale", 1000)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("Error: adaptation diverged: the support loss rose: got ")
    assert done.err.count("\n") == 1
    assert out.read_text() == "what was there"
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, support.name]


def test_a_rate_beyond_all_sense(call: Call, support: Path, tmp_path: Path) -> None:
    out = tmp_path / "state.safetensors"
    done = call("adapt", BUNDLES / "omniglot", support, "--out", out, "--lr-scale", 1e6)
    assert (done.code, done.out) == (2, "")
    assert "lr_scale is out of range: got 1000000.0, expected 0..1000" in done.err
    assert not out.exists()
