"""Reading the files of a bundle: none is a link or too large, each has the hash it should have."""

from __future__ import annotations

import hashlib
from pathlib import Path

from edgemeta.bundle._entries import FileRecord
from edgemeta.bundle.manifest import MANIFEST, MAX_MANIFEST_BYTES, Manifest
from edgemeta.errors import BundleError
from edgemeta.util.files import read_regular


def read_manifest(directory: Path) -> tuple[Manifest, str]:
    """Read a bundle's manifest.

    Returns:
        The manifest, and the bundle's fingerprint: the sha256 of `manifest.json`, which holds
        the hashes of all the other files.

    Raises:
        BundleError: there is no bundle, or its manifest cannot be used.
    """
    return parse_manifest(directory, read_manifest_bytes(directory))


def read_manifest_bytes(directory: Path) -> bytes:
    """Return the content of a bundle's manifest, not yet checked.

    Raises:
        BundleError: there is no bundle, or its manifest cannot be read.
    """
    path = directory / MANIFEST
    try:
        content = read_regular(path, MAX_MANIFEST_BYTES, follow=False)
    except OSError as error:
        raise BundleError(
            f"{directory} is not a bundle",
            got=f"no readable {MANIFEST} ({error.strerror})",
            hint="make one with `edgemeta export RUN --out BUNDLE`",
        ) from error
    if content is None:
        raise BundleError(f"{path} is too large", expected=f"at most {MAX_MANIFEST_BYTES} bytes")
    return content


def parse_manifest(directory: Path, content: bytes) -> tuple[Manifest, str]:
    """Read what `read_manifest_bytes` returned; see `read_manifest`."""
    where = str(directory / MANIFEST)
    return Manifest.from_json(content, where), hashlib.sha256(content).hexdigest()


def read_file(directory: Path, name: str, manifest: Manifest) -> bytes:
    """Return the content of a file of the bundle, whose size and hash the manifest says.

    Raises:
        BundleError: the file is missing, was changed, or is a symbolic link.
    """
    path, record = directory / name, manifest.files[name]
    try:
        content = read_regular(path, record.size, follow=False)
    except OSError as error:
        raise BundleError(
            f"{path} cannot be read", got=error.strerror, hint="copy the bundle again"
        ) from error
    if content is None or len(content) != record.size:
        raise BundleError(
            f"{path} is damaged",
            got=f"{path.stat().st_size} bytes",
            expected=f"{record.size} bytes",
            hint="copy the bundle again",
        )
    found = FileRecord.of(content)
    if found != record:
        raise BundleError(
            f"{path} is damaged",
            got=f"sha256 {found.sha256[:12]}...",
            expected=f"{record.sha256[:12]}...",
            hint="copy the bundle again",
        )
    return content
