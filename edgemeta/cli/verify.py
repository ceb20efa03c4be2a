"""`edgemeta verify`: does this machine compute what PyTorch did?"""

from __future__ import annotations

from pathlib import Path

import click

from edgemeta.cli._options import bundle_argument, json_option, say_json, threads_option
from edgemeta.cli._table import table
from edgemeta.device.runner import Runner
from edgemeta.measure.verify import verify as replay


@click.command()
@bundle_argument
@threads_option
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="A public key, a PEM file: refuse BUNDLE unless it was signed with its private key.",
)
@click.option(
    "--operators",
    type=click.Path(path_type=Path),
    metavar="CONFIG",
    help="A required_operators.config: check that a build of onnxruntime with only these operators "
    "runs BUNDLE. Needs torch.",
)
@json_option
def verify(
    bundle: Path, threads: int | None, key: Path | None, operators: Path | None, as_json: bool
) -> None:
    """Replay BUNDLE's recorded episode here and compare with what PyTorch computed.

    Exit code 0 if every tensor is within its limit, 1 if not, or if CONFIG lacks an operator, 2 if
    the bundle is damaged, or not signed with the key.

    \b
    Example:
      edgemeta verify omniglot
      edgemeta verify bundles/glyphs --key public.pem
      edgemeta verify bundles/glyphs --operators ort/required_operators.config
    """
    runner = Runner(bundle, threads=threads, key=key)
    found = replay(runner)
    unused = None if operators is None else _unused(bundle, operators)
    if as_json:
        groups = {
            group: {"largest": d.largest, "limit": d.limit, "tensor": d.tensor}
            for group, d in found.items()
        }
        facts = {
            "bundle": runner.fingerprint,
            "sealed": runner.manifest.seal is not None,
            "signed_with": key and str(key),
        }
        checked = {} if unused is None else {"unused_operators": unused}
        say_json({**facts, "differences": groups, **checked})
        return
    rows = [[group, d.tensor, f"{d.largest:.2g}", f"{d.limit:.2g}"] for group, d in found.items()]
    click.echo(table(["compared", "nearest to its limit", "difference", "limit"], rows))
    click.echo(f"{bundle}: this runtime computes what PyTorch did")
    if runner.manifest.seal is None:
        click.echo(
            f"{bundle}: the manifest has no seal, as older bundles: damage to it may go unnoticed"
        )
    else:
        click.echo(f"{bundle}: the manifest is what its seal says")
    if key is not None:
        click.echo(f"{bundle}: signed with the private key of {key}")
    if unused is not None:
        beyond = f"; not needed: {', '.join(unused)}" if unused else " and nothing else"
        click.echo(f"{operators}: has all operators that {bundle} needs{beyond}")


def _unused(bundle: Path, config: Path) -> list[str]:
    """Check a configuration; return what it lists beyond what the bundle needs."""
    from edgemeta_export.ort_format import check_config

    return [str(operator) for operator in check_config(bundle, config)]
