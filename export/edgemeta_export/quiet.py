"""Keeping the remarks of libraries on themselves from the user, who cannot change anything."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = ("torch.onnx", "onnx_ir")


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
