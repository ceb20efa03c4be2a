"""Signing a bundle: Ed25519 (RFC 8032), through `cryptography`.

What is signed is the content of `manifest.json`, which holds the hashes of all other files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgemeta.bundle.files import parse_manifest, read_file, read_manifest_bytes
from edgemeta.bundle.loading import load_bundle
from edgemeta.bundle.manifest import MANIFEST, SELFTEST, SIGNATURE
from edgemeta.bundle.signature import MAKE_KEYS, read_key
from edgemeta.errors import BundleError, InputError
from edgemeta.util.files import write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def sign(directory: Path, key: Path) -> str:
    """Check a bundle and sign it: writes `manifest.sig` into it, whole or not at all.

    Args:
        directory: the bundle.
        key: the private key, a PEM file that is not encrypted.

    Returns:
        The bundle's fingerprint.

    Raises:
        BundleError: the bundle is missing, damaged, or of an unknown version.
        InputError: the key cannot be used, or `cryptography` is not installed.
        EdgemetaError: the signature cannot be written.
    """
    private = _private_key(key)
    loaded = load_bundle(directory)
    read_file(directory, SELFTEST, loaded.manifest)
    fingerprint = loaded.fingerprint
    content = read_manifest_bytes(directory)
    if parse_manifest(directory, content)[1] != fingerprint:
        raise BundleError(f"{directory / MANIFEST} was changed just now", hint="sign it again")
    write_atomically(directory / SIGNATURE, private.sign(content))
    return fingerprint


def _private_key(path: Path) -> Ed25519PrivateKey:
    content = read_key(path)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except Exception as error:  # ValueError, TypeError (encrypted), UnsupportedAlgorithm
        raise InputError(f"{path} is no private key", got=error, hint=MAKE_KEYS) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} is no Ed25519 key", got=type(key).__name__, hint=MAKE_KEYS)
    return key
