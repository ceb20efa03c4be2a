"""`edgemeta verify`: does this machine compute what PyTorch did?"""

from __future__ import annotations

import json
from pathlib import Path

import click

from edgemeta.cli.options import bundle_argument, json_option, threads_option
from edgemeta.cli.table import table
from edgemeta.runner import Runner
from edgemeta.verify import verify as replay


@click.command()
@bundle_argument
@threads_option
@json_option
def verify(bundle: Path, threads: int | None, as_json: bool) -> None:
    """Replay BUNDLE's recorded episode here and compare with what PyTorch computed.

    Exit code 0 if every tensor is within its limit, 1 if not, 2 if the bundle is damaged.

    \b
    Example:
      edgemeta verify bundles/glyphs
    """
    runner = Runner(bundle, threads=threads)
    found = replay(runner)
    if as_json:
        groups = {
            group: {"largest": d.largest, "limit": d.limit, "tensor": d.tensor}
            for group, d in found.items()
        }
        click.echo(json.dumps({"bundle": runner.fingerprint, "differences": groups}))
        return
    rows = [[group, d.tensor, f"{d.largest:.2g}", f"{d.limit:.2g}"] for group, d in found.items()]
    click.echo(table(["compared", "nearest to its limit", "difference", "limit"], rows))
    click.echo(f"{bundle}: this runtime computes what PyTorch did")
