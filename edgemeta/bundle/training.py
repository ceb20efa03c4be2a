"""The training record of a bundle: what made the init, and how raw data became samples.

What a device, or anybody who reads a bundle, looks at has a field here, and a type; every other
field is refused, as in the rest of the manifest and with its version. One place is open on purpose:
`TrainingChoices.others`, the options of the training that matter to nobody later. A training with a
new option must not make bundles that older devices refuse.
"""

# No postponed annotations: to evaluate them would take longer than all the rest of reading.

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Self, Union, get_args, get_origin

from edgemeta.util.strict_json import short


class _Recorded:
    """A record that is read strictly."""

    @classmethod
    def of(cls, record: Any, where: str) -> Self:
        """Read plain values, as JSON has them.

        Args:
            record: values by the names of the fields; those that have defaults may be missing.
            where: how errors name the record.

        Raises:
            ValueError: it is no mapping, or has an unknown field or one of the wrong type.
        """
        if not isinstance(record, Mapping):
            raise ValueError(f"{where} {short(repr(record))}")
        types = {each.name: each.type for each in fields(cls)}  # type: ignore[arg-type]
        if odd := sorted(str(name) for name in record if name not in types):
            raise ValueError(f"{where} has unknown fields: {short(', '.join(odd))}")
        values = {n: _checked(types[n], value, f"{where}.{n}") for n, value in record.items()}
        try:
            return cls(**values)
        except TypeError as error:  # a field without a default is missing
            raise ValueError(f"{where} is not whole: {error}") from error

    def record(self) -> dict[str, Any]:
        """Return plain values, as `of` reads them; those that are unknown (None) are left out."""
        found: dict[str, Any] = {}
        for each in fields(self):  # type: ignore[arg-type]  # each of these is a dataclass
            value = getattr(self, each.name)
            if isinstance(value, _Recorded):
                value = value.record()
            if value is not None:
                found[each.name] = value
        return found


@dataclass(frozen=True)
class TrainingChoices(_Recorded):
    """What the training was told (`config`).

    Attributes:
        tasks: the name of the data.
        by: what was new at test time.
        split_seed: decided the parts that the data left open; None if unknown.
        data: how raw data was read: fields of `edgemeta.data.options.DataOptions` that were set.
        shots: support samples per class (regression: in all); None if unknown.
        others: all other options, by name; in the record they stand beside these.
    """

    tasks: str = ""
    by: Literal["class", "subject", "both"] = "class"
    split_seed: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    shots: int | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Any, where: str) -> Self:
        """Read plain values; those that have no field are `others`."""
        if not isinstance(record, Mapping) or "others" in record:
            raise ValueError(f"{where} {short(repr(record))}")
        known = {each.name for each in fields(cls)}
        own = {name: value for name, value in record.items() if name in known}
        others = {name: value for name, value in record.items() if name not in known}
        return super().of({**own, "others": others}, where)

    def record(self) -> dict[str, Any]:
        """Return plain values, as `of` reads them."""
        found = super().record()
        return {**found.pop("others"), **found}


@dataclass(frozen=True)
class TrainingResult(_Recorded):
    """What the training came to (`result`); None where the record does not say.

    Attributes:
        tasks: the name of the data.
        split: the part of it that the score is of.
        metric: what `mean` is.
        mean: over the episodes.
        ci95: half of the 95 % confidence interval of `mean`.
        episodes: how many.
        ways: classes per episode.
        shots: support samples per class.
        inner_steps: of the adaptation to each.
        statistics: whether each query was predicted alone ("inductive") or by norms that saw all
            queries at once ("transductive").
        iterations: outer steps that were taken.
        best_iteration: after which of them the init was taken.
        validation: the metric on the validation part then.
        preprocessing: how a raw file, row or recording became a sample, as the layout of the data
            wrote it; a device does the same.
        centring: whether features are centred, and what validation said of both.
    """

    tasks: str | None = None
    split: str | None = None
    metric: Literal["accuracy", "mse"] | None = None
    mean: float | None = None
    ci95: float | None = None
    episodes: int | None = None
    ways: int | None = None
    shots: int | None = None
    inner_steps: int | None = None
    statistics: Literal["inductive", "transductive"] | None = None
    iterations: int | None = None
    best_iteration: int | None = None
    validation: float | None = None
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    centring: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class QuantizationResult(_Recorded):
    """What quantizing changed (`int8`); without scores where the data were too few to measure.

    Attributes:
        split: the part of the data that was measured on.
        episodes: how many.
        metric: what was measured.
        float32: before.
        int8: after.
    """

    split: str
    episodes: int
    metric: Literal["accuracy", "mse"] | None = None
    float32: float | None = None
    int8: float | None = None


@dataclass(frozen=True)
class TrainingRecord(_Recorded):
    """What a manifest says of the training.

    Attributes:
        config: what the training was told.
        result: what it came to; None for a run that was not tested.
        int8: what quantizing changed; None where nothing was quantized.

    Example:
        >>> TrainingRecord.of({"config": {"tasks": "glyphs", "shots": 5}}, "training").config.shots
        5
    """

    config: TrainingChoices = TrainingChoices()
    result: TrainingResult | None = None
    int8: QuantizationResult | None = None

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """What training did to raw data; empty where the record does not say."""
        return {} if self.result is None else self.result.preprocessing

    @property
    def inductive(self) -> bool:
        """Whether the record says that each sample is predicted without a look at the others."""
        return self.result is not None and self.result.statistics == "inductive"


def _checked(hint: Any, value: Any, where: str) -> Any:
    """Return a value that a field of this type may have.

    Raises:
        ValueError: it may not.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    if value is None and NoneType in kinds:
        return None
    for kind in kinds:
        origin = get_origin(kind)
        if origin is Literal and isinstance(value, str) and value in get_args(kind):
            return value
        if origin is Mapping and isinstance(value, Mapping):
            return _plain(value, where)
        if isinstance(kind, type) and is_dataclass(kind) and issubclass(kind, _Recorded):
            return kind.of(value, where)
        if kind is str and isinstance(value, str):
            return str(value)
        # True is an int to Python, and 1 a float to nobody who writes JSON.
        if isinstance(value, bool):
            continue
        if kind is int and isinstance(value, int):
            return int(value)
        if kind is float and isinstance(value, int | float):
            return float(value)
    raise ValueError(f"{where} {short(repr(value))}")


def _plain(value: Any, where: str) -> Any:
    """Return what JSON would hold of a value.

    Raises:
        ValueError: JSON has nothing like it.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [_plain(each, where) for each in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _plain(each, f"{where}.{name}") for name, each in value.items()}
    raise ValueError(f"{where} {short(repr(value))}")
