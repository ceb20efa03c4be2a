"""Keeping from the user what libraries say, and what Python does, without being asked."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("torch.onnx", "onnx_ir")


@contextmanager
def without_collection() -> Iterator[None]:
    """Hold Python's search for cycles of objects.

    Tracing makes millions of objects, hardly any of which become garbage before its end: looking
    for it takes a tenth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and the loggers of the exporters (missing torchvision, skipped constants).

    Errors come through.
    """
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
