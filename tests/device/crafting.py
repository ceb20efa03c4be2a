"""Bundles as an attacker makes them: every hash is right, whatever the files hold."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx

from edgemeta.bundle import MANIFEST, FileRecord
from edgemeta.device.packaged import BUNDLES

OMNIGLOT = BUNDLES / "omniglot"


def crafted(folder: Path, **files: bytes) -> Path:
    """Copy the packaged bundle, with other files, and a manifest that has their hashes.

    Args:
        folder: where to.
        files: by name without its ending.
    """
    bundle = Path(shutil.copytree(OMNIGLOT, folder / "bundle"))
    record = json.loads((bundle / MANIFEST).read_text())
    for stem, content in files.items():
        (path,) = bundle.glob(f"{stem}.*")
        path.write_bytes(content)
        made = FileRecord.of(content)
        record["files"][path.name] = {"size": made.size, "sha256": made.sha256}
    (bundle / MANIFEST).write_text(json.dumps(record))
    return bundle


def edited(name: str, edit: Callable[[onnx.ModelProto], object]) -> bytes:
    """Return the content of a graph of the packaged bundle, after an edit."""
    model = onnx.load(OMNIGLOT / name, load_external_data=False)
    edit(model)
    return bytes(model.SerializeToString())
