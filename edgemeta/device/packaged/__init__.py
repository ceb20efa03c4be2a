"""Bundles that come with edgemeta and can be adapted at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgemeta.bundle import MANIFEST
from edgemeta.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from edgemeta.device.runner import Runner

BUNDLES = Path(__file__).parent


def names() -> tuple[str, ...]:
    """Return the names that `load` knows, sorted."""
    return tuple(sorted(path.parent.name for path in BUNDLES.glob(f"*/{MANIFEST}")))


def load(name: str, **options: Any) -> Runner:
    """Open a bundle that comes with edgemeta.

    The README.md in this folder says what each was trained on, how accurate it is, and the licence
    of its data.

    Args:
        name: of the bundle; "omniglot": uint8 (28, 28) drawings, ink = 255; "words": float32 (49,
            10) MFCC of spoken words. Both take any number of classes.
        options: of `Runner`.

    Raises:
        InputError: there is no bundle of that name.

    Example:
        >>> import edgemeta
        >>> runner = edgemeta.load("omniglot", threads=1)
        >>> runner.manifest.input.shape
        (28, 28)
    """
    known = names()
    if name not in known:
        raise InputError(
            "unknown packaged bundle",
            got=repr(name),
            expected=" or ".join(known),
            hint=did_you_mean(name, known) or "for a bundle of your own: edgemeta.Runner(path)",
        )
    # Here, so that the names are known without waiting for onnxruntime.
    from edgemeta.device.runner import Runner

    return Runner(BUNDLES / name, **options)
