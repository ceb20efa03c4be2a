"""Models that are not ours: a function to import, or an object of Python."""

from __future__ import annotations

import importlib
import os
import re
import sys
from typing import Any

import torch
from torch import Tensor, nn

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.inner.shared_head import shared_names
from edgemeta.meta.models.networks import MODELS

MAKER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
OBJECT = re.compile(r"<.+>")
HOW = "define a function of the input's shape and the ways: def make(shape, ways): return MyNet()"


def is_foreign(name: str) -> bool:
    """Whether a config names a model that is not ours: "package.module:function", or "<Class>"."""
    return bool(MAKER.fullmatch(name) or OBJECT.fullmatch(name))


def object_name(model: nn.Module) -> str:
    """Return how a config names an object of Python, which it cannot make again."""
    return f"<{type(model).__module__}.{type(model).__qualname__}>"


def import_model(name: str, input: TensorSpec, outputs: int | tuple[int, ...]) -> nn.Module:
    """Call a function for a model.

    Args:
        name: "package.module:function", also of the current directory. It is called with the shape
            of one sample and the ways, or for regression the shape of a target.
        input: one raw sample.
        outputs: ways, or the shape of a regression target.

    Raises:
        InputError: it cannot be imported or called, or what it returns does not fit the data.
    """
    module_name, _, function_name = name.partition(":")
    function = getattr(_imported(module_name), function_name, None)
    if not callable(function):
        raise InputError(
            f"--model {name}: {module_name} has no function {function_name}",
            got="nothing" if function is None else type(function).__name__,
            hint=HOW,
        )
    try:
        model = function(input.shape, outputs)
    except Exception as error:  # whatever foreign code raises
        raise InputError(
            f"--model {name} fails when called with ({input.shape}, {outputs})",
            got=f"{type(error).__name__}: {error}",
            hint=HOW,
        ) from error
    if not isinstance(model, nn.Module):
        raise InputError(
            f"--model {name} returns no module",
            got=type(model).__name__,
            expected="a torch.nn.Module",
            hint=HOW,
        )
    return model


def check_output(name: str, model: nn.Module, input: TensorSpec, outputs: Any) -> None:
    """Run a foreign model on two samples.

    Args:
        name: what errors call it.
        model: maps (N, *shape) to (N, ways), (N, 1) for a shared head, or (N, *target_shape).
        input: one raw sample.
        outputs: ways, or the shape of a regression target.

    Raises:
        InputError: it does not run, or gives something else.
    """
    samples = torch.zeros((2, *input.shape), dtype=getattr(torch, input.dtype))
    training = [module for module in model.modules() if module.training]
    try:
        with torch.no_grad():
            output = model.eval()(samples)
    except Exception as error:  # whatever foreign code raises
        raise InputError(
            f"{name} does not run on the samples of these tasks",
            got=f"{type(error).__name__}: {error}",
            expected=f"it to take {input.dtype} (N, {', '.join(map(str, input.shape))})",
            hint="scale and reshape inside the model",
        ) from error
    finally:
        for module in training:
            module.training = True
    columns = 1 if shared_names(model) else outputs
    expected = (2, *(columns if isinstance(columns, tuple) else (columns,)))
    if not isinstance(output, Tensor) or tuple(output.shape) != expected:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise InputError(
            f"{name} has the wrong output for these tasks",
            got=f"{shape} for 2 samples",
            expected=str(expected),
            hint="let its last layer have one output for each of the ways, or be a SharedHead",
        )


def not_given(name: str) -> InputError:
    """Return the error for a model that was an object in another process."""
    return InputError(
        "the model of this run was an object in Python, which cannot be made again",
        got=name,
        hint="in Python pass Run(path, model=...) in place of the path, or train with "
        "--model package.module:function",
    )


def unknown(name: str) -> InputError:
    """Return the error for a name that means nothing."""
    return InputError(
        "unknown model",
        got=repr(name),
        expected=" or ".join((*MODELS, "package.module:function")),
    )


def _imported(name: str) -> Any:
    here = os.getcwd()
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever foreign code raises when it is imported
        raise InputError(
            f"cannot import {name}",
            got=f"{type(error).__name__}: {error}",
            hint=f"it must lie in {here}, on PYTHONPATH, or in an installed package",
        ) from error
    finally:
        if added:
            sys.path.remove(here)
