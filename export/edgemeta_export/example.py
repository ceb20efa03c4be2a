"""The example that an export traces: samples and labels, checked against the model and the task."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from edgemeta import bundle
from edgemeta.errors import InputError, UnsupportedModelError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta_export.checks import check_buffers, check_slices, check_state
from edgemeta_export.graph_coupling import check_samples_apart


class Example(NamedTuple):
    """What an inner loop is traced with.

    Attributes:
        x: (S, *input_shape) samples.
        y: (S,) labels or (S, *target_shape) targets.
        ways: classes of the head, or of the example with a shared head; None for regression.
    """

    x: Tensor
    y: Tensor
    ways: int | None


def checked_example(
    loop: InnerLoop,
    task: str,
    ways: int | None,
    example_x: Any,
    example_y: Any,
    *,
    is_sliced: bool,
) -> Example:
    """Return the example as tensors, after running the model on it.

    Args:
        loop: the inner loop.
        task: "classification" or "regression".
        ways: see `edgemeta_export.export_bundle`, as `example_x` and `example_y`.
        example_x: samples.
        example_y: labels or targets; None makes some up.
        is_sliced: whether the support set is taken in slices.

    Raises:
        InputError: the example does not fit the model or the task.
        UnsupportedModelError: the model does what an adaptation on a device cannot do.
    """
    check_state(loop)
    x = _samples(example_x)
    output = _forward(loop, x)
    check_buffers(loop, x)
    check_samples_apart(loop, x)
    if loop.per_class:
        ways = _shared_ways(task, ways, output, example_y)
    else:
        ways = _ways(task, ways, output)
    y = _targets(example_y, task, ways, output)
    if is_sliced:
        check_slices(loop, x, y)
    return Example(x, y, ways)


def _samples(example_x: Any) -> Tensor:
    x = np.ascontiguousarray(example_x.numpy() if isinstance(example_x, Tensor) else example_x)
    if x.ndim < 2 or len(x) < 1:
        raise InputError(
            "example_x must hold samples along axis 0",
            got=f"shape {x.shape}",
            expected="(n, *shape of one sample)",
        )
    try:
        return torch.from_numpy(x)
    except TypeError as error:
        raise InputError("example_x has a dtype that torch lacks", got=x.dtype) from error


def _forward(loop: InnerLoop, x: Tensor) -> Tensor:
    """Return the init's output, for its shape."""
    try:
        with torch.no_grad():
            output = loop.predict(loop.init(), x)
    except Exception as error:  # whatever a foreign model raises on data that it was not made for
        raise InputError(
            "the model does not run on example_x",
            got=f"{type(error).__name__}: {error}",
            hint="pass samples as the model takes them",
        ) from error
    if not isinstance(output, Tensor) or output.shape[:1] != x.shape[:1]:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise UnsupportedModelError(
            "the model must return one tensor with the samples along axis 0", got=got
        )
    return output


def _ways(task: str, ways: int | None, output: Tensor) -> int | None:
    if task == "regression":
        if ways is not None:
            raise InputError("ways is for classification", got=ways, expected=None)
        return None
    if output.ndim != 2 or (ways is not None and output.shape[1] != ways):
        raise InputError(
            "the model's output does not fit the task",
            got=f"shape {tuple(output.shape)}",
            expected=f"(n, {'ways' if ways is None else ways}) logits",
        )
    return int(output.shape[1])


def _shared_ways(task: str, ways: int | None, output: Tensor, example_y: Any) -> int:
    """Return how many classes the example of a shared head has."""
    if task == "regression":
        raise InputError("a shared head is for classification", hint="use torch.nn.Linear")
    if output.ndim != 2 or output.shape[1] != 1:
        raise InputError(
            "a shared head's output must be the model's",
            got=f"shape {tuple(output.shape)}",
            expected="(n, 1): one logit for the one row of the init",
        )
    if ways is None:
        if example_y is None:
            raise InputError(
                "cannot tell how many classes the model was trained on",
                hint="pass ways or example_y",
            )
        ways = int(torch.as_tensor(example_y).max()) + 1
    if not 2 <= ways <= bundle.MAX_WAYS:
        raise InputError("ways is out of range", got=ways, expected=f"2..{bundle.MAX_WAYS}")
    return ways


def _targets(example_y: Any, task: str, ways: int | None, output: Tensor) -> Tensor:
    """Return labels or targets for the example, made up where none are given."""
    if example_y is None:
        if ways is not None:
            return torch.arange(len(output)) % ways
        return output + torch.linspace(-1, 1, output.numel()).reshape(output.shape)
    dtype = torch.int64 if task == "classification" else torch.float32
    y = torch.as_tensor(example_y).to(dtype)
    expected = output.shape[:1] if task == "classification" else output.shape
    if y.shape != expected or (ways is not None and not bool(((y >= 0) & (y < ways)).all())):
        raise InputError(
            "example_y does not fit example_x and the model",
            got=f"shape {tuple(y.shape)}, values {y.min()}..{y.max()}",
            expected=f"shape {tuple(expected)}"
            + ("" if ways is None else f", labels 0..{ways - 1}"),
        )
    return y
