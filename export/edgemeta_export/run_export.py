"""From a trained run to a bundle."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import matching
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.runs.building import head_ways
from edgemeta.meta.runs.run import Run, support_loss
from edgemeta.tasks import EpisodeSize, TaskSource
from edgemeta_export.bundle_export import export_bundle
from edgemeta_export.form import GraphForm
from edgemeta_export.int8 import calibration_samples, quantize_front
from edgemeta_export.int8_accuracy import Setting, before_and_after
from edgemeta_export.rules.registry import OPSET
from edgemeta_export.tune import fastest


def export_run(
    path: Run | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    adapt: Sequence[str] | None = None,
    int8: TaskSource | None = None,
    chunk: int | None = None,
    unroll: bool = False,
    opset: int = OPSET,
    without: Collection[str] = (),
    tune: bool = False,
) -> Path:
    """Compile the best checkpoint of a training run into a bundle.

    Args:
        path: what `edgemeta train --out` wrote, or a run that holds its model.
        out: the directory to write.
        adapt: see `export_bundle`; ("head.*",) adapts the head alone; None for what adapted in
            training.
        int8: data like the run's: what is frozen in front of the inner steps is quantized to 8
            bits, calibrated on samples of the training part. The record has the accuracy on
            episodes of the validation part before and after.
        chunk: see `edgemeta_export.GraphForm`, as for the next three.
        unroll: whether the steps are written out.
        opset: of both graphs.
        without: optimizations to leave out.
        tune: measure the variants here and keep the fastest, see `edgemeta_export.tune.fastest`;
            it decides what to unroll and to leave out.

    Returns:
        The bundle's path.

    Raises:
        InputError: there is no run, or it has no checkpoint.
        UnsupportedModelError, ParityError: see `export_bundle`.

    Example:
        >>> import edgemeta
        >>> path = edgemeta.export("runs/glyphs", "exported")  # what `edgemeta train` wrote
        >>> edgemeta.Runner(path).manifest.ways
        2
    """
    form = GraphForm(chunk, unroll, opset, without)
    run = path if isinstance(path, Run) else Run(Path(path))
    config, statistics, model, rates = run.best()
    if adapt is not None and not isinstance(rates, float):
        raise InputError(
            "learned rates fit only what adapted in training", got=f"adapt {', '.join(adapt)}"
        )
    example, adapt, record = run.example(), config.adapt if adapt is None else adapt, run.record()
    if int8 is not None:
        size = EpisodeSize(config.ways, config.shots, config.queries)
        plain, adapted = model.eval(), matching(dict(model.named_parameters()), adapt)
        model = quantize_front(plain, adapted, calibration_samples(int8, size))
        setting = Setting(adapt, config.inner_update(), rates, config.inner_steps, size)
        found = before_and_after(plain, model, FeatureCache(int8), setting)
        record = replace(record, int8=found)
    export = partial(
        export_bundle,
        model,
        example_x=example.support_x,
        task=statistics.kind,
        ways=head_ways(config, statistics),
        inner_lr=rates,
        inner_steps=config.inner_steps,
        update=config.inner_update(),
        adapt=adapt,
        example_y=example.support_y,
        loss=support_loss(statistics),
        algorithm=config.algorithm,
        training=record,
        labels=statistics.labels or None,
    )
    return fastest(export, out, form) if tune else export(out=out, form=form)
