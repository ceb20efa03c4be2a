"""What `edgemeta bench --record` measured, kept beside a bundle to compare other machines with.

A file of its own that the manifest knows nothing of: recording leaves the fingerprint, and with it
the states that belong to the bundle, as they are.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import onnxruntime

from edgemeta.bundle import BENCH
from edgemeta.errors import BundleError
from edgemeta.measure.bench import Latency, Speed
from edgemeta.util.files import read_regular, write_atomically
from edgemeta.util.strict_json import parse_object, short

MOST_BYTES = 1 << 16


@dataclass(frozen=True)
class BenchRecord:
    """How fast a bundle was, and where.

    Attributes:
        bundle: fingerprint of the bundle.
        machine: what the measuring machine calls itself.
        cores: it has.
        threads: that onnxruntime was given; None for one per core.
        onnxruntime: its version.
        speeds: one for each size of the support set.
    """

    bundle: str
    machine: str
    cores: int | None
    threads: int | None
    onnxruntime: str
    speeds: tuple[Speed, ...]

    @classmethod
    def here(cls, bundle: str, threads: int | None, speeds: list[Speed]) -> BenchRecord:
        """Describe what was measured on this machine."""
        version = onnxruntime.__version__
        return cls(bundle, machine(), os.cpu_count(), threads, version, tuple(speeds))


class Ratio(NamedTuple):
    """How many times as long something takes here as where it was recorded, at the median.

    Attributes:
        here: measured now.
        there: as it was recorded, for the same shots and steps.
        adapt: ratio of adapting.
        predict: ratio of predicting one sample.
    """

    here: Speed
    there: Speed
    adapt: float
    predict: float


def ratios(speeds: list[Speed], record: BenchRecord) -> list[Ratio]:
    """Compare what was measured at the same sizes and steps."""
    there = {(s.samples, s.steps): s for s in record.speeds}
    pairs = [(s, there[s.samples, s.steps]) for s in speeds if (s.samples, s.steps) in there]
    return [Ratio(h, t, h.adapt.p50 / t.adapt.p50, h.predict.p50 / t.predict.p50) for h, t in pairs]


def write_record(directory: Path, record: BenchRecord) -> None:
    """Keep a record in the directory of a bundle, in place of an earlier one.

    Raises:
        EdgemetaError: it cannot be written.
    """
    write_atomically(directory / BENCH, (json.dumps(asdict(record), indent=1) + "\n").encode())


def read_record(directory: Path, fingerprint: str) -> BenchRecord | None:
    """Read the record of a bundle; None if there is none.

    Raises:
        BundleError: it is damaged, or of another bundle.
    """
    path = directory / BENCH
    if not path.is_file():
        return None
    try:
        content = read_regular(path, MOST_BYTES, follow=True)
        if content is None:
            raise ValueError(f"more than {MOST_BYTES} bytes")
        found = parse_object(content)
        record = BenchRecord(**found | {"speeds": tuple(map(_speed, found["speeds"]))})
        if not all(isinstance(text, str) for text in (record.machine, record.onnxruntime)):
            raise ValueError(f"machine {record.machine!r}, onnxruntime {record.onnxruntime!r}")
        if record.bundle != fingerprint:
            raise ValueError("a record of another bundle")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleError(
            f"{path} cannot be used",
            got=short(error),
            hint="measure anew with `edgemeta bench --record`, or remove the file",
        ) from error
    return record


def machine() -> str:
    """Return what this machine calls itself: its board or its processor."""
    board = Path("/proc/device-tree/model")  # "Raspberry Pi 4 Model B Rev 1.4"
    if board.is_file():
        return board.read_text(errors="replace").strip("\0 \n")
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _speed(record: Any) -> Speed:
    speed = Speed(**record | {name: Latency(**record[name]) for name in ("adapt", "predict")})
    sizes = (speed.shots, speed.samples, speed.steps)
    times = (speed.adapt.p50, speed.adapt.p95, speed.predict.p50, speed.predict.p95)
    if any(type(size) is not int for size in sizes) or not all(0 < ms < 1e12 for ms in times):
        raise ValueError(f"speed {record!r}")
    return speed
