"""What comes in from outside, checked in one place: samples, labels, targets, numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import Manifest, TensorSpec
from edgemeta.errors import InputError

MAX_STEPS = 10_000  # far beyond any few-shot use: more is a slip of the pen
MAX_LR_SCALE = 1000.0  # gradient descent bears a small multiple of its trained rate, no more


def check_samples(name: str, x: Any, spec: TensorSpec) -> NDArray[Any]:
    """Return `x` as the graph wants it.

    Integers of another type pass if their values fit, floats of another width if they stay
    finite; integers pass for floats, but floats never for integers: scaled images in place of raw
    ones are the commonest mistake.

    Args:
        name: how errors call it.
        x: (n, *spec.shape) samples.
        spec: one sample, as the bundle wants it.

    Returns:
        (n, *spec.shape) of spec.dtype, contiguous.

    Raises:
        InputError: empty, of another shape or dtype, or not finite.
    """
    array = _array(name, x)
    if array.shape == spec.shape:
        raise InputError(
            f"{name} is one sample, not a batch",
            got=f"shape {array.shape}",
            expected=f"(n, {', '.join(map(str, spec.shape))})",
            hint="add an axis: x[None]",
        )
    if array.shape[1:] != spec.shape or array.ndim == 0:
        raise InputError(
            f"{name} has the wrong shape",
            got=array.shape,
            expected=f"(n, {', '.join(map(str, spec.shape))})",
            hint="pass samples as the model was trained on them",
        )
    if len(array) == 0:
        raise InputError(f"{name} is empty", expected="at least one sample")
    return _cast(name, array, np.dtype(spec.dtype))


def check_labels(name: str, y: Any, samples: int, ways: int) -> NDArray[np.int64]:
    """Return labels (samples,) int64; errors call them `name`.

    Raises:
        InputError: not integers, of another length, or outside 0..ways-1.
    """
    array = _array(name, y)
    if array.dtype.kind not in "iu":
        raise InputError(
            f"{name} must hold integer labels",
            got=array.dtype,
            expected=f"integers 0..{ways - 1}",
            hint="number the classes from 0",
        )
    if array.shape != (samples,):
        raise InputError(
            f"{name} has the wrong shape",
            got=array.shape,
            expected=f"({samples},), one label for each sample",
        )
    if array.min() < 0 or array.max() >= ways:
        raise InputError(
            f"{name} has labels outside the task's classes",
            got=f"{array.min()}..{array.max()}",
            expected=f"0..{ways - 1}",
            hint="number the classes from 0",
        )
    return np.ascontiguousarray(array, np.int64)


def check_targets(name: str, y: Any, samples: int, spec: TensorSpec) -> NDArray[Any]:
    """Return regression targets (samples, *spec.shape) float32; errors call them `name`.

    Raises:
        InputError: of another shape or dtype, or not finite.
    """
    array = _array(name, y)
    if array.shape != (samples, *spec.shape):
        raise InputError(
            f"{name} has the wrong shape", got=array.shape, expected=(samples, *spec.shape)
        )
    return _cast(name, array, np.dtype(spec.dtype))


def check_support(
    x: Any, y: Any, manifest: Manifest, ways: int | None, name: str = "support"
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Check a whole support set against a bundle, for a task of `ways` classes.

    Errors call its arrays `name`_x and `name`_y.
    """
    samples = check_samples(f"{name}_x", x, manifest.input)
    if len(samples) < manifest.least_support:
        raise InputError(
            f"{name}_x has too few samples",
            got=len(samples),
            expected=f"at least {manifest.least_support}",
            hint="the model's batch norm needs more than one value per channel",
        )
    if ways is not None:
        return samples, check_labels(f"{name}_y", y, len(samples), ways)
    return samples, check_targets(f"{name}_y", y, len(samples), manifest.target)


def check_steps(steps: Any) -> int:
    """Return the number of inner steps.

    Raises:
        InputError: not an integer, negative, or absurd.
    """
    if not isinstance(steps, int | np.integer) or isinstance(steps, bool):
        raise InputError("steps must be an integer", got=repr(steps))
    if not 0 <= steps <= MAX_STEPS:
        raise InputError("steps is out of range", got=steps, expected=f"0..{MAX_STEPS}")
    return int(steps)


def check_ways(ways: Any, manifest: Manifest, least: int = 2) -> int:
    """Return the number of classes of a task.

    Args:
        ways: the number.
        manifest: of the bundle.
        least: the fewest that it can be.

    Raises:
        InputError: not an integer, more than the head has, or the bundle is for regression.
    """
    if manifest.most_ways is None:
        raise InputError("ways is for classification", got=repr(ways))
    if not isinstance(ways, int | np.integer) or isinstance(ways, bool):
        raise InputError("ways must be an integer", got=repr(ways))
    if not least <= ways <= manifest.most_ways:
        raise InputError(
            "ways is out of range", got=ways, expected=f"{least}..{manifest.most_ways}"
        )
    return int(ways)


def check_lr_scale(lr_scale: Any) -> float:
    """Return the scale of the inner learning rate.

    Raises:
        InputError: not a number, negative, or absurd.
    """
    try:
        value = float(lr_scale)
    except (TypeError, ValueError) as error:
        raise InputError("lr_scale must be a number", got=repr(lr_scale)) from error
    if not 0 <= value <= MAX_LR_SCALE:
        raise InputError("lr_scale is out of range", got=value, expected=f"0..{MAX_LR_SCALE:g}")
    return value


def check_threads(threads: Any) -> int:
    """Return the number of threads as onnxruntime counts them: 0 for one per core.

    Raises:
        InputError: neither None nor a positive integer.
    """
    if threads is None:
        return 0
    if type(threads) is not int or threads < 1:
        raise InputError("threads must be a positive integer", got=repr(threads))
    return threads


def is_finite(array: NDArray[Any]) -> bool:
    """Whether all numbers are finite."""
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _array(name: str, value: Any) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except ValueError as error:  # ragged lists
        raise InputError(f"{name} is no array", got=str(error)) from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must hold numbers", got=f"dtype {array.dtype}")
    return array


def _cast(name: str, array: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if not is_finite(array):
        raise InputError(
            f"{name} holds values that are not finite",
            got=f"{int((~np.isfinite(array)).sum())} of {array.size}",
            hint="drop or repair these samples",
        )
    if array.dtype == dtype:
        return np.ascontiguousarray(array)
    if dtype.kind in "iu" and array.dtype.kind == "f":
        raise InputError(
            f"{name} has the wrong dtype",
            got=array.dtype,
            expected=dtype,
            hint="pass raw samples: scaling happens inside the bundle",
        )
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if array.min() < limits.min or array.max() > limits.max:
            raise InputError(
                f"{name} has values that {dtype} cannot hold",
                got=f"{array.min()}..{array.max()}",
                expected=f"{limits.min}..{limits.max}",
            )
    with np.errstate(over="ignore"):
        cast = np.ascontiguousarray(array, dtype)
    if not is_finite(cast):
        raise InputError(f"{name} has values too large for {dtype}")
    return cast
