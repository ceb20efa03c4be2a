"""How commands end: the exit code, one line of error at most, and nothing on a closed pipe."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from edgemeta.cli import EXIT_CODES, group
from edgemeta.device.packaged import BUNDLES
from tests.cli.conftest import Call, interruptible
from tests.manifests import rewrite

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def every_command() -> list[tuple[str, ...]]:
    """The words of each command, those of groups included."""

    def below(words: tuple[str, ...], command: click.Command) -> list[tuple[str, ...]]:
        if not isinstance(command, click.Group):
            return [words]
        context = click.Context(command)
        found = []
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += below((*words, name), inner)
        return found

    return below((), group)


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_0_every_command_explains_itself(call: Call, words: tuple[str, ...]) -> None:
    shown = call(*words, "--help")
    assert shown.code == 0
    assert shown.err == ""
    example = shown.out.partition("Example:\n")[2]
    assert f"edgemeta {' '.join(words)}" in example
    assert "\\b" not in shown.out


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_2_every_command_refuses_what_it_does_not_know(call: Call, words: tuple[str, ...]) -> None:
    done = call(*words, "--no-such-option")
    assert done.code == 2
    assert done.out == ""
    assert re.fullmatch(r"Error: no such option: --no-such-option[^\n]*\n", done.err)


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyboardInterrupt(), 130), (OSError(28, "No space left on device"), 1)],
    ids=["130", "1"],
)
def test_interrupted_or_failed(
    call: Call,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    error: BaseException,
    code: int,
) -> None:
    def fail(context: click.Context) -> None:
        raise error

    monkeypatch.setattr(_command(words), "invoke", fail)
    done = call(*words, *_needed(_command(words)))
    assert done.code == code
    assert done.out == ""
    assert done.err.strip().count("\n") == 0, done.err
    assert done.err.strip().startswith("Error: ")


def _command(words: tuple[str, ...]) -> click.Command:
    command: click.Command = group
    for word in words:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), word)
        assert inner is not None
        command = inner
    return command


def _needed(command: click.Command) -> list[str]:
    """Return the least that a command can be called with."""
    words: list[str] = []
    for parameter in command.params:
        if parameter.required:
            value = "omniglot" if parameter.name in ("bundle", "what") else "somewhere"
            words += [*([parameter.opts[0]] if isinstance(parameter, click.Option) else []), value]
    return words or (["check"] if isinstance(command, click.Group) else [])


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_option_says_what_it_does_and_its_default(words: tuple[str, ...]) -> None:
    for option in _command(words).params:
        if not isinstance(option, click.Option) or option.name in ("help", "as_json"):
            continue
        assert option.help, option.name
        if isinstance(option.default, int | float | str | tuple) and option.default:
            assert option.show_default or "[default" in option.help, option.name


def test_1_a_bundle_that_this_machine_computes_otherwise(call: Call, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(BUNDLES / "omniglot", tmp_path / "bundle"))
    rewrite(bundle, lambda record: record["parity"].update(atol=1e-30, rtol=0))
    for options in ([], ["--json"]):
        done = call("verify", bundle, *options)
        assert done.code == 1
        assert done.out == ""
        assert "does not compute what PyTorch did" in done.err


def test_130_ctrl_c() -> None:
    process = interruptible("bench", "omniglot", "--repeats", "1000000")
    time.sleep(0.7)  # at any time from here on, importing included
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert err.strip() == "Error: interrupted"


def test_no_command_is_help(call: Call) -> None:
    for words in ((), ("data",)):
        done = call(*words)
        assert done.code == 2
        assert done.err.startswith("Usage: edgemeta")
        assert done.err.count("\n") > 5


def test_the_codes_are_documented(call: Call) -> None:
    shown = " ".join(call("--help").out.split())
    text = PAGE.read_text()
    for code, meaning in EXIT_CODES.items():
        assert f"{code} {meaning}" in shown
        assert f"| {code} | {meaning}" in text


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts `edgemeta`."""

    def run(*arguments: object, **settings: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "edgemeta", *map(str, arguments)]
        return subprocess.Popen(command, text=True, stderr=subprocess.PIPE, **settings)  # type: ignore[call-overload,no-any-return]

    return run


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_goes_away(
    start: Callable[..., subprocess.Popen[str]], options: list[str]
) -> None:
    """As `edgemeta inspect omniglot | head -1`; here the reader is gone before the first line."""
    process = start("inspect", BUNDLES / "omniglot", *options, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait() == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_the_output(start: Callable[..., subprocess.Popen[str]]) -> None:
    with Path("/dev/full").open("w") as full:
        process = start("inspect", BUNDLES / "omniglot", stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1
    assert err == "Error: cannot write the output: No space left on device\n"


def test_a_terminal_that_lacks_a_character(
    start: Callable[..., subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "cp437")  # it has ±, and no Arabic
    process = start("inspect", BUNDLES / "omniglot" / "قف")
    _, err = process.communicate()
    assert process.returncode == 2
    assert "omniglot/??" in err


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_speaks_json(words: tuple[str, ...]) -> None:
    assert "--json" in {name for p in _command(words).params for name in p.opts}


def test_json_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    from edgemeta.cli._options import say_json

    say_json({"mean": float("nan"), "losses": [1.0, float("inf")], "name": "قف"})
    assert json.loads(capsys.readouterr().out) == {
        "mean": None,
        "losses": [1.0, None],
        "name": "قف",
    }
