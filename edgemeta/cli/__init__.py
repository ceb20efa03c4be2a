"""The command line; each command in its own file, imported only when it is called."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module
from typing import Any

import click

from edgemeta import __version__
from edgemeta.errors import EdgemetaError

COMMANDS = {
    "data": "Check a data set before training on it.",
    "train": "Meta-train an init on tasks.",
    "export": "Compile a run into a bundle.",
    "adapt": "Adapt a bundle to a support set.",
    "predict": "Predict with a bundle and an adapted state.",
    "eval": "Measure a run or a bundle on sampled episodes.",
    "baselines": "Compare a run with what one would do without meta-learning.",
    "report": "Write one page about a run.",
    "verify": "Replay a bundle's selftest on this machine.",
    "sign": "Sign a bundle.",
    "inspect": "Show what is in a bundle.",
    "bench": "Measure latency and memory of a bundle.",
}
DESK_PACKAGES = ("PIL", "torch", "onnx", "onnx_ir", "onnxscript", "matplotlib", "tomli_w", "tqdm")


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of a user's way through them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"edgemeta.cli.{cmd_name}")
        command: click.Command = getattr(module, "eval_" if cmd_name == "eval" else cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, or say which one is near."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {near[0]}?" if near else "see edgemeta --help"
            raise click.UsageError(f"no such command: {args[0]}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, epilog="Exit codes: 0 done, 1 failure, 2 bad input or usage.")
@click.version_option(__version__, prog_name="edgemeta")
def group() -> None:
    """Meta-train on the desk, adapt on the device."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    try:
        group.main(arguments, prog_name="edgemeta", standalone_mode=False)
    except click.ClickException as error:
        _exit(error.format_message(), error.exit_code)
    except EdgemetaError as error:
        _exit(str(error), error.exit_code)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] not in DESK_PACKAGES:
            raise
        _exit(f'this needs {error.name}, which is not installed; pip install "edgemeta[desk]"', 2)
    except (click.Abort, KeyboardInterrupt):
        _exit("interrupted", 130)


def _exit(message: Any, code: int) -> None:
    click.echo(f"Error: {' '.join(str(message).split())}", err=True)
    sys.exit(code)
