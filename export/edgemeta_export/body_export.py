"""A bundle from a pre-trained body without any training: a neck, and a head of zeros behind it."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import (
    QuantizationResult,
    TensorSpec,
    TrainingChoices,
    TrainingRecord,
    TrainingResult,
)
from edgemeta.data.options import Unit
from edgemeta.data.waveform import Waveform
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import Evaluation
from edgemeta.meta.models.bodies import (
    BodyModel,
    make_body_model,
    own_input,
    reading_for,
    unknown_body,
)
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.models.neck import CenteredCosine, Neck
from edgemeta.meta.models.weights import weights_digest
from edgemeta.meta.outer.work import fit_neck
from edgemeta.meta.runs.devices import CPU
from edgemeta.tasks import DataOptions, EpisodeSize, TaskSource
from edgemeta.tasks.source import input_of
from edgemeta_export.bundle_export import export_bundle
from edgemeta_export.int8 import calibration_samples, quantize_front
from edgemeta_export.int8_accuracy import Setting, before_and_after, validated

WAYS, SHOTS = 5, 1
# Of rates 0.1, 0.3 and 1 and of 1 to 20 steps, on validation episodes of words and of photographs:
# with one sample a class all are alike; with five, one step is 0.7 to 1 point behind. Of those that
# are as good, the lowest rate: samples that are hard to tell apart do not make it overshoot.
INNER_LR, INNER_STEPS = 0.1, 10
HEAD = ("head.*",)


class Data(NamedTuple):
    """Samples that go with a body.

    Attributes:
        source: where they are.
        by: what it is divided by.
        options: how it is read.
    """

    source: TaskSource
    by: Unit
    options: DataOptions


def export_body(
    body: str,
    out: str | os.PathLike[str],
    data: Data | None = None,
    *,
    options: DataOptions | None = None,
    neck: Neck = "cosine",
    ways: int = WAYS,
    int8: bool = False,
    **choices: Any,
) -> Path:
    """Compile a pre-trained body into a bundle whose head alone adapts.

    The head is shared: a task may have any number of classes. Its first step from zeros is the
    nearest class mean, with the cosine neck by cosine (Wang et al. 2019, SimpleShot); nine more
    are softmax regression. Without a neck the features may have any size, and there is one step.

    Args:
        body: one of `edgemeta.meta.models.bodies.READY`, or the path of an .onnx file.
        out: the directory to write.
        data: samples of one's own. Their training part gives the mean that the neck subtracts, if
            the validation part agrees that subtracting one is better.
        options: without data, how files will be read on the device; what they leave open is as it
            suits the body.
        neck: "cosine", or "none".
        ways: classes of the recorded episode, and of validation.
        int8: quantize the body to 8 bits, calibrated on samples of the training part of `data`. The
            record has the accuracy on validation episodes before and after.
        choices: of `export_bundle`.

    Returns:
        The bundle's path.

    Raises:
        InputError: the body is not installed, or takes other samples.
        UnsupportedModelError, ParityError: see `export_bundle`.

    Example:
        export_body("speech", "words")  # adapt it to three recordings of each of your words
    """
    if neck == "matrix":
        raise InputError(
            "a matrix has to be trained", got='neck "matrix"', hint="use `edgemeta train --body`"
        )
    options = data.options if data else reading_for(body, options or DataOptions())
    input, preprocessing = _input(body, data, options)
    setting = Setting(
        HEAD,
        rates=INNER_LR if neck == "cosine" else 1.0,
        steps=INNER_STEPS if neck == "cosine" else 1,
        size=EpisodeSize(ways, SHOTS),
    )
    model = make_body_model(body, input, neck=neck).eval().requires_grad_(False)
    sha256 = weights_digest(model.body)
    result = TrainingResult(preprocessing=preprocessing, statistics="inductive")
    quantized: QuantizationResult | None = None
    if data is None:
        if int8:
            raise InputError("int8 needs samples to calibrate with", hint="name your data too")
        x, y = _made_up(input, ways)
    else:
        size = setting.size
        example = data.source.episode("train", replace(size, queries=1), 0, 0)
        x, y = example.support_x, example.support_y
        cache, before = FeatureCache(data.source), None
        if isinstance(model.neck, CenteredCosine):
            centring, before = _centre(model, model.neck, cache, setting)
            result = replace(result, centring=centring)
        if int8:
            plain = model
            samples = calibration_samples(data.source, replace(size, queries=1))
            model = quantize_front(plain, ["head.weight", "head.bias"], samples)  # type: ignore[assignment]
            quantized = before_and_after(plain, model, cache, setting, before=before)
    config = TrainingChoices(
        **_read_as(data, options),
        shots=SHOTS,
        others={
            "body": Path(body).name,
            "body_sha256": sha256,
            "neck": neck,
            "head": "shared",
            "ways": ways,
            "norm_statistics": "running",
        },
    )
    return export_bundle(
        model,
        out,
        x,
        ways=ways,
        inner_lr=setting.rates,
        inner_steps=setting.steps,
        adapt=HEAD,
        example_y=y,
        algorithm="pretrained",
        training=TrainingRecord(config, result, quantized),
        **choices,
    )


def _read_as(data: Data | None, options: DataOptions) -> dict[str, Any]:
    """Return what the record says of the data, and of how files are read."""
    return {
        "tasks": Path(data.source.name).name if data else "",
        "by": data.by if data else "class",
        "data": {k: v for k, v in asdict(options).items() if v not in (None, (), False)},
    }


def _input(body: str, data: Data | None, options: DataOptions) -> tuple[TensorSpec, dict[str, Any]]:
    """Return one raw sample, and how it is made of a file."""
    if data is not None:
        return input_of(data.source), dict(data.source.preprocessing)
    if body == "speech":
        assert options.sample_rate and options.seconds  # noqa: S101, PT018  # see reading_for
        wave = Waveform(options.sample_rate, options.seconds)
        return TensorSpec(wave.shape, "int16"), wave.record()
    if body == "image":
        side = options.image_size
        assert side  # noqa: S101  # see reading_for
        record = {"image_size": [side, side], "color": "rgb", "resampling": "lanczos"}
        return TensorSpec((side, side, 3), "uint8"), record | {"fit": options.fit}
    if not body.endswith(".onnx"):
        raise unknown_body(body)
    if (own := own_input(Path(body))) is not None:
        return own, {}
    raise InputError(
        f"{body} leaves open what samples it takes",
        hint=f"name your data too: `edgemeta export --body {body} DATA`",
    )


def _made_up(input: TensorSpec, ways: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return one sample for each of several classes, from a seed: tones, or patterns, and noise."""
    rng = np.random.default_rng(0)
    y = np.arange(ways)
    kind = np.dtype(input.dtype)
    low, high = (np.iinfo(kind).min, np.iinfo(kind).max) if kind.kind in "iu" else (-1, 1)
    places = np.linspace(0, 1, input.shape[0]).reshape(-1, *[1] * (len(input.shape) - 1))
    cycles = 100 * (1 + y).reshape(-1, *[1] * len(input.shape))
    waves = np.sin(np.pi * cycles * places) + rng.normal(0, 0.5, (ways, *input.shape))
    x = (low + high) / 2 + waves.clip(-2, 2) / 4 * (high - low) / 2
    return x.astype(kind), y


def _centre(
    model: BodyModel, neck: CenteredCosine, cache: FeatureCache, setting: Setting
) -> tuple[dict[str, Any], Evaluation | None]:
    """Subtract the mean of the training part's features, where validation is better with it.

    Returns:
        The record, and what validation says of the choice; None where it cannot say anything.
    """
    fit_neck(model, cache, setting.size, CPU)
    found = {"centred": validated(model, cache, setting)}
    mean = neck.mean.clone()
    neck.mean.zero_()
    found["as they are"] = validated(model, cache, setting)
    known = {name: each for name, each in found.items() if each is not None}
    if not known or known["centred"].mean >= known["as they are"].mean:
        neck.mean.copy_(mean)
    chosen = "centred" if bool(neck.mean.any()) else "as they are"
    scores = {name: each.mean for name, each in known.items()}
    return {"chosen": chosen, **scores}, found[chosen]
