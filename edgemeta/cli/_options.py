"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from edgemeta.device.packaged import BUNDLES, names
from edgemeta.errors import BundleError, did_you_mean
from edgemeta.util.strict_json import without_nan


class BundlePath(click.Path):
    """The directory of a bundle, or the name of a packaged one where no such directory is.

    Args:
        wrong: what an error says of anything else.
        wanted: what it says was expected.
    """

    name = "bundle"

    def __init__(
        self, wrong: str = "is no bundle", wanted: str = "a directory that `edgemeta export` wrote"
    ) -> None:
        super().__init__(path_type=Path)
        self.wrong, self.wanted = wrong, wanted

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the directory.

        Raises:
            BundleError: there is none.
        """
        path, packaged = Path(value), names()
        if path.exists():
            return path
        if str(value) in packaged:
            return BUNDLES / path
        raise BundleError(
            f"{value} {self.wrong}",
            got="nothing of that name",
            expected=f"{self.wanted}, or a packaged bundle: {', '.join(packaged)}",
            hint=did_you_mean(str(value), packaged),
        )

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the names of packaged bundles, and directories."""
        named = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return [*named, CompletionItem(incomplete, type="dir")]


bundle_argument = click.argument("bundle", type=BundlePath())
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads. [default: one per core]"
)


def listed(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """Parse "crop,turn".

    Raises:
        click.BadParameter: it names nothing.
    """
    if value is None:
        return None
    found = tuple(name.strip() for name in value.split(",") if name.strip())
    if not found:
        raise click.BadParameter(f"{value!r} is not a list of names such as crop,turn")
    return found


def say_json(record: Mapping[str, Any]) -> None:
    """Print a record as JSON; numbers that are not finite, which JSON lacks, become null."""
    click.echo(json.dumps(without_nan(record), allow_nan=False))
