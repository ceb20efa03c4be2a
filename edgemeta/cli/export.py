"""`edgemeta export`: compile a run into a bundle."""

from __future__ import annotations

from pathlib import Path

import click

from edgemeta.bundle.files import read_manifest
from edgemeta.cli._data_options import by_option, file_options
from edgemeta.cli._options import json_option, say_json
from edgemeta.data.options import AS_IT_IS, Unit
from edgemeta.errors import InputError
from edgemeta.meta.models.bodies import READY
from edgemeta.meta.models.neck import Neck
from edgemeta.meta.runs.opening import open_run_tasks
from edgemeta.meta.runs.reading import with_ready_data
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import DataOptions, open_tasks
from edgemeta_export import GraphForm, export_body, export_run
from edgemeta_export.body_export import Data
from edgemeta_export.ort_format import write_ort_format
from edgemeta_export.rules.registry import OPSET

EXPORTED_NECKS: tuple[Neck, ...] = ("none", "cosine")


@click.command()
@click.argument("run", metavar="[RUN|DATA]", required=False)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The bundle's directory; a bundle that is there is replaced.",
)
@click.option(
    "--body",
    metavar="NAME|FILE.onnx",
    help=f"Compile a pre-trained network without any training: {', '.join(READY)}, or an ONNX "
    "file. DATA, if there is any, tells the mean of its features.",
)
@click.option(
    "--neck",
    type=click.Choice(EXPORTED_NECKS),
    help="--body: how its features reach the head. [default: cosine]",
)
@by_option
@click.option(
    "--int8",
    metavar="CALIBRATION",
    help="Quantize what is frozen in front of the inner steps to 8 bits, calibrated on the "
    "training part of these TASKS, such as DATA again.",
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
    default=OPSET,
    show_default=True,
    help="ONNX opset of the graphs; 17 or 18 for onnxruntime 1.15 and newer.",
)
@click.option(
    "--ort-format",
    type=click.Path(file_okay=False, path_type=Path),
    help="Also write the graphs in onnxruntime's own format, and the operators that a minimal "
    "build of it needs, to this directory.",
)
@file_options
@json_option
def export(
    run: str | None,
    out: Path,
    body: str | None,
    neck: Neck | None,
    by: Unit,
    int8: str | None,
    adapt: tuple[str, ...],
    chunk: int | None,
    unroll: bool,
    tune: bool,
    opset: int,
    ort_format: Path | None,
    data: DataOptions,
    as_json: bool,
) -> None:
    """Compile the best checkpoint of RUN into a bundle, and check it against PyTorch.

    With --body it compiles a pre-trained network instead, and only its head adapts: no training is
    needed. DATA is then a folder with one folder of recordings or pictures per class, or any other
    TASKS of `edgemeta train`. The last options say how to read it; the defaults suit the body.

    \b
    Example:
      edgemeta export runs/glyphs --out bundles/glyphs
      edgemeta export --body speech --out words
      edgemeta export --body image photographs --out objects
    """
    if tune and unroll:
        raise click.UsageError("--tune decides whether to unroll: omit --unroll")
    if body is not None:
        if adapt or tune:
            raise click.UsageError("--body adapts only its head: omit --adapt and --tune")
        form = GraphForm(chunk, unroll, opset)
        path = _export_body(body, run, out, neck or "cosine", by, int8, data, form)
    else:
        _check_run_alone(run, neck, data)
        assert run is not None  # noqa: S101  # just checked
        path = export_run(
            Path(run),
            out,
            adapt=adapt or None,
            int8=None if int8 is None else open_run_tasks(Run(Path(run)).config(), int8),
            chunk=chunk,
            unroll=unroll,
            opset=opset,
            tune=tune,
        )
    if ort_format is not None:
        write_ort_format(path, ort_format)
    manifest, fingerprint = read_manifest(path)
    size = sum(record.size for record in manifest.files.values())
    if as_json:
        record = {"bundle": str(path), "fingerprint": fingerprint, "bytes": size}
        record |= {"parity": manifest.parity, "tuned": manifest.tuned}
        say_json(
            record | ({} if (found := manifest.trained.int8) is None else {"int8": found.record()})
        )
        return
    click.echo(
        f"{path}: {size / 1e3:.0f} kB, {len(manifest.state)} state tensors, "
        f"checked against PyTorch (bundle {fingerprint[:12]})"
    )
    found = manifest.trained.int8
    if found is not None and found.float32 is not None and found.int8 is not None:
        click.echo(
            f"int8: {found.metric} {found.float32:.4f} before, {found.int8:.4f} after, on "
            f"{found.episodes} validation episodes"
        )
    if manifest.tuned is not None:
        times = ", ".join(f"{name} {ms:.2f}" for name, ms in manifest.tuned["ms"].items())
        click.echo(f"tuned: {manifest.tuned['chosen']} (ms: {times})")


def _export_body(
    body: str,
    data: str | None,
    out: Path,
    neck: Neck,
    by: Unit,
    int8: str | None,
    options: DataOptions,
    form: GraphForm,
) -> Path:
    """Compile a pre-trained network; options of reading that are not given suit it."""
    if int8 is not None and data is not None and int8 != data:
        raise InputError(
            "two sets of samples", got=f"{data} and --int8 {int8}", hint="name one of them twice"
        )
    samples, data = None, data or int8
    if data is not None:
        options = with_ready_data({"body": body, "tasks": data, "data": options}).get(
            "data", options
        )
        samples = Data(open_tasks(data, by=by, options=options), by, options)
    path = export_body(
        body,
        out,
        samples,
        options=options,
        neck=neck,
        int8=int8 is not None,
        form=form,
    )
    if data is None and neck == "cosine":
        click.echo(
            f"note: without DATA the features of {body} are not centred: a folder of your own "
            "recordings or pictures may raise its accuracy",
            err=True,
        )
    return path


def _check_run_alone(run: str | None, neck: Neck | None, data: DataOptions) -> None:
    if run is None:
        raise click.UsageError("name a RUN, or a pre-trained network with --body")
    if not Path(run).is_dir():
        raise InputError(
            "no such run",
            got=run,
            hint="train one: `edgemeta train TASKS --out RUN`; or use --body",
        )
    if neck is not None or data != AS_IT_IS:
        raise click.UsageError("--neck and options for reading data need --body")
