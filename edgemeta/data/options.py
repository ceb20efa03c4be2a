"""How to read a user's data: all that its path does not say."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from edgemeta.errors import InputError

Color = Literal["gray", "rgb"]
Features = Literal["mfcc", "logmel", "wave"]
Fit = Literal["squash", "crop"]
Draw = Literal["subject", "all"]
Unit = Literal["class", "subject", "both"]
COLORS: tuple[Color, ...] = get_args(Color)
FITS: tuple[Fit, ...] = get_args(Fit)
FEATURES: tuple[Features, ...] = get_args(Features)
DRAWS: tuple[Draw, ...] = get_args(Draw)
UNITS: tuple[Unit, ...] = get_args(Unit)
"""What no two parts of the data share: classes, people, or neither."""


@dataclass(frozen=True)
class DataOptions:
    """How to read data; an option that does not apply to the data's layout is refused.

    None, () and False stand for the defaults, which stand here after the last semicolon.

    Attributes:
        image_size: images: both sides in pixels; the size of the first image.
        color: images: "gray" (H, W) or "rgb" (H, W, 3); that of the first image.
        fit: images of another shape: "squash" (both sides are scaled) or "crop" (the middle is
            kept, as networks of ImageNet expect); "squash".
        features: recordings: "mfcc" or "logmel" (float32), or "wave" (the waveform, int16);
            "mfcc".
        sample_rate: recordings: in Hz, to which clips are resampled; that of the first file, for
            "wave" 16000.
        seconds: recordings: to which clips are cut, or filled with silence: at the end, to 1; for
            "wave" at both ends, to 1.28.
        mels: spectra: bands of the mel filter bank; 40.
        coefficients: spectra: how many MFCC are kept, the zeroth included; 10.
        window: time series: steps per sample (required); spectra: milliseconds per frame; 40.
        hop: time series: steps from one window to the next, as many as a window has (with fewer,
            windows overlap, and support and query share steps); spectra: milliseconds from one
            frame to the next, 20.
        columns: CSV: the input columns; all that have no other role.
        label: CSV: the column of the class; "label".
        subject: CSV: the column of the subject; "subject" where there is one.
        target: regression tables: the columns to predict; "target".
        task: regression tables: the column that identifies the task (required).
        draw: whose samples one task shows: "subject" (one person's, as for personalisation) or
            "all" (those of everybody in the part); "subject" if only subjects are divided, else
            "all".
        test_only: all classes (or tasks) belong to the test part: for a model that was trained on
            other data.

    Raises:
        InputError: a value is out of range.
    """

    image_size: int | None = None
    color: Color | None = None
    fit: Fit | None = None
    features: Features | None = None
    sample_rate: int | None = None
    seconds: float | None = None
    mels: int | None = None
    coefficients: int | None = None
    window: int | None = None
    hop: int | None = None
    columns: tuple[str, ...] = ()
    label: str | None = None
    subject: str | None = None
    target: tuple[str, ...] = ()
    task: str | None = None
    draw: Draw | None = None
    test_only: bool = False

    def __post_init__(self) -> None:
        for name in (
            *("image_size", "sample_rate", "seconds", "mels", "coefficients", "window", "hop"),
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{flag(name)} is out of range", got=value, expected="more than 0")
        choices = {"color": COLORS, "fit": FITS, "features": FEATURES, "draw": DRAWS}
        for name, known in choices.items():
            value = getattr(self, name)
            if value is not None and value not in known:
                raise InputError(f"unknown {flag(name)}", got=value, expected=" or ".join(known))

    def given(self) -> dict[str, Any]:
        """Return those that are not left to their defaults, by attribute."""
        values = ((field, getattr(self, field.name)) for field in fields(self))
        return {field.name: value for field, value in values if value != field.default}

    def only(self, *names: str) -> DataOptions:
        """Return these attributes, and the others left to their defaults."""
        return DataOptions(**{n: value for n, value in self.given().items() if n in names})

    def replaced_by(self, others: DataOptions) -> DataOptions:
        """Return options in which those that others set replace these."""
        return replace(self, **others.given())

    def allow(self, layout: str, *names: str) -> None:
        """Refuse options that were set and are not among `names`.

        Args:
            layout: what the data was recognised as.
            names: attributes that apply to it.

        Raises:
            InputError: others were set; the text names them all.
        """
        others = [name for name in self.given() if name not in names]
        if others:
            raise InputError(
                f"options that do not apply to {layout}",
                got=", ".join(map(flag, others)),
                expected=f"none but {', '.join(map(flag, names))}" if names else "none",
                hint="omit them, or check the path in TASKS",
            )


def flag(name: str) -> str:
    """Return how the command line spells an attribute."""
    return "--" + name.replace("_", "-")


AS_IT_IS = DataOptions()
"""No option is set."""
