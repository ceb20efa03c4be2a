"""Task sources from arrays, or from a data set of PyTorch, that a program already has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgemeta.data.array_file import checked_arrays
from edgemeta.data.dataset import ArraySamples, Samples
from edgemeta.data.options import Draw, Unit
from edgemeta.errors import InputError
from edgemeta.tasks.dataset_source import DatasetSource


def from_arrays(
    x: ArrayLike,
    y: ArrayLike,
    *,
    subject: ArrayLike | None = None,
    split: ArrayLike | None = None,
    by: Unit = "class",
    seed: int = 0,
    draw: Draw | None = None,
    test_only: bool = False,
    name: str = "arrays",
) -> DatasetSource:
    """Make a task source of arrays.

    Args:
        x: (N, *shape) samples: numbers. A memory-mapped array stays on the disk; only what
            episodes ask for is read.
        y: (N,) their classes: integers or strings.
        subject: (N,) whose samples they are: integers or strings.
        split: (N,) 0 = train, 1 = val, 2 = test; None divides by `seed`. `DatasetSource` says what
            happens if a split does not separate the classes.
        by: what is new at test time: "class", "subject" or "both".
        seed: decides every division that `split` leaves open.
        draw: whose samples one task shows, "subject" or "all"; see `DatasetSource`.
        test_only: put all of it into the test part.
        name: what errors and records call the data.

    Raises:
        InputError: an array has another form, x is not finite, or the data cannot be divided.

    Example:
        >>> import numpy as np
        >>> from edgemeta import tasks
        >>> x = np.arange(80.0).reshape(40, 2)
        >>> source = tasks.from_arrays(x, np.repeat(["a", "b", "c", "d", "e", "f", "g", "h"], 5))
        >>> size = tasks.EpisodeSize(ways=2, shots=1, queries=3)
        >>> source.episode("train", size, seed=0, index=0).query_x.shape
        (6, 2)
    """
    samples = ArraySamples(name, _array(name, "x", x))
    others = {"y": y, "subject": subject, "split": split}
    return _source(name, samples, others, by, seed, draw, test_only)


def from_torch(
    dataset: Any,
    *,
    subject: ArrayLike | None = None,
    split: ArrayLike | None = None,
    by: Unit = "class",
    seed: int = 0,
    draw: Draw | None = None,
    test_only: bool = False,
    name: str = "dataset",
) -> DatasetSource:
    """Make a task source of a `torch.utils.data.Dataset`.

    Its samples are read when an episode asks for them, one `dataset[k]` each. Its classes are
    collected once: from `dataset.targets`, which torchvision's data sets have, also behind a
    `Subset`; else by reading all items. Where `dataset.classes` names the classes, these names are
    taken. A transform that draws at random makes episodes that do not repeat.

    Args:
        dataset: N pairs (x, y): x a tensor, an array or an image of pillow, all of one shape and
            dtype; y an integer or a string.
        subject: as for `from_arrays`, like all that follows.
        split: (N,).
        by: what is new at test time.
        seed: decides every division that `split` leaves open.
        draw: whose samples one task shows.
        test_only: put all of it into the test part.
        name: what errors and records call the data.

    Raises:
        InputError: the items are no such pairs, or as for `from_arrays`. An item that differs from
            the first, or cannot be read, is found when an episode asks for it.

    Example:
        >>> import torch
        >>> from edgemeta import tasks
        >>> from torch.utils.data import TensorDataset
        >>> pairs = TensorDataset(torch.rand(40, 1, 8, 8), torch.arange(40) % 8)
        >>> tasks.from_torch(pairs).input_shape
        (1, 8, 8)
    """
    samples = _TorchSamples(name, dataset)
    labels = _labels(dataset)
    if labels is None:
        labels = [samples.item(row)[1] for row in range(len(samples))]
    others = {"y": labels, "subject": subject, "split": split}
    called = _class_names(dataset)
    if isinstance(called, list | tuple) and all(isinstance(each, str) for each in called):
        y = _array(name, "y", labels)
        if y.dtype.kind in "iu" and np.isin(y, np.arange(len(called))).all():
            others["class_names"] = list(called)
    return _source(name, samples, others, by, seed, draw, test_only)


class _TorchSamples(Samples):
    """The items of a data set of PyTorch; shape and dtype are those of the first."""

    def __init__(self, name: str, dataset: Any) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise InputError(
                f"{name} does not give single items",
                got=type(dataset).__name__,
                expected="a data set with a length and dataset[k]",
                hint="collect an iterable one in a list first",
            )
        self._name, self._dataset, self._count = name, dataset, len(dataset)
        if not self._count:
            raise InputError(f"{name} is empty")
        first = ArraySamples(name, self.item(0)[0][None])
        self.shape, self.dtype = first.shape, first.dtype

    def __len__(self) -> int:
        return self._count

    def item(self, row: int) -> tuple[NDArray[Any], Any]:
        """Return a sample (*shape) and its class.

        Raises:
            InputError: it cannot be read, or is no such pair.
        """
        try:
            pair = self._dataset[row]
        except Exception as error:
            raise InputError(
                f"{self._name}: item {row} cannot be read", got=f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            size = f" of {len(pair)}" if isinstance(pair, tuple | list) else ""
            raise InputError(
                f"{self._name}: item {row} is not a pair",
                got=f"{type(pair).__name__}{size}",
                expected="pairs (x, y) of an array, tensor or image, and a class",
                hint="wrap the data set in one that returns pairs",
            )
        label = pair[1]
        # A tensor, or a number of numpy, is one of Python.
        return _array(self._name, f"item {row}", pair[0]), getattr(label, "item", lambda: label)()

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read some samples; see `Samples.read`."""
        x = np.empty((len(rows), *self.shape), self.dtype)
        for place, row in enumerate(rows.tolist()):
            sample, _ = self.item(row)
            if (sample.shape, sample.dtype.newbyteorder("=")) != (self.shape, self.dtype):
                raise InputError(
                    f"{self._name}: item {row} differs from the first in shape or dtype",
                    got=f"{sample.shape} {sample.dtype}",
                    expected=f"{self.shape} {self.dtype}",
                    hint="make all alike in the data set's transform",
                )
            if sample.dtype.kind == "f" and not np.isfinite(sample).all():
                raise InputError(
                    f"{self._name}: item {row} is not finite", expected="finite numbers"
                )
            x[place] = sample
        return x


def _labels(dataset: Any) -> Any:
    """Return the classes of all items without reading the samples; None where that cannot be."""
    if _is_subset(dataset):
        labels = _labels(dataset.dataset)
        return None if labels is None else _array("targets", "y", labels)[list(dataset.indices)]
    return None if _changes_classes(dataset) else getattr(dataset, "targets", None)


def _class_names(dataset: Any) -> Any:
    if _is_subset(dataset):
        return _class_names(dataset.dataset)
    return None if _changes_classes(dataset) else getattr(dataset, "classes", None)


def _is_subset(dataset: Any) -> bool:
    """Whether it is a `torch.utils.data.Subset`, or like one."""
    return hasattr(dataset, "indices") and hasattr(dataset, "dataset")


def _changes_classes(dataset: Any) -> bool:
    """Whether the classes of its items may differ from its `targets` and `classes`."""
    return getattr(dataset, "target_transform", None) is not None


def _source(
    name: str,
    samples: Samples,
    others: dict[str, Any],
    by: Unit,
    seed: int,
    draw: Draw | None,
    test_only: bool,
) -> DatasetSource:
    arrays = {key: _array(name, key, each) for key, each in others.items() if each is not None}
    dataset = checked_arrays(name, samples, arrays)
    return DatasetSource(name, dataset, by=by, split_seed=seed, draw=draw, test_only=test_only)


def _array(name: str, what: str, values: Any) -> NDArray[Any]:
    """Return values as an array; a memory-mapped one as it is, strings as numpy's own."""
    detach: Callable[[], Any] | None = getattr(values, "detach", None)
    try:
        if detach is not None:  # a tensor, perhaps with a gradient, perhaps on a GPU
            values = detach().cpu()
        array = values if isinstance(values, np.memmap) else np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: {what} is no array", got=str(error)) from error
    if array.dtype.kind in "OT" and all(isinstance(each, str) for each in array.ravel().tolist()):
        return array.astype(np.str_)
    return array
