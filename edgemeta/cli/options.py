"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

bundle_argument = click.argument("bundle", type=click.Path(path_type=Path))
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads. [default: one per core]"
)
