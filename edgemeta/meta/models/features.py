"""What no trained tensor reaches, computed once per sample and kept in a file.

A file lies under `$EDGEMETA_CACHE`, or else `~/.cache/edgemeta/features`. Its name is a hash of the
weights and code that make the features, and of the samples: other weights or other samples have
another file. It can be removed at any time.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import fx, nn
from tqdm import tqdm

import edgemeta
from edgemeta.data.dataset import ArraySamples, Samples
from edgemeta.data.file_samples import FileSamples
from edgemeta.errors import EdgemetaError
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta.meta.models.split import ROUNDING
from edgemeta.meta.models.weights import tensor_bytes, weights_digest
from edgemeta.tasks import TaskSource
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.table_source import TableSource
from edgemeta.util.locks import alone

BATCH = 64  # samples that the front sees at once
READ_TWICE = 64  # samples; with a random change in half of all readings, 2^-64 go unnoticed
_HASHED_AT_ONCE = 2**24  # bytes
_SCALARS = (bool, int, float, str, type(None), tuple)


def cache_folder() -> Path:
    """Return where features are kept: `$EDGEMETA_CACHE`, or `~/.cache/edgemeta/features`."""
    if given := os.environ.get("EDGEMETA_CACHE"):
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "edgemeta" / "features"


class FeatureCache:
    """The features of one source, which is looked through once, whatever makes features of it.

    Args:
        source: of raw samples.

    Attributes:
        source: as given.

    Example:
        features = FeatureCache(source).behind(model.body, CPU) or source
    """

    def __init__(self, source: TaskSource) -> None:
        self.source = source
        self._made: dict[str, TaskSource] = {}

    def first(self, count: int) -> NDArray[Any] | None:
        """Return up to so many raw samples; None where samples have no fixed place."""
        if not isinstance(self.source, DatasetSource | TableSource):
            return None
        raw = self.source.dataset.samples
        return np.ascontiguousarray(raw.read(np.arange(min(count, len(raw)))))

    def behind(
        self, front: nn.Module, device: torch.device, *, looks: int | None = None
    ) -> TaskSource | None:
        """Return a source whose samples are features; its episodes show the same samples.

        Args:
            front: maps raw samples (N, *shape) to features (N, ...), in eval mode on the device.
            device: where to compute.
            looks: how many samples will be looked at, if that is known.

        Returns:
            None where samples have no fixed place in the source (it makes them, or changes them at
            random when they are read), where the features would fill more than half of the disk,
            and where none are kept yet and the looks are fewer than the samples.

        Raises:
            EdgemetaError: the folder cannot be written to.
        """
        source = self.source
        if not isinstance(source, DatasetSource | TableSource) or self._data is None:
            return None
        key = _hash(digest(front), self._data)
        if key in self._made:
            return self._made[key]
        cache = _Cache(front, source.dataset.samples, device, cache_folder(), key)
        try:
            features = cache.features(looks)
        except OSError as error:
            raise EdgemetaError(
                f"cannot keep features in {cache_folder()}",
                got=error.strerror or str(error),
                hint="set EDGEMETA_CACHE to another folder, or train with --cache off",
            ) from error
        if features is None:
            return None
        made = source.on(ArraySamples(f"the features of {source.name}", features))
        self._made[key] = made
        return made

    @functools.cached_property
    def _data(self) -> str | None:
        """A hash of the samples, and of how they were read; None where they change at random."""
        source = self.source
        assert isinstance(source, DatasetSource | TableSource)  # noqa: S101  # see behind
        data = fingerprint(source.dataset.samples)
        if data is None:
            return None
        reading = [edgemeta.__version__, source.preprocessing]
        return _hash(data, json.dumps(reading, sort_keys=True, default=str))


def fingerprint(samples: Samples) -> str | None:
    """Return a hash of samples; None where reading one twice gives something else.

    Files are told by name, size and time of change; everything else is read.
    """
    form = f"{len(samples)} {samples.shape} {samples.dtype}"
    probed = np.unique(np.linspace(0, len(samples) - 1, READ_TWICE).astype(np.int64))
    once, twice = samples.read(probed), samples.read(probed)
    if once.tobytes() != twice.tobytes():
        return None
    if isinstance(samples, FileSamples):
        status = [(str(path.resolve()), path.stat()) for path in samples.paths]
        files = [f"{name} {found.st_size} {found.st_mtime_ns}" for name, found in status]
        return _hash(form, once.tobytes(), *files)
    step = max(1, _HASHED_AT_ONCE // max(1, once[:1].nbytes))
    blocks = (np.arange(k, min(k + step, len(samples))) for k in range(0, len(samples), step))
    return _hash(form, *(np.ascontiguousarray(samples.read(rows)).tobytes() for rows in blocks))


def digest(module: nn.Module) -> str:
    """Return a hash of what a module computes: its weights, its code, its plain attributes.

    Unlike `weights_digest`, which runs and bundles record, it changes with the code and with torch.
    """
    parts: list[str | bytes] = [torch.__version__]
    for name, part in module.named_modules():
        if isinstance(part, fx.GraphModule):
            parts.append(f"{name} {part.code}")
            continue
        if isinstance(part, OnnxModule):
            continue  # weights_digest has its content
        kind = type(part)
        parts.append(f"{name} {kind.__module__}.{kind.__qualname__} {part.extra_repr()}")
        if not kind.__module__.startswith("torch."):
            with contextlib.suppress(OSError, TypeError):  # code without a file
                parts.append(inspect.getsource(kind))
        plain = {k: v for k, v in vars(part).items() if isinstance(v, _SCALARS)}
        parts.append(repr(sorted(plain.items())))
    kept = module.state_dict()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        parts.append(f"{name} {tuple(tensor.shape)} {tensor.dtype}")
        if name not in kept:  # a buffer that no checkpoint has
            parts.append(tensor_bytes(tensor))
    return _hash(weights_digest(module), *parts)


def _hash(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(len(content).to_bytes(8, "little") + content)
    return found.hexdigest()


class _Cache:
    """One file of features.

    While it is made, `KEY.part` has the first rows, and `KEY.rows` says how many: whoever comes
    after an interruption goes on from there.
    """

    def __init__(
        self, front: nn.Module, samples: Samples, device: torch.device, folder: Path, key: str
    ) -> None:
        self._front, self._samples, self._device = front, samples, device
        self._folder = folder
        self._path, self._part, self._rows, self._lock = (
            folder / f"{key[:40]}.{suffix}" for suffix in ("npy", "part", "rows", "lock")
        )

    def features(self, looks: int | None = None) -> NDArray[np.float32] | None:
        """Return (N, ...) float32, memory-mapped; None where that cannot be, or does not pay.

        Args:
            looks: see `FeatureCache.behind`.
        """
        few = self._compute(np.arange(min(2, len(self._samples))))
        shape = (len(self._samples), *few.shape[1:])
        self._folder.mkdir(parents=True, exist_ok=True)
        with alone(self._lock):
            if (kept := self._kept(shape)) is not None:
                return kept
            if looks is not None and looks < len(self._samples):
                return None
            size = int(np.prod(shape)) * few.itemsize
            if size > shutil.disk_usage(self._folder).free / 2:
                return None
            self._fill(shape)
            os.replace(self._part, self._path)
            self._rows.unlink(missing_ok=True)
        return self._kept(shape)

    def _kept(self, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
        """Return the features of the file; None where it is damaged, or its ends are not true."""
        found = _mapped(self._path, shape)
        if found is None:
            return None
        ends = np.unique([0, len(found) // 2, len(found) - 1])
        fresh = self._compute(ends)
        true = np.abs(fresh - found[ends]).max() <= ROUNDING * np.abs(fresh).max()
        return found if true else None

    def _fill(self, shape: tuple[int, ...]) -> None:
        """Compute what is missing."""
        done = 0
        part = None
        if self._rows.exists() and (part := _mapped(self._part, shape, "r+")) is not None:
            text = self._rows.read_text(encoding="utf-8")
            done = int(text) if text.isdigit() else 0
        if part is None:
            part = np.lib.format.open_memmap(self._part, "w+", np.float32, shape)
        with tqdm(
            total=len(part), initial=done, desc="features", unit="sample", disable=None
        ) as bar:
            for start in range(done, len(part), BATCH):
                rows = np.arange(start, min(start + BATCH, len(part)))
                part[rows] = self._compute(rows)
                part.flush()
                self._rows.write_text(str(rows[-1] + 1), encoding="utf-8")
                bar.update(len(rows))

    def _compute(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        samples = torch.from_numpy(np.ascontiguousarray(self._samples.read(rows)))
        with torch.no_grad():
            made: NDArray[np.float32] = self._front(samples.to(self._device)).cpu().numpy()
        return made.reshape(len(made), -1) if made.ndim < 2 else made


def _mapped(path: Path, shape: tuple[int, ...], mode: Any = "r") -> np.memmap[Any, Any] | None:
    """Return a file as an array; None where it is missing, damaged, or has another form."""
    try:
        found = np.lib.format.open_memmap(path, mode)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None
