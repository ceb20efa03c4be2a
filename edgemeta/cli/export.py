"""`edgemeta export`: compile a run into a bundle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from edgemeta.bundle_files import read_manifest
from edgemeta.cli.options import json_option, say_json
from edgemeta_export import export_run
from edgemeta_export.ort_format import write_ort_format
from edgemeta_export.rules.registry import OPSET
from edgemeta_export.targets import TARGETS, Target


@click.command()
@click.argument("run", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The bundle's directory; a bundle that is there is replaced.",
)
@click.option(
    "--adapt",
    multiple=True,
    metavar="PATTERN",
    help="Parameters that adapt, such as 'head.*'; '!PATTERN' takes away. May be repeated. "
    "[default: as trained]",
)
@click.option(
    "--chunk",
    type=click.IntRange(min=1),
    metavar="SAMPLES",
    help="Take a large support set in slices of so many samples: the same result in less memory.",
)
@click.option(
    "--unroll",
    is_flag=True,
    help="Write the run's number of inner steps out in place of a loop, which others still take.",
)
@click.option(
    "--tune",
    is_flag=True,
    help="Export several variants, adapt with each of them on this machine, and keep the fastest.",
)
@click.option(
    "--opset",
    type=int,
    help=f"ONNX opset of the graphs; 17 or 18 for onnxruntime 1.15 and newer. [default: {OPSET}]",
)
@click.option(
    "--target",
    type=click.Choice(list(TARGETS)),
    help="Take the form of a bundle that is known to serve such devices best: so far the usual one "
    "for all (docs/targets.md).",
)
@click.option(
    "--ort-format",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write the graphs in onnxruntime's own format, and the operators that a minimal "
    "build of it needs, to this directory.",
)
@json_option
def export(
    run: Path,
    out: Path,
    adapt: tuple[str, ...],
    chunk: int | None,
    unroll: bool,
    tune: bool,
    opset: int | None,
    target: str | None,
    ort_format: Path | None,
    as_json: bool,
) -> None:
    """Compile the best checkpoint of RUN into a bundle, and check it against PyTorch.

    \b
    Example:
      edgemeta export runs/glyphs --out bundles/glyphs
    """
    if tune and unroll:
        raise click.UsageError("--tune decides whether to unroll: leave --unroll out")
    if target is not None:
        if tune or unroll or opset is not None:
            raise click.UsageError("--target decides: leave --tune, --unroll and --opset out")
        form = TARGETS[target]
    else:
        form = Target(OPSET if opset is None else opset, unroll)
    path = export_run(run, out, adapt=adapt or None, chunk=chunk, tune=tune, **asdict(form))
    if ort_format is not None:
        write_ort_format(path, ort_format)
    manifest, fingerprint = read_manifest(path)
    size = sum(record.size for record in manifest.files.values())
    if as_json:
        record = {"bundle": str(path), "fingerprint": fingerprint, "bytes": size}
        say_json(record | {"parity": manifest.parity, "tuned": manifest.tuned})
        return
    click.echo(
        f"{path}: {size / 1e3:.0f} kB, {len(manifest.state)} state tensors, "
        f"checked against PyTorch (bundle {fingerprint[:12]})"
    )
    if manifest.tuned is not None:
        times = ", ".join(f"{name} {ms:.2f}" for name, ms in manifest.tuned["ms"].items())
        click.echo(f"tuned: {manifest.tuned['chosen']} (ms: {times})")
