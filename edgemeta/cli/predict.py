"""`edgemeta predict`: predict with a bundle and an adapted state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edgemeta.cli.files import read_inputs
from edgemeta.cli.options import bundle_argument, json_option, say_json, threads_option
from edgemeta.cli.table import table
from edgemeta.errors import InputError
from edgemeta.runner import Learner, Runner


@click.command()
@bundle_argument
@click.argument("input", type=click.Path(path_type=Path))
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="What `edgemeta adapt` wrote; without it the unadapted init predicts.",
)
@threads_option
@json_option
def predict(
    bundle: Path, input: Path, state: Path | None, threads: int | None, as_json: bool
) -> None:
    """Predict the samples of INPUT: an .npy file, or the array x of an .npz.

    Where the .npz has y as well, the accuracy (or mean squared error) is shown.

    \b
    Example:
      edgemeta predict bundles/glyphs query.npz --state mine.safetensors
    """
    x, y = read_inputs(input)
    runner = Runner(bundle, threads=threads)
    learner = runner.init if state is None else runner.load(state)
    if runner.manifest.task == "classification":
        record, rows, header = _classes(learner, x)
    else:
        record, rows, header = _outputs(learner, x)
    predictions = np.asarray(record["predictions"])
    score = None if y is None else _score(runner.manifest.task, predictions, y)
    if as_json:
        say_json(record | ({} if score is None else {score[0]: score[1]}))
        return
    click.echo(table(header, rows))
    if score is not None:
        click.echo(f"{score[0]} {score[1]:.4f} on {len(x)} samples")
    if state is None:
        click.echo("note: no --state given, the init predicts without adaptation", err=True)


def _classes(
    learner: Learner, x: NDArray[Any]
) -> tuple[dict[str, Any], list[list[object]], list[str]]:
    probabilities = learner.predict_proba(x)
    labels = probabilities.argmax(1)
    rows: list[list[object]] = [
        [k, label, f"{row[label]:.1%}"]
        for k, (label, row) in enumerate(zip(labels.tolist(), probabilities, strict=True))
    ]
    record = {"predictions": labels.tolist(), "probabilities": probabilities.tolist()}
    return record, rows, ["sample", "label", "probability"]


def _outputs(
    learner: Learner, x: NDArray[Any]
) -> tuple[dict[str, Any], list[list[object]], list[str]]:
    outputs = learner.predict(x)
    rows: list[list[object]] = [
        [k, " ".join(f"{value:.6g}" for value in np.ravel(output))]
        for k, output in enumerate(outputs)
    ]
    return {"predictions": outputs.tolist()}, rows, ["sample", "output"]


def _score(task: str, predictions: NDArray[Any], y: NDArray[Any]) -> tuple[str, float]:
    if y.shape != predictions.shape or y.dtype.kind not in "iuf":
        raise InputError(
            "y does not fit the predictions",
            got=f"{y.dtype} {y.shape}",
            expected=predictions.shape,
            hint="correct y, or leave it out",
        )
    if task == "classification":
        return "accuracy", float(np.mean(predictions == y))
    return "mse", float(np.mean((predictions - y) ** 2))
