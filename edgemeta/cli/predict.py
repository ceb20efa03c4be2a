"""`edgemeta predict`: predict with a bundle and an adapted state."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import Manifest
from edgemeta.cli._options import bundle_argument, json_option, say_json, threads_option
from edgemeta.cli._table import printable, table
from edgemeta.data.labels import label_of
from edgemeta.data.samples import Samples, read_samples
from edgemeta.device.runner import Learner, Runner
from edgemeta.errors import InputError

PIECE = 512  # samples that are predicted at once

Predict = Callable[[NDArray[Any]], NDArray[Any]]


@click.command()
@bundle_argument
@click.argument("input", type=click.Path(path_type=Path))
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="What `edgemeta adapt` wrote. [default: none, the unadapted init predicts; "
    "enough where the bundle names its classes]",
)
@threads_option
@json_option
def predict(
    bundle: Path, input: Path, state: Path | None, threads: int | None, as_json: bool
) -> None:
    """Predict the samples of INPUT.

    INPUT is what `edgemeta adapt` takes, with or without classes or targets; or a folder of files
    without class folders, one file, or an .npy. If the classes or targets are known, the accuracy
    (or mean squared error) is shown. The confidence is not calibrated.

    \b
    Example:
      edgemeta predict omniglot photos --state mine.safetensors
    """
    runner = Runner(bundle, threads=threads)
    found = read_samples(input, runner)
    learner = runner.init if state is None else runner.load(state)
    if runner.manifest.task == "classification":
        proba = _in_pieces(learner.predict_proba, runner.manifest)
        absence = "not adapted to" if runner.manifest.labels is None else "not in the bundle"
        record, header, rows = _classes(learner, proba, found, absence)
    else:
        outputs = _in_pieces(learner.predict, runner.manifest)
        record, header, rows = _outputs(outputs, found)
    if found.names is not None:
        record["files"] = found.names
    if as_json:
        say_json(record)
    else:
        click.echo(table(header, rows))
        for metric in ("accuracy", "mse"):
            if metric in record:
                click.echo(f"{metric} {record[metric]:.4f} on {len(found.x)} samples")
    if state is None and runner.manifest.labels is None:
        click.echo("note: no --state given, so the init predicts without adaptation", err=True)


def _in_pieces(predict: Predict, manifest: Manifest) -> Predict:
    """Predict in pieces to bound the memory, if this does not change the predictions.

    It does not if the bundle's record says that samples are predicted independently.
    """
    if not manifest.trained.inductive:
        return predict
    return lambda x: np.concatenate(
        [predict(x[n : n + PIECE]) for n in range(0, max(len(x), 1), PIECE)]
    )


def _classes(
    learner: Learner, predict: Predict, found: Samples, absence: str
) -> tuple[dict[str, Any], list[str], list[list[object]]]:
    """Predict classes: a record for machines, and a table for people."""
    probabilities = predict(found.x)
    predictions = probabilities.argmax(1)
    classes = [str(label_of(learner.labels, k)) for k in range(probabilities.shape[1])]
    header = ["sample", "label", "confidence"]
    rows: list[list[object]] = [
        [_sample(found, n), classes[k], _Share(probabilities[n, k])]
        for n, k in enumerate(predictions.tolist())
    ]
    record: dict[str, Any] = {
        "predictions": predictions.tolist(),
        "labels": [classes[k] for k in predictions.tolist()],
        "classes": classes,
        "probabilities": probabilities.tolist(),
    }
    if found.y is not None:
        truth = _truth(found.y, classes, predictions, absence)
        if (truth >= 0).any():
            record["accuracy"] = float(np.mean(predictions == truth))
        header.append("truth")
        for row, y in zip(rows, found.y.tolist(), strict=True):
            row.append(y if found.named else str(label_of(learner.labels, y)))
    return record, header, rows


def _truth(
    y: NDArray[Any], classes: list[str], predictions: NDArray[Any], absence: str
) -> NDArray[Any]:
    """Return the right predictions; -1 for a class that is not there: `absence` says why."""
    y = _fitting(y, predictions, "iuU")
    if y.dtype.kind != "U":
        return y
    at = {name: k for k, name in enumerate(classes)}
    strange = sorted(set(y.tolist()) - set(at))
    if strange:
        note = f"note: {absence}, hence wrong: {', '.join(strange)}"
        click.echo(printable(note), err=True)
    return np.array([at.get(name, -1) for name in y.tolist()])


def _outputs(
    predict: Predict, found: Samples
) -> tuple[dict[str, Any], list[str], list[list[object]]]:
    """Predict numbers: a record for machines, and a table for people."""
    outputs = predict(found.x)
    rows: list[list[object]] = [
        [n, " ".join(f"{value:.6g}" for value in np.ravel(output))]
        for n, output in enumerate(outputs)
    ]
    record: dict[str, Any] = {"predictions": outputs.tolist()}
    if found.y is not None:
        record["mse"] = float(np.mean((outputs - _fitting(found.y, outputs, "iuf")) ** 2))
    return record, ["sample", "output"], rows


def _fitting(y: NDArray[Any], predictions: NDArray[Any], kinds: str) -> NDArray[Any]:
    if y.shape != predictions.shape or y.dtype.kind not in kinds:
        raise InputError(
            "y does not fit the predictions",
            got=f"{y.dtype} {y.shape}",
            expected=predictions.shape,
            hint="correct y, or leave it out",
        )
    return y


def _sample(found: Samples, n: int) -> object:
    return n if found.names is None else found.names[n]


class _Share(float):
    """A number that a table shows as a percentage."""

    def __str__(self) -> str:
        return f"{float(self):.1%}"
