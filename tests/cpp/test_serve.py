"""`edgemeta-cpp serve`: one answer for each request, whatever went wrong before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from edgemeta.bundle import LOSSES, SELFTEST, next_name, prediction_name
from edgemeta.bundle.selftest import read_selftest
from edgemeta.measure.verify import compare, tolerance
from tests.cpp.conftest import Bundle, Tool


def answers(tool: Tool, *requests: object) -> list[dict[str, Any]]:
    lines = [r if isinstance(r, str) else json.dumps(r) for r in requests]
    done = tool("serve", "--threads", 1, given="".join(f"{line}\n" for line in lines))
    assert (done.code, done.err) == (0, "")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert len(found) == len(lines)
    return found


def test_an_episode_is_replayed(tool: Tool, bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    episode = bundle.path / SELFTEST
    loaded, replayed = answers(
        tool,
        {"op": "load", "bundle": str(bundle.path)},
        {"op": "replay", "episode": str(episode), "out": str(out), "repeats": 3},
    )
    assert set(loaded) == {"runtime", "version"}
    assert loaded["version"].startswith("1.")
    assert {name: len(ms) for name, ms in replayed["ms"].items()} == {"adapt": 3, "predict": 3}
    assert min(map(min, replayed["ms"].values())) > 0
    manifest = bundle.runner.manifest
    recorded = read_selftest(bundle.path, manifest)
    want = {next_name(name): result for name, result in recorded.state.items()}
    want |= {LOSSES: recorded.losses, prediction_name(manifest.task): recorded.prediction}
    got = load_file(out)
    assert set(got) == set(want)
    assert compare(got, want, *tolerance(manifest)).passed


def test_the_bundles_own_episode_is_checked(tool: Tool, omniglot: Bundle, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(omniglot.path, tmp_path / "bundle"))
    content = (copy / SELFTEST).read_bytes()
    (copy / SELFTEST).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    replay = {"op": "replay", "episode": str(copy / SELFTEST), "out": str(tmp_path / "out")}
    _, answer = answers(tool, {"op": "load", "bundle": str(copy)}, replay)
    assert "selftest.safetensors is damaged: got sha256 " in answer["error"]


def test_it_goes_on_after_an_error(tool: Tool, omniglot: Bundle, tmp_path: Path) -> None:
    load = {"op": "load", "bundle": str(omniglot.path)}
    replay = {
        "op": "replay",
        "episode": str(omniglot.path / SELFTEST),
        "out": str(tmp_path / "out.safetensors"),
        "repeats": 1,
    }
    wrong: list[object] = [
        replay,  # nothing is loaded yet
        "no JSON",
        "[]",
        {"no": "op"},
        {"op": "other"},
        {"op": "load", "bundle": str(tmp_path)},
        {"op": "load", "bundle": 3},
    ]
    later: list[object] = [
        replay | {"episode": str(tmp_path / "absent")},
        replay | {"episode": str(omniglot.path / "manifest.json")},
        replay | {"out": str(tmp_path / "absent" / "out")},
        replay | {"repeats": 0},
    ]
    found = answers(tool, *wrong, load, *later, replay)
    assert "version" in found.pop(len(wrong))
    assert "ms" in found.pop()
    for answer in found:
        assert set(answer) == {"error"}
        assert answer["error"]
        assert "\n" not in answer["error"]
