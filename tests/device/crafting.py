"""Bundles as an attacker makes them: every hash is right, whatever the files hold."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import onnx

from edgemeta.bundle import FileRecord
from edgemeta.device.packaged import BUNDLES
from tests.manifests import rewrite

OMNIGLOT = BUNDLES / "omniglot"


def crafted(folder: Path, **files: bytes) -> Path:
    """Copy the packaged bundle, with other files, and a manifest that has their hashes.

    Args:
        folder: where to.
        files: by name without its ending.
    """
    bundle = Path(shutil.copytree(OMNIGLOT, folder / "bundle"))
    made = {}
    for stem, content in files.items():
        (path,) = bundle.glob(f"{stem}.*")
        path.write_bytes(content)
        made[path.name] = asdict(FileRecord.of(content))
    rewrite(bundle, lambda record: record["files"].update(made))
    return bundle


def edited(name: str, edit: Callable[[onnx.ModelProto], object]) -> bytes:
    """Return the content of a graph of the packaged bundle, after an edit."""
    model = onnx.load(OMNIGLOT / name, load_external_data=False)
    edit(model)
    return bytes(model.SerializeToString())
