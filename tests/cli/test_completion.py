"""Tab completes commands, options, tasks and packaged bundles, and never shows an error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgemeta.cli import COMMANDS
from edgemeta.device.packaged import names
from tests.cli.conftest import Call

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


@pytest.fixture
def complete(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Return a function that completes the last of some words as bash would have it."""

    def run(*words: object) -> object:
        monkeypatch.setenv("_EDGEMETA_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", " ".join(map(str, ("edgemeta", *words))))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        return call()

    return run  # type: ignore[return-value]


def test_commands(complete: Call) -> None:
    assert complete("").out.split() == [f"plain,{name}" for name in COMMANDS]
    assert complete("in").out.split() == ["plain,inspect"]
    assert complete("data", "").out.split() == ["plain,check", "plain,preview"]


def test_options(complete: Call) -> None:
    assert complete("adapt", "--st").out.split() == ["plain,--steps", "plain,--state"]


@pytest.mark.parametrize("command", ["adapt", "predict", "eval", "verify", "inspect", "bench"])
def test_bundles(complete: Call, command: str) -> None:
    found = complete(command, "").out.split()
    assert [f"plain,{name}" for name in names()] == found[:-1]
    assert found[-1] == "dir,"
    assert complete(command, "omni").out.split() == ["plain,omniglot", "dir,omni"]


def test_tasks(complete: Call) -> None:
    for words in (("train", "omni"), ("eval", "omniglot", "omni")):
        found = complete(*words).out.split()
        assert found == ["plain,omniglot", "plain,omniglot-vinyals", "file,omni"]


def test_a_wrong_command_stays_quiet(complete: Call) -> None:
    done = complete("nonsense", "--")
    assert "Error" not in done.out + done.err


def test_completing_a_command_imports_none() -> None:
    """A shell waits for it; on a device, torch is not there to be imported."""
    script = (
        "import sys\nfrom edgemeta.cli import main\ntry:\n    main()\nexcept SystemExit:\n"
        "    assert not {'numpy', 'onnxruntime', 'torch'} & set(sys.modules), 'imported'\n"
    )
    request = {"_EDGEMETA_COMPLETE": "zsh_complete", "COMP_WORDS": "edgemeta tr", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, **request},
        check=True,
    )
    assert done.stdout.split()[:2] == ["plain", "train"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_documented_line_gives_a_script(
    call: Call, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    instruction = f"{shell}_source"
    assert instruction in PAGE.read_text()
    monkeypatch.setenv("_EDGEMETA_COMPLETE", instruction)
    if shell == "bash":  # click asks bash itself for its version
        monkeypatch.setattr("click.shell_completion.BashComplete._check_version", lambda *_: None)
    assert f"_EDGEMETA_COMPLETE={shell}_complete" in call().out
