"""Putting a bundle into place: written beside it, checked there, then renamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgemeta import bundle
from edgemeta.bundle import Manifest
from edgemeta.device.runner import Runner
from edgemeta.measure.verify import verify
from edgemeta.util.files import write_atomically
from edgemeta_export.staging import check_replaceable, staged
from edgemeta_export.storage import check_graph


def checked_target(out: Path) -> Path:
    """Return `out` if a bundle may be written there.

    Raises:
        InputError: something else than a bundle is there.
    """
    check_replaceable(out, bundle.MANIFEST, f"{out} exists and is no bundle")
    return out


def publish(out: Path, content: Mapping[str, bytes], manifest: Manifest) -> Path:
    """Write a bundle, replay its selftest on onnxruntime, and rename it into place.

    Args:
        out: the directory that will be the bundle.
        content: every file but the manifest.
        manifest: its parity record is completed with the differences found.

    Returns:
        `out`.

    Raises:
        EdgemetaError: the place cannot be written to.
        ParityError: onnxruntime computes something else than PyTorch; `out` is as it was.
    """
    with staged(out) as temporary:
        for name, data in content.items():
            write_atomically(temporary / name, data)
        for name in (bundle.ADAPT, bundle.PREDICT):
            check_graph(temporary / name)
        write_atomically(temporary / bundle.MANIFEST, manifest.to_json())
        found = verify(Runner(temporary))
        manifest = replace(
            manifest,
            parity=dict(manifest.parity) | {"found": {n: d.largest for n, d in found.items()}},
        )
        write_atomically(temporary / bundle.MANIFEST, manifest.to_json())
    return out
