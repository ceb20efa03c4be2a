"""From what a user types to a task source."""

from __future__ import annotations

import difflib
from pathlib import Path

from edgemeta.errors import InputError
from edgemeta.tasks.arrays import ArraySource
from edgemeta.tasks.classes import Unit
from edgemeta.tasks.glyphs import GlyphSource
from edgemeta.tasks.omniglot import open_omniglot
from edgemeta.tasks.sinusoid import SinusoidSource
from edgemeta.tasks.source import TaskSource

NAMES = ("sinusoid", "glyphs", "omniglot", "omniglot-vinyals")


def open_tasks(
    spec: str, root: Path | None = None, *, by: Unit = "class", split_seed: int = 0
) -> TaskSource:
    """Open a task source.

    Args:
        spec: "sinusoid", "glyphs", "omniglot", "omniglot-vinyals", or the path of an .npz file.
        root: where Omniglot's data lies; for the other sources it must be None.
        by: for an .npz file, what is new at test time: "class" or "subject".
        split_seed: for an .npz file, decides every division that the file leaves open; the other
            sources have fixed parts.

    Raises:
        InputError: the name is unknown, an option does not apply, or the data cannot be used.
    """
    if spec.endswith(".npz"):
        _refuse_root(spec, root)
        return ArraySource(Path(spec), by=by, split_seed=split_seed)
    if by != "class" and spec in NAMES:
        raise InputError(
            f"{spec} has no subjects to divide", got=f'by="{by}"', expected='by="class"'
        )
    match spec:
        case "sinusoid":
            _refuse_root(spec, root)
            return SinusoidSource()
        case "glyphs":
            _refuse_root(spec, root)
            return GlyphSource()
        case "omniglot" | "omniglot-vinyals":
            if root is None:
                raise InputError(
                    f"{spec} needs to know where its data lies",
                    hint="pass --root with the folder that holds images_background and "
                    "images_evaluation, or an .npz of them",
                )
            return open_omniglot(spec, root)
    near = difflib.get_close_matches(spec, NAMES, n=1)
    raise InputError(
        "unknown tasks",
        got=repr(spec),
        expected=f"{', '.join(NAMES)}, or the path of an .npz file",
        hint=f"did you mean {near[0]!r}?" if near else None,
    )


def _refuse_root(spec: str, root: Path | None) -> None:
    if root is not None:
        raise InputError(f"{spec} takes no root", got=root, hint="leave --root out")
