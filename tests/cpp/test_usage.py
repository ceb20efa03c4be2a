"""The command line's manners: help, wrong usage, exit codes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgemeta.device.packaged import BUNDLES
from tests.cpp.conftest import Save, Tool

OMNIGLOT = BUNDLES / "omniglot"
COMMANDS = ("verify", "adapt", "predict", "bench", "serve")


def test_help(tool: Tool) -> None:
    overview = tool("--help")
    assert (overview.code, overview.err) == (0, "")
    for command in COMMANDS:
        assert f"  {command} " in overview.out
        told = tool(command, "--help")
        assert (told.code, told.err) == (0, "")
        assert told.out.startswith(f"Usage: edgemeta-cpp {command} ")
        assert "Example:" in told.out
    nothing = tool()
    assert (nothing.code, nothing.out, nothing.err) == (2, "", overview.out)


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("no such command: train", ("train",)),
        ("missing argument: BUNDLE; see edgemeta-cpp verify --help", ("verify",)),
        ("unexpected argument: more", ("verify", OMNIGLOT, "more")),
        ("no such option: --step", ("adapt", OMNIGLOT, "x", "--step", 3)),
        ("--steps requires a value", ("adapt", OMNIGLOT, "x", "--steps")),
        ("missing option: --out", ("adapt", OMNIGLOT, "x")),
        ("--threads must be an integer of at least 1", ("verify", OMNIGLOT, "--threads", 0)),
        ("--threads must be an integer", ("verify", OMNIGLOT, "--threads", "2x")),
        ("--threads must be an integer", ("verify", OMNIGLOT, "--threads", "9" * 30)),
        ("--repeats must be an integer of at least 2", ("bench", OMNIGLOT, "--repeats", 1)),
    ],
)
def test_wrong_usage(tool: Tool, reason: str, arguments: tuple[object, ...]) -> None:
    assert reason in tool(*arguments).refused()


@pytest.mark.parametrize(
    ("reason", "option", "value"),
    [
        ("--lr-scale must be a number: got much", "--lr-scale", "much"),
        ("lr_scale is out of range: got -1, expected 0..1000", "--lr-scale", "-1"),
        ("lr_scale is out of range: got nan", "--lr-scale", "nan"),
        ("steps is out of range: got 10001, expected 0..10000", "--steps", "10001"),
        ("--steps must be an integer of at least 0: got -1", "--steps", "-1"),
        ("ways is out of range: got 1, expected 2..65536", "--ways", "1"),
    ],
)
def test_odd_numbers(
    tool: Tool, save: Save, tmp_path: Path, reason: str, option: str, value: str
) -> None:
    support = save(x=np.zeros((2, 28, 28), np.uint8), y=np.arange(2))
    done = tool("adapt", OMNIGLOT, support, "--out", tmp_path / "out", option, value)
    assert reason in done.refused()


def test_nothing_is_kept_for_telemetry(tool: Tool, tmp_path: Path) -> None:
    """Else onnxruntime keeps an id of the device in the user's cache, and sends what it sees."""
    suppressing = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"}
    environment = {name: value for name, value in os.environ.items() if name not in suppressing}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([tool.binary, "verify", OMNIGLOT], env=environment, check=True)
    assert list(tmp_path.iterdir()) == []


def test_output_that_cannot_be_written(tool: Tool) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [tool.binary, "verify", OMNIGLOT], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (1, "Error: cannot write the output\n")
