"""Signing a bundle, and checking who signed it: Ed25519 (RFC 8032), through `cryptography`.

What is signed is the content of `manifest.json`, which holds the hashes of all other files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgemeta.bundle.files import parse_manifest, read_manifest_bytes
from edgemeta.bundle.loading import load_bundle
from edgemeta.bundle.manifest import MANIFEST, SIGNATURE
from edgemeta.errors import BundleError, InputError
from edgemeta.util.files import read_regular, write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNATURE_BYTES = 64
MAX_KEY_BYTES = 1 << 14  # a PEM file of Ed25519 has 120
MAKE_KEYS = (
    "make a pair with `openssl genpkey -algorithm ed25519 -out private.pem` and "
    "`openssl pkey -in private.pem -pubout -out public.pem`"
)


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
    fingerprint = load_bundle(directory).fingerprint
    content = read_manifest_bytes(directory)
    if parse_manifest(directory, content)[1] != fingerprint:
        raise BundleError(f"{directory / MANIFEST} was changed just now", hint="sign it again")
    write_atomically(directory / SIGNATURE, private.sign(content))
    return fingerprint


def check_signature(directory: Path, manifest: bytes, key: Path) -> None:
    """Check that a bundle's manifest was signed.

    Args:
        directory: the bundle.
        manifest: the content of its manifest.
        key: the public key, a PEM file.

    Raises:
        BundleError: it was not signed, not by this key, or was changed since.
        InputError: the key cannot be used, or `cryptography` is not installed.
    """
    public = _public_key(key)
    from cryptography.exceptions import InvalidSignature

    path = directory / SIGNATURE
    try:
        signature = read_regular(path, SIGNATURE_BYTES, follow=False) or b""
    except OSError as error:
        raise BundleError(
            f"{directory} is not signed",
            got=f"no readable {SIGNATURE} ({error.strerror})",
            hint="its maker signs it with `edgemeta sign`",
        ) from error
    try:
        public.verify(signature, manifest)
    except InvalidSignature as error:
        raise BundleError(
            f"{directory} has a wrong signature: the manifest was changed, or signed by another key"
        ) from error


def _private_key(path: Path) -> Ed25519PrivateKey:
    content = _read_key(path)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(content, password=None)
    except Exception as error:  # ValueError, TypeError (encrypted), UnsupportedAlgorithm
        raise InputError(f"{path} is no private key", got=error, hint=MAKE_KEYS) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} is no Ed25519 key", got=type(key).__name__, hint=MAKE_KEYS)
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    content = _read_key(path)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except Exception as error:  # ValueError, UnsupportedAlgorithm
        raise InputError(f"{path} is no public key", got=error, hint=MAKE_KEYS) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} is no Ed25519 key", got=type(key).__name__, hint=MAKE_KEYS)
    return key


def _read_key(path: Path) -> bytes:
    """Return the content of a key's file, once it is sure that it can be used."""
    try:
        import cryptography  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(
            "signatures need cryptography, which is not installed",
            hint='pip install "edgemeta[sign]"',
        ) from error
    try:
        content = read_regular(path, MAX_KEY_BYTES, follow=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read", got=error.strerror, expected="a key", hint=MAKE_KEYS
        ) from error
    if content is None:
        raise InputError(f"{path} is too large for a key", hint=MAKE_KEYS)
    return content
