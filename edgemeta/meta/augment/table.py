"""Which augmentations there are for which kind of data, and which of them are usual."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from edgemeta.errors import InputError
from edgemeta.meta.augment import images, series, vectors, waves
from edgemeta.meta.augment.draws import Draws, Scale
from edgemeta.tasks.kinds import DataKind, data_kind, image_channels
from edgemeta.tasks.source import TaskSource
from edgemeta.util.choices import AUTO, NONE, check_choices

Change = Callable[[Tensor, Draws, Scale], Tensor]
Matrix = Callable[[Tensor, Draws], Tensor]

# Of images: what moves pixels. They come first, all as one.
MATRICES: dict[str, Matrix] = {
    "crop": images.crop,
    "move": images.move,
    "turn": images.turn,
    "mirror": images.mirror,
}
_STEPS: dict[str, Change] = {
    "stretch": series.stretch,
    "shift": series.shift,
    "scale": series.scaled,
    "offset": series.offset,
    "noise": series.noise,
    "masks": series.masks,
}
# Applied in this order, whatever the order of the names.
FUNCTIONS: dict[DataKind, dict[str, Change]] = {
    "images": {"light": images.light, "cutout": images.cutout},
    "spectra": {**_STEPS, "band-mask": series.band_mask},
    "series": {"rotation": series.rotation, "ring": series.ring, **_STEPS},
    "waves": {
        "speed": waves.speed,
        "shift": waves.shift,
        "gain": waves.gain,
        "noise": waves.noise,
    },
    "vectors": {"noise": vectors.noise},
}
NAMES = tuple(dict.fromkeys([*MATRICES, *(name for each in FUNCTIONS.values() for name in each)]))


def chosen(names: Sequence[str], source: TaskSource) -> tuple[str, ...]:
    """Return the names that `names` stand for, of those that suit the source.

    Raises:
        InputError: one is unknown, or does not suit the data.
    """
    check_choices("augment", names, NAMES)
    if names[0] in (NONE, AUTO):
        return auto_names(source) if names[0] == AUTO else ()
    kind = data_kind(source)
    suit = [*(MATRICES if kind == "images" else ()), *FUNCTIONS[kind]]
    if kind == "series" and not _threes(source):
        suit.remove("rotation")
    if wrong := [name for name in names if name not in suit]:
        raise InputError(
            f"augment does not suit {source.name}",
            got=f"{', '.join(wrong)} for {kind} of shape {tuple(source.input_shape)}",
            expected=f"some of {', '.join(suit)}",
        )
    return tuple(names)


def auto_names(source: TaskSource) -> tuple[str, ...]:
    """Return the usual names for a source; () for regression.

    | data | usual | why not the others |
    |---|---|---|
    | images in colour | crop, turn, mirror, light, cutout | crop also moves |
    | images in gray | move, turn, cutout | a mirrored letter is another, a crop cuts off strokes |
    | spectra | all but band-mask | not measured |
    | series | all but ring; rotation for channels in threes | few sensors form a ring |
    | waves, vectors | all | |

    How the target of a regression changes with its sample, nothing says.
    """
    kind = data_kind(source)
    if source.kind == "regression":
        return ()
    if kind == "images":
        if image_channels(source.input_shape) == 1:
            return ("move", "turn", "cutout")
        return ("crop", "turn", "mirror", "light", "cutout")
    if kind == "series" and _threes(source):
        return ("rotation", *_STEPS)
    return tuple(_STEPS) if kind in ("spectra", "series") else tuple(FUNCTIONS[kind])


def _threes(source: TaskSource) -> bool:
    """Whether the channels of a series can be the axes of sensors."""
    return source.input_shape[-1] % 3 == 0
