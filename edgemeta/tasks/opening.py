"""From what a user types to a task source."""

from __future__ import annotations

from pathlib import Path

from edgemeta.data.dataset import Dataset
from edgemeta.data.layouts import DATA_NAMES, recognise
from edgemeta.data.options import AS_IT_IS, DataOptions, Unit
from edgemeta.errors import InputError, did_you_mean
from edgemeta.tasks._glyphs import GlyphSource
from edgemeta.tasks._omniglot import open_omniglot
from edgemeta.tasks._sinusoid import SinusoidSource
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.source import TaskSource
from edgemeta.tasks.table_source import TableSource

FIXED_NAMES = ("sinusoid", "glyphs")  # which are made, not read
NAMES = (*FIXED_NAMES, "omniglot", "omniglot-vinyals")
EXPECTED = (
    f"{', '.join((*NAMES, *DATA_NAMES))}, or the path of an .npz or .csv file, or of a folder"
)


def open_tasks(
    spec: str,
    root: Path | None = None,
    *,
    by: Unit = "class",
    split_seed: int = 0,
    options: DataOptions | None = None,
) -> TaskSource:
    """Open a task source.

    Args:
        spec: a name, or the path of a file or folder; `layouts` says what is recognised.
        root: for names of data sets, where the data lies; for others it must be None.
        by: for a user's own data, what is new at test time: "class", "subject" or "both".
        split_seed: for a user's own data, decides every division that the data leaves open; the
            other sources have fixed parts and take 0 only.
        options: for a user's own data, how to read it.

    Raises:
        InputError: the name is unknown, an option does not apply, or the data cannot be used.

    Example:
        >>> from edgemeta import tasks
        >>> tasks.open_tasks("glyphs").input_shape  # or "photographs", a folder of yours
        (28, 28)
    """
    options = options or AS_IT_IS
    if spec in NAMES:
        return _open_named(spec, root, by, split_seed, options)
    layout = recognise(spec, root, options)
    if layout is None:
        raise unknown(spec)
    return divided(spec, layout.read(options), by=by, split_seed=split_seed, options=options)


def divided(
    name: str, dataset: Dataset, *, by: Unit, split_seed: int, options: DataOptions
) -> DatasetSource | TableSource:
    """Divide a data set over the parts; arguments as for `open_tasks`.

    Raises:
        InputError: it cannot be divided by that.
    """
    if dataset.targets is None:
        return DatasetSource(
            name,
            dataset,
            by=by,
            split_seed=split_seed,
            draw=options.draw,
            test_only=options.test_only,
        )
    if by != "class" or options.draw is not None:
        raise InputError(
            f"{name} is a regression table: its parts are always divided by task",
            hint="omit --by and --draw",
        )
    return TableSource(name, dataset, split_seed=split_seed, test_only=options.test_only)


def unknown(spec: str) -> InputError:
    """Return the error for a `spec` that names nothing."""
    return InputError(
        "unknown tasks",
        got=repr(spec),
        expected=EXPECTED,
        hint=did_you_mean(spec, (*NAMES, *DATA_NAMES)),
    )


def _open_named(
    spec: str, root: Path | None, by: Unit, split_seed: int, options: DataOptions
) -> TaskSource:
    """Open a source whose parts are fixed."""
    options.allow(spec)
    if by != "class":
        raise InputError(
            f"{spec} has no subjects to divide", got=f'by="{by}"', expected='by="class"'
        )
    if split_seed:
        raise InputError(
            f"{spec} has fixed parts", got=f"--split-seed {split_seed}", hint="omit --split-seed"
        )
    if spec in ("omniglot", "omniglot-vinyals"):
        if root is None:
            raise InputError(
                f"{spec} needs --root, the place of its data",
                hint="pass --root with the folder that holds images_background and "
                "images_evaluation, or an .npz of them",
            )
        return open_omniglot("omniglot" if spec == "omniglot" else "omniglot-vinyals", root)
    if root is not None:
        raise InputError(f"{spec} takes no root", got=root, hint="omit --root")
    return GlyphSource() if spec == "glyphs" else SinusoidSource()
