"""Checking who signed a bundle; `signing` says how it is signed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgemeta.bundle.manifest import SIGNATURE
from edgemeta.errors import BundleError, InputError
from edgemeta.util.files import read_regular

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNATURE_BYTES = 64
MAX_KEY_BYTES = 1 << 14  # a PEM file of Ed25519 has 120
MAKE_KEYS = (
    "make a pair with `openssl genpkey -algorithm ed25519 -out private.pem` and "
    "`openssl pkey -in private.pem -pubout -out public.pem`"
)


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


def _public_key(path: Path) -> Ed25519PublicKey:
    content = read_key(path)
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(content)
    except Exception as error:  # ValueError, UnsupportedAlgorithm
        raise InputError(f"{path} is no public key", got=error, hint=MAKE_KEYS) from error
    if not isinstance(key, Ed25519PublicKey):
        raise InputError(f"{path} is no Ed25519 key", got=type(key).__name__, hint=MAKE_KEYS)
    return key


def read_key(path: Path) -> bytes:
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
