"""How training turned raw data into samples, from a bundle's record: a device does the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from edgemeta.bundle import Manifest, TensorSpec
from edgemeta.data import _images as images
from edgemeta.data import _wav as wav
from edgemeta.data._images import ImageDecoder
from edgemeta.data._mfcc import Spectrum
from edgemeta.data._wav import ClipDecoder
from edgemeta.data.options import FITS, Color, DataOptions, Unit
from edgemeta.data.waveform import Waveform
from edgemeta.errors import BundleError, InputError
from edgemeta.util.dataclass_fields import as_fields
from edgemeta.util.strict_json import short

# Tasks of drawings whose ink is 255 on 0, while whoever draws has dark ink on light paper; so have
# the files of Omniglot, which training inverts.
INK_IS_HIGH = ("glyphs", "omniglot", "omniglot-vinyals")
MOST_NUMBERS = 2**26  # in a clip, or in a filter bank: no damaged record is to ask for all memory


class FileKind(NamedTuple):
    """The kind of files that a bundle's samples can be read from.

    Attributes:
        name: what errors call them: "images".
        suffixes: how their names end, in lower case.
        decoder: reads one.
    """

    name: str
    suffixes: frozenset[str]
    decoder: ImageDecoder | ClipDecoder


def file_kind(manifest: Manifest) -> FileKind:
    """Return what files the samples of a bundle can be read from.

    Raises:
        InputError: from none.
        BundleError: the record is damaged.
    """
    record, spec = manifest.trained.preprocessing, manifest.input
    if "features" in record:
        return FileKind("recordings", wav.SUFFIXES, _clip_decoder(manifest, record))
    color: Color = "rgb" if len(spec.shape) == 3 else "gray"
    gray_or_rgb = len(spec.shape) == 2 or (len(spec.shape) == 3 and spec.shape[2] == 3)
    if spec.dtype == "uint8" and gray_or_rgb and "window" not in record:
        invert = manifest.trained.config.tasks in INK_IS_HIGH
        fit = record.get("fit", "squash")  # older records do not say
        if fit not in FITS:
            raise BundleError(
                "this edgemeta does not fit images as the bundle's training did",
                got=short(repr(fit)),
                expected=" or ".join(FITS),
            )
        decoder = ImageDecoder(spec.shape[0], spec.shape[1], color, fit, invert)
        return FileKind("images", images.SUFFIXES, decoder)
    if "window" in record or manifest.task == "regression":
        raise InputError("this bundle takes no files", got=f"input {spec}", hint="pass a .csv")
    raise InputError(
        "this bundle does not record how files become its samples",
        got=f"input {spec}",
        expected="uint8 (n, H, W) or (n, H, W, 3) for images; for recordings, the record of a "
        "training on recordings",
        hint="pass the samples as arrays, in an .npz",
    )


def _clip_decoder(manifest: Manifest, record: Mapping[str, Any]) -> ClipDecoder:
    kind: type[Spectrum | Waveform] = Waveform if record["features"] == "wave" else Spectrum
    try:
        clip = record["seconds"] * record["sample_rate"]
        filters = 0
        if kind is Spectrum:
            filters = record["mels"] * record["window_ms"] * record["sample_rate"] / 1000
        if not max(clip, filters) <= MOST_NUMBERS:
            raise ValueError(f"{max(clip, filters)} numbers at once")
        features = kind(**{field.name: record[field.name] for field in fields(kind)})
        decoder = ClipDecoder(features)
        made = features.record()
        differing = [n for n, value in made.items() if record[n] != value]
        differing += sorted(record.keys() - made.keys())
        computed = TensorSpec(features.shape, decoder.dtype.name)
        if differing or computed != manifest.input:
            raise ValueError(", ".join(differing) or f"features of shape {computed}")
    except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
        raise BundleError(
            "this edgemeta does not compute the features that the bundle was trained on",
            got=short(error),
            hint="install the edgemeta that made the bundle, or pass the features in an .npz",
        ) from error
    return decoder


class Reading(NamedTuple):
    """How data are divided and read.

    Attributes:
        by: what is new at test time.
        split_seed: decides the parts that the data leaves open.
        options: how the files are read.
    """

    by: Unit
    split_seed: int
    options: DataOptions


def trained_reading(manifest: Manifest) -> Reading:
    """Return how training's data were divided and read.

    Raises:
        BundleError: the record is damaged.
    """
    config = manifest.trained.config
    try:
        options = DataOptions(**as_fields(config.data, "data", DataOptions))
        if (seed := config.split_seed or 0) < 0:
            raise InputError("split_seed is negative", got=seed)
    except (InputError, TypeError, AttributeError) as error:
        raise BundleError("the bundle's training record is damaged", got=short(error)) from error
    return Reading(config.by, seed, options)


def series_options(manifest: Manifest) -> DataOptions | None:
    """Return how training cut time series into windows; None where it did not.

    Raises:
        BundleError: the record is damaged.
    """
    record = manifest.trained.preprocessing
    if "window" not in record or "features" in record:
        return None
    window, hop = record["window"], record.get("hop")
    if type(window) is not int or type(hop) is not int or min(window, hop) < 1:
        raise BundleError(
            "the bundle's training record is damaged", got=f"window {window!r}, hop {hop!r}"
        )
    return DataOptions(
        window=window,
        hop=hop,
        columns=names(manifest, "channels"),
        label=label_column(manifest),
        subject=trained_reading(manifest).options.subject,
    )


def label_column(manifest: Manifest) -> str:
    """Return what training's table called the column of the class.

    Raises:
        BundleError: the record is damaged.
    """
    return trained_reading(manifest).options.label or "label"


def names(manifest: Manifest, role: str) -> tuple[str, ...]:
    """Return the columns that training's table had in a role; () where the record does not say.

    Raises:
        BundleError: the record is damaged.
    """
    found = manifest.trained.preprocessing.get(role, [])
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise BundleError("the bundle's training record is damaged", got=f"{role} {short(found)}")
    return tuple(found)
