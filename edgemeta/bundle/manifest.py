"""The bundle's contract on disk: file names, tensor names, manifest, hashes.

Every name that crosses from the desk to a device is built here and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal, TypeGuard

from edgemeta.bundle._entries import (
    DTYPES,
    FileRecord,
    StateTensor,
    TensorSpec,
    class_labels,
    file_record,
    product,
    state_tensor,
    tensor_spec,
)
from edgemeta.bundle._seal import SEAL, seal_of
from edgemeta.bundle.training import TrainingRecord
from edgemeta.errors import BundleError
from edgemeta.util.strict_json import parse_object, short, without_nan

FORMAT_VERSION = 1

MANIFEST = "manifest.json"
ADAPT = "adapt.onnx"
PREDICT = "predict.onnx"
INIT = "init.bin"
SELFTEST = "selftest.safetensors"
PAYLOAD = (ADAPT, PREDICT, INIT, SELFTEST)
"""The files whose hashes the manifest holds."""

NEEDED = (ADAPT, PREDICT, INIT)
"""Those of them that a runner reads; the other one is for whoever verifies."""

SIGNATURE = "manifest.sig"
"""The Ed25519 signature of `manifest.json`, 64 bytes; only in a signed bundle."""

BENCH = "bench.json"
"""What `edgemeta bench --record` measured; no part of what the manifest describes."""

SUPPORT_X = "support_x"
SUPPORT_Y = "support_y"
STEPS = "steps"
LR_SCALE = "lr_scale"
WAYS = "ways"
LOSSES = "losses"
QUERY_X = "query_x"
LOGITS = "logits"
OUTPUT = "output"
RESERVED = frozenset({SUPPORT_X, SUPPORT_Y, STEPS, LR_SCALE, WAYS, LOSSES, QUERY_X, LOGITS, OUTPUT})
"""Names that a state tensor cannot have."""

STATE_BUNDLE_KEY = "edgemeta.bundle"
"""Metadata key of a state file: the fingerprint of the bundle that it belongs to."""

STATE_WAYS_KEY = "edgemeta.ways"
"""Metadata key of a state file: how many classes its task has."""

STATE_DIGEST_KEY = "edgemeta.sha256"
"""Metadata key of a state file: the hash of all else in it, see `_tensor_file.digest`."""

STATE_NOTES_KEY = "edgemeta.estimator"
"""Metadata key of a state file: what an estimator notes beside its tensors, as JSON."""

EXTRA_PREFIX = "edgemeta."
"""Begins the names of tensors that a state file has beside the state: a learner needs none."""

STATE_LABELS_KEY = "edgemeta.labels"
"""Metadata key of a state file: a JSON list of what its classes are called, by class index."""

BLOCK = 512
"""So many values of a large recorded result, in C order, are a block; see `sample_names`."""

LABELS = "labels"
"""The field of a manifest that is not there where classes have no names."""

MAX_WAYS = 65_536
"""The most classes of a shared head, so that no label asks for all memory."""

# Real ones have a few kB, a few MB, some MB: what is larger was made to fill the memory.
MAX_MANIFEST_BYTES = 1 << 19
MAX_BYTES = {ADAPT: 1 << 26, PREDICT: 1 << 26, INIT: 1 << 31, SELFTEST: 1 << 28}
MAX_STATE_TENSORS = 4096
MAX_SAMPLE_NUMBERS = 1 << 26


def next_name(name: str) -> str:
    """Return the name under which `adapt.onnx` hands back the state tensor `name`."""
    return f"{name}.next"


def sample_names(name: str) -> tuple[str, str, str]:
    """Return the names under which the selftest has a large result `name`: three for one.

    Returns:
        Those of its values at some places, of these places, and of the root mean squares: one
        number of each for every block of `BLOCK` values.
    """
    return f"{name}.values", f"{name}.places", f"{name}.rms"


def extra_name(name: str) -> str:
    """Return the name under which a state file has a tensor that is no part of the state."""
    return EXTRA_PREFIX + name


def prediction_name(task: str) -> str:
    """Return the name of the output of `predict.onnx` for a task kind."""
    return LOGITS if task == "classification" else OUTPUT


@dataclass(frozen=True)
class Manifest:
    """What a bundle says of itself (`manifest.json`).

    Attributes:
        task: "classification" or "regression".
        ways: classes the head has, the most that a task can have; None for regression. With a
            shared head those of its training, while a task may have any number.
        input: one sample, as the user's data has it.
        target: one label (shape (), int64) or one regression target.
        algorithm: what made the init: at least "name" and "inner_lr".
        inner_steps: the number of steps that `adapt` takes unless told otherwise.
        least_support: samples that an adaptation needs: 2 where batch norm would see one value.
        state: the tensors of the learner's state, in graph order.
        opset: ONNX opset of both graphs.
        ops: operator types each graph uses, for reduced runtime builds.
        files: size and sha256 of every other file.
        training: the training record: data, accuracy ± 95 % CI, norm mode; None if unknown.
        parity: what the compiler measured against PyTorch, and the tolerance that a runtime owes.
        adapted_parameters: how many numbers the inner step updates.
        flops_per_step: of one inner step over as many samples as the run's example has.
        peak_memory_bytes: estimate for one adaptation of that size.
        versions: of the packages that made the bundle.
        tuned: which variant was measured to be the fastest, and where; None if nothing was.
        format_version: of this layout.
        labels: names of the classes, by class index, where class k means the same in every task,
            so that the init predicts them before any adaptation; None where it does not. The file
            then has no such field, and older versions read it.
        seal: the sha256 of all other fields that the file had (see `cpp_runtime_notes.md`), which
            was found to be true; None for a manifest that was not read, or was made without.
    """

    task: Literal["classification", "regression"]
    ways: int | None
    input: TensorSpec
    target: TensorSpec
    algorithm: Mapping[str, Any]
    inner_steps: int
    least_support: int
    state: tuple[StateTensor, ...]
    opset: int
    ops: Mapping[str, list[str]]
    files: Mapping[str, FileRecord]
    parity: Mapping[str, Any]
    adapted_parameters: int
    flops_per_step: int
    peak_memory_bytes: int
    versions: Mapping[str, str]
    training: TrainingRecord | None = None
    tuned: Mapping[str, Any] | None = None
    format_version: int = field(default=FORMAT_VERSION)
    labels: tuple[str, ...] | None = None
    seal: str | None = field(default=None, compare=False)

    @cached_property
    def any_ways(self) -> bool:
        """Whether the head is a shared one, which takes any number of classes."""
        return any(tensor.per_class for tensor in self.state)

    @property
    def most_ways(self) -> int | None:
        """The most classes that a task can have; None for regression."""
        return MAX_WAYS if self.any_ways else self.ways

    @property
    def trained(self) -> TrainingRecord:
        """The training record; one that says nothing where there is none."""
        return TrainingRecord() if self.training is None else self.training

    def record(self) -> dict[str, Any]:
        """Return all fields of the file but the seal, as JSON has them."""
        record = asdict(replace(self, training=None))
        del record[SEAL]
        if self.labels is None:
            del record[LABELS]
        record["training"] = None if self.training is None else self.training.record()
        plain: dict[str, Any] = without_nan(record)
        return plain

    def to_json(self) -> bytes:
        """Return the content of `manifest.json`, sealed."""
        record = self.record()
        record[SEAL] = seal_of(record)
        return (json.dumps(record, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    @classmethod
    def from_json(cls, content: bytes, where: str = MANIFEST) -> Manifest:
        """Read and check the content of a `manifest.json`.

        Args:
            content: the bytes of the file.
            where: how errors name the file.

        Raises:
            BundleError: it is not JSON, of an unknown version, damaged, or breaks the contract.
        """
        try:
            record = parse_object(content)
        except ValueError as error:
            raise BundleError(f"{where} is not a JSON object", got=short(error)) from error
        version = record.get("format_version")
        if type(version) is not int or version != FORMAT_VERSION:  # True == 1 == 1.0
            raise BundleError(
                f"{where} has an unknown format_version",
                got=short(repr(version)),
                expected=FORMAT_VERSION,
                hint="install the edgemeta that made this bundle, or export it again",
            )
        if SEAL in record and record[SEAL] != (true := seal_of(record)):
            raise BundleError(
                f"{where} is damaged",
                got=f"fields with the seal {true[:12]}...",
                expected=f"{short(record[SEAL])[:12]}...",
                hint="copy the bundle again",
            )
        known = {f.name for f in fields(cls)}
        if odd := sorted((set(record) | {SEAL, LABELS}) ^ known):
            raise BundleError(f"{where} has missing or unknown fields", got=short(", ".join(odd)))
        try:
            if LABELS in record:
                record[LABELS] = class_labels(record[LABELS], record["ways"])
            manifest = cls(
                **record
                | {
                    "input": tensor_spec(record["input"]),
                    "target": tensor_spec(record["target"]),
                    "state": tuple(state_tensor(entry) for entry in record["state"]),
                    "files": {name: file_record(f) for name, f in record["files"].items()},
                    "training": None
                    if record["training"] is None
                    else TrainingRecord.of(record["training"], "training"),
                }
            )
            manifest._check()
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise BundleError(
                f"{where} breaks the contract", got=short(error), hint="export the bundle again"
            ) from error
        return manifest

    def _check(self) -> None:
        """Raise ValueError where a field has a value that no compiler of ours writes."""
        if self.task not in ("classification", "regression"):
            raise ValueError(f"task {self.task!r}")
        if type(self.ways) is not int if self.task == "classification" else self.ways is not None:
            raise ValueError(f"ways {self.ways!r} for {self.task}")
        if self.ways is not None and not 1 <= self.ways <= MAX_WAYS:
            raise ValueError(f"ways {self.ways!r}")
        if type(self.least_support) is not int or self.least_support < 1:
            raise ValueError(f"least_support {self.least_support!r}")
        for name in (
            *("inner_steps", "opset"),
            *("adapted_parameters", "flops_per_step", "peak_memory_bytes"),
        ):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)!r}")
        for name in ("algorithm", "ops", "parity", "versions"):
            if not isinstance(getattr(self, name), dict):
                raise ValueError(f"{name} {getattr(self, name)!r}")
        if not isinstance(self.tuned, dict | None):
            raise ValueError(f"tuned {self.tuned!r}")
        if set(self.ops) != {ADAPT, PREDICT} or not all(map(_is_texts, self.ops.values())):
            raise ValueError(f"ops {self.ops!r}")
        if not _is_texts(list(self.versions.values())):
            raise ValueError(f"versions {self.versions!r}")
        atol, rtol = (self.parity.get(name) for name in ("atol", "rtol"))
        if not (_is_number(atol) and _is_number(rtol) and atol > 0 <= rtol):
            raise ValueError(f"parity {self.parity!r}")
        if self.labels is not None and self.any_ways:
            raise ValueError("labels of a shared head, whose classes are those of a task")
        is_label = self.task == "classification"
        if self.target.dtype != ("int64" if is_label else "float32") or (
            is_label and self.target.shape
        ):
            raise ValueError(f"target {self.target} of a {self.task}")
        for spec in (self.input, self.target):
            if product(spec.shape) > MAX_SAMPLE_NUMBERS:
                raise ValueError(f"one sample of shape {spec.shape}")
        self._check_files()
        self._check_state()

    def _check_files(self) -> None:
        if set(self.files) != set(PAYLOAD):
            raise ValueError(f"files {sorted(self.files)}")
        for name, record in self.files.items():
            if record.size > MAX_BYTES[name]:
                raise ValueError(f"{name} of {record.size} bytes, more than {MAX_BYTES[name]}")

    def _check_state(self) -> None:
        for tensor in self.state:
            if tensor.per_class and (self.ways is None or tensor.shape[:1] != (1,)):
                raise ValueError(f"{tensor.name} is per_class, with shape {tensor.shape}")
        names = [tensor.name for tensor in self.state]
        reserved = RESERVED & set(names) or any(name.startswith(EXTRA_PREFIX) for name in names)
        if len(set(names)) != len(names) or reserved or not names:
            raise ValueError(f"state tensor names {names}")
        if len(names) > MAX_STATE_TENSORS:
            raise ValueError(f"{len(names)} state tensors")
        size = sum(product(t.shape, DTYPES[t.dtype]) for t in self.state)
        if size > self.files[INIT].size:
            raise ValueError(f"a state of {size} bytes, more than {INIT} has")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_number(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float)
