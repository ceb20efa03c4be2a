"""The command line; each command in its own file, imported only when it is called."""

from __future__ import annotations

import os
import sys

import click

from edgemeta import __version__
from edgemeta.cli._groups import LazyGroup
from edgemeta.cli._table import printable
from edgemeta.errors import EdgemetaError, did_you_mean

COMMANDS = {
    "data": "Check a data set before training on it.",
    "train": "Meta-train an init on tasks.",
    "export": "Compile a run into a bundle.",
    "adapt": "Adapt a bundle to a support set.",
    "predict": "Predict with a bundle and an adapted state.",
    "eval": "Measure a run or a bundle on sampled episodes.",
    "baselines": "Compare a run with baselines without meta-learning.",
    "report": "Write one page about a run.",
    "verify": "Replay a bundle's selftest on this machine.",
    "sign": "Sign a bundle.",
    "inspect": "Show what is in a bundle.",
    "bench": "Measure latency and memory of a bundle.",
}
EXIT_CODES = {0: "done", 1: "a failure", 2: "bad input or usage", 130: "interrupted by Ctrl-C"}
COMPLETION = "_EDGEMETA_COMPLETE"  # click's variable: the shell asks for completions
DESK_PACKAGES = ("PIL", "torch", "onnx", "onnx_ir", "onnxscript", "matplotlib", "tomli_w", "tqdm")

_EPILOG = f"""\b
Example:
  edgemeta adapt omniglot drawings --out mine.safetensors

Exit codes: {", ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items())}."""


@click.group(cls=LazyGroup, summaries=COMMANDS, epilog=_EPILOG)
@click.version_option(__version__, prog_name="edgemeta")
def group() -> None:
    """Meta-train on the desk, adapt on the device."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    _show_what_the_terminal_can()
    try:
        group.main(arguments, prog_name="edgemeta", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        _exit(_one_line(error), error.exit_code)
    except EdgemetaError as error:
        _exit(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in DESK_PACKAGES:
            raise
        _exit(f'this needs {error.name}, which is not installed; pip install "edgemeta[desk]"', 2)
    except (click.Abort, KeyboardInterrupt):
        _exit("interrupted", 130)
    except OSError as error:  # a full disk, a file that is not ours: no bug of the program
        _exit(f"{error.filename or 'cannot write the output'}: {error.strerror or error}", 1)


def _show_what_the_terminal_can() -> None:
    """Show a character that the terminal lacks as "?" instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _one_line(error: click.ClickException) -> str:
    """Return click's message in our form: what is wrong, then the next step."""
    text = error.format_message()
    if isinstance(error, click.NoSuchOption):
        near = did_you_mean(error.option_name, error.possibilities or ())
        text = f"no such option: {error.option_name}" + (f"; {near}" if near else "")
    if isinstance(error, click.UsageError) and error.ctx is not None and "; " not in text:
        text = f"{text.rstrip('.')}; see {error.ctx.command_path} --help"
    return text


def _exit(message: str, code: int) -> None:
    if COMPLETION not in os.environ:  # nobody's prompt is to be filled with errors
        click.echo(f"Error: {printable(' '.join(message.split()))}", err=True)
    sys.exit(code)
