"""The entries of a manifest: samples, state tensors, files; each read strictly."""

from __future__ import annotations

import hashlib
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edgemeta.util.strict_json import MAX_INTEGER, is_plain

MAX_NAME = 500  # bytes of UTF-8
MAX_AXES = 16
MAX_SIZE = (1 << 31) - 1  # of one axis
DTYPES = {
    "bool": 1,
    **{f"{kind}{8 * size}": size for kind in ("int", "uint") for size in (1, 2, 4, 8)},
    **{f"float{8 * size}": size for size in (2, 4, 8)},
}
"""Numpy's names of the dtypes that data and state may have, and the bytes of one number."""


@dataclass(frozen=True)
class TensorSpec:
    """Shape and dtype of one sample or one target, as the user's data has it.

    Attributes:
        shape: without the sample dimension.
        dtype: numpy's name of it, such as "uint8".
    """

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        """Return "(n, 28, 28) uint8", n being the samples."""
        return f"({', '.join(map(str, ('n', *self.shape)))}) {self.dtype}"


@dataclass(frozen=True)
class StateTensor:
    """One tensor of the learner's state.

    Attributes:
        name: its torch name, such as "conv1.weight".
        shape: its shape.
        dtype: numpy's name of it.
        kind: "parameter" (adapted by gradient) or "buffer" (norm statistics).
        per_class: whether it belongs to a shared head: `shape` is that of the init, whose axis 0
            is 1, the row that all classes start from; an adapted state has a row for each class of
            its task, the same number in all tensors of this sort.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: Literal["parameter", "buffer"]
    per_class: bool

    def shape_at(self, ways: int | None) -> tuple[int, ...]:
        """Return its shape in the state of a task with `ways` classes."""
        return (ways or 1, *self.shape[1:]) if self.per_class else self.shape


@dataclass(frozen=True)
class FileRecord:
    """Size and hash of one file of the bundle."""

    size: int
    sha256: str

    @classmethod
    def of(cls, content: bytes) -> FileRecord:
        """Describe `content`."""
        return cls(len(content), hashlib.sha256(content).hexdigest())


def product(shape: Sequence[int], size: int = 1) -> int:
    """Return the product of all axes and of the bytes of one number.

    Raises:
        ValueError: leaving out axes of 0, it is beyond 53 bits, which no language has arrays for.
    """
    found = math.prod(n for n in shape if n) * size
    if found > MAX_INTEGER:
        raise ValueError(f"a shape of {found} bytes or numbers, more than {MAX_INTEGER}")
    return found if all(shape) else 0


def as_shape(value: Any) -> tuple[int, ...]:
    """Return a shape; ValueError where a value of JSON is none."""
    if not isinstance(value, list) or any(type(n) is not int or n < 0 for n in value):
        raise ValueError(f"shape {value!r}")
    if len(value) > MAX_AXES or any(n > MAX_SIZE for n in value):
        raise ValueError(f"a shape of {len(value)} axes, the longest {max(value)}")
    return tuple(value)


def _dtype(value: Any) -> str:
    if not isinstance(value, str) or value not in DTYPES:
        raise ValueError(f"dtype {value!r}")
    return value


def file_record(record: Mapping[str, Any]) -> FileRecord:
    """Read a `FileRecord`; ValueError or TypeError where it is none."""
    found = FileRecord(**record)
    if type(found.size) is not int or found.size < 0:
        raise ValueError(f"size {found.size!r}")
    is_hash = isinstance(found.sha256, str) and set(found.sha256) <= set(string.hexdigits.lower())
    if not is_hash or len(found.sha256) != 2 * hashlib.sha256().digest_size:
        raise ValueError(f"sha256 {found.sha256!r}")
    return found


def tensor_spec(record: Mapping[str, Any]) -> TensorSpec:
    """Read a `TensorSpec`; ValueError or TypeError where it is none."""
    spec = TensorSpec(**record)
    return TensorSpec(as_shape(spec.shape), _dtype(spec.dtype))


def class_labels(value: Any, ways: int | None) -> tuple[str, ...]:
    """Read the names of all `ways` classes; ValueError where a value of JSON is none."""
    if not isinstance(value, list) or not all(isinstance(label, str) for label in value):
        raise ValueError(f"labels {value!r}")
    if len(value) != ways:
        raise ValueError(f"{len(value)} labels for {ways} ways")
    if len(set(value)) != len(value):
        raise ValueError(f"a label twice: {value!r}")
    return tuple(value)


def state_tensor(record: Mapping[str, Any]) -> StateTensor:
    """Read a `StateTensor`; ValueError or TypeError where it is none."""
    tensor = StateTensor(**record)
    if tensor.kind not in ("parameter", "buffer"):
        raise ValueError(f"state tensor {record!r}")
    name = tensor.name
    if not isinstance(name, str) or not _is_name(name):
        raise ValueError(f"the name of state tensor {record!r}")
    if type(tensor.per_class) is not bool:
        raise ValueError(f"per_class {tensor.per_class!r}")
    dtype = _dtype(tensor.dtype)
    return StateTensor(name, as_shape(tensor.shape), dtype, tensor.kind, tensor.per_class)


def _is_name(text: str) -> bool:
    return is_plain(text) and not set(text) & {"\t", "\n"} and 0 < len(text.encode()) <= MAX_NAME
