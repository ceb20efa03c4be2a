"""The bundle's contract on disk, read and checked.

| module | what it holds |
|---|---|
| `manifest` | names of files and tensors, limits, `Manifest` |
| `training` | `TrainingRecord`: what made the init, and how raw data became samples |
| `files` | files of a bundle, each with the hash it should have |
| `loading` | from these files to what a session is made of |
| `bake` | a graph with a state as constants |
| `selftest` | the recorded episode |
| `signature`, `signing` | who signed a bundle |
| `state` | state files: what a device has learned |
"""

from edgemeta.bundle._entries import (
    DTYPES,
    MAX_AXES,
    MAX_NAME,
    FileRecord,
    StateTensor,
    TensorSpec,
)
from edgemeta.bundle.manifest import (
    ADAPT,
    BENCH,
    BLOCK,
    EXTRA_PREFIX,
    FORMAT_VERSION,
    INIT,
    LOGITS,
    LOSSES,
    LR_SCALE,
    MANIFEST,
    MAX_BYTES,
    MAX_MANIFEST_BYTES,
    MAX_SAMPLE_NUMBERS,
    MAX_STATE_TENSORS,
    MAX_WAYS,
    NEEDED,
    OUTPUT,
    PAYLOAD,
    PREDICT,
    QUERY_X,
    RESERVED,
    SELFTEST,
    SIGNATURE,
    STATE_BUNDLE_KEY,
    STATE_DIGEST_KEY,
    STATE_LABELS_KEY,
    STATE_NOTES_KEY,
    STATE_WAYS_KEY,
    STEPS,
    SUPPORT_X,
    SUPPORT_Y,
    WAYS,
    Manifest,
    extra_name,
    next_name,
    prediction_name,
    sample_names,
)
from edgemeta.bundle.training import (
    QuantizationResult,
    TrainingChoices,
    TrainingRecord,
    TrainingResult,
)

__all__ = [
    "ADAPT",
    "BENCH",
    "BLOCK",
    "DTYPES",
    "EXTRA_PREFIX",
    "FORMAT_VERSION",
    "INIT",
    "LOGITS",
    "LOSSES",
    "LR_SCALE",
    "MANIFEST",
    "MAX_AXES",
    "MAX_BYTES",
    "MAX_MANIFEST_BYTES",
    "MAX_NAME",
    "MAX_SAMPLE_NUMBERS",
    "MAX_STATE_TENSORS",
    "MAX_WAYS",
    "NEEDED",
    "OUTPUT",
    "PAYLOAD",
    "PREDICT",
    "QUERY_X",
    "RESERVED",
    "SELFTEST",
    "SIGNATURE",
    "STATE_BUNDLE_KEY",
    "STATE_DIGEST_KEY",
    "STATE_LABELS_KEY",
    "STATE_NOTES_KEY",
    "STATE_WAYS_KEY",
    "STEPS",
    "SUPPORT_X",
    "SUPPORT_Y",
    "WAYS",
    "FileRecord",
    "Manifest",
    "QuantizationResult",
    "StateTensor",
    "TensorSpec",
    "TrainingChoices",
    "TrainingRecord",
    "TrainingResult",
    "extra_name",
    "next_name",
    "prediction_name",
    "sample_names",
]
