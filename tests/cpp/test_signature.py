"""Signed bundles in C++: what `edgemeta sign` signed passes, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from edgemeta import BundleError, InputError, Runner
from edgemeta.bundle import MANIFEST, SIGNATURE
from edgemeta.bundle.signing import sign
from tests.cpp.conftest import BUILD, Save, Tool
from tests.device.crafting import crafted

PEM, PUBLIC = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo


@pytest.fixture
def signer() -> Ed25519PrivateKey:
    return Ed25519PrivateKey.generate()


@pytest.fixture
def public(signer: Ed25519PrivateKey) -> bytes:
    return signer.public_key().public_bytes(PEM, PUBLIC)


@pytest.fixture
def signed(tmp_path: Path, signer: Ed25519PrivateKey) -> Path:
    private = tmp_path / "private"
    private.write_bytes(signer.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()))
    bundle = crafted(tmp_path)
    sign(bundle, private)
    return bundle


@pytest.fixture
def key(tmp_path: Path, public: bytes) -> Path:
    path = tmp_path / "public.pem"
    path.write_bytes(public)
    return path


def test_this_build_checks_signatures(tool: Tool) -> None:
    cache = (BUILD / "CMakeCache.txt").read_text()
    assert re.search(r"^EDGEMETA_SIGNATURES:BOOL=ON$", cache, re.MULTILINE)


def test_a_signed_bundle_runs(tool: Tool, signed: Path, key: Path, save: Save) -> None:
    record = tool("verify", signed, "--key", key, "--json").record
    assert record["signed_with"] == str(key)
    assert tool("verify", signed, "--json").record["signed_with"] is None  # anybody may run it
    x = np.zeros((2, 28, 28), np.uint8)
    x[0, 4:24, 13:16] = x[1, 13:16, 4:24] = 255
    support, out = save(x=x, y=np.arange(2)), signed.parent / "state.safetensors"
    assert tool("adapt", signed, support, "--out", out, "--key", key).code == 0
    done = tool("predict", signed, support, "--state", out, "--key", key, "--json").record
    assert done["predictions"] == [0, 1]
    (signed / SIGNATURE).unlink()
    for words in (
        ("adapt", signed, support, "--out", out), ("predict", signed, support), ("verify", signed)
    ):  # fmt: skip
        assert "is not signed: got no readable manifest.sig" in tool(*words, "--key", key).refused()
        assert tool(*words).code == 0


def test_a_signature_of_someone_else(tool: Tool, signed: Path, key: Path) -> None:
    other = Ed25519PrivateKey.generate()
    content = (signed / MANIFEST).read_bytes()
    (signed / SIGNATURE).write_bytes(other.sign(content))
    assert "has a wrong signature" in tool("verify", signed, "--key", key).refused()
    key.write_bytes(other.public_key().public_bytes(PEM, PUBLIC))
    assert tool("verify", signed, "--key", key).code == 0


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("name", [MANIFEST, SIGNATURE])
@pytest.mark.parametrize(
    "change",
    [
        lambda content: flipped(content, 0),
        lambda content: flipped(content, 63),
        lambda content: content[:-1],
        lambda _: b"",
        lambda content: content + b"\0",
    ],
    ids=["first", "last", "cut", "empty", "longer"],
)
def test_what_was_changed(
    tool: Tool, signed: Path, key: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    """Also where it is no manifest any more: nothing is parsed before the signature is checked."""
    path = signed / name
    path.write_bytes(change(path.read_bytes()))
    assert "has a wrong signature" in tool("verify", signed, "--key", key).refused()
    with pytest.raises(BundleError, match="wrong signature"):
        Runner(signed, key=key)


def test_odd_keys(tool: Tool, signed: Path, signer: Ed25519PrivateKey, key: Path) -> None:
    """Python takes those that C++ takes, and no others."""
    right = key.read_bytes()
    body = right.splitlines()[1]
    refused = {
        b"": "is no public key",
        b"hello": "is no public key",
        right.replace(b"PUBLIC", b"PRIVATE"): "is no public key",
        right.replace(body, body[:-4]): "is no",
        right.replace(body, b""): "is no public key",
        right.replace(body, b"*" + body[1:]): "is no public key",
        right.replace(b"MCow", b"MCoy"): "is no",
        right.replace(b"-----END PUBLIC KEY-----", b""): "is no public key",
        b"x" * 20_000: "is too large for a key",
        signer.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption()): "is no public key",
        generate_private_key(65_537, 2048)
        .public_key()
        .public_bytes(PEM, PUBLIC): "is no Ed25519 key",
        X25519PrivateKey.generate().public_key().public_bytes(PEM, PUBLIC): "is no Ed25519 key",
    }
    for content, want in refused.items():
        key.write_bytes(content)
        assert want in tool("verify", signed, "--key", key).refused(), content
        with pytest.raises(InputError):
            Runner(signed, key=key)
    taken = (right, right.replace(b"\n", b"\r\n"), b"mine:\n" + right, right + b"\n", right.strip())
    for content in taken:
        key.write_bytes(content)
        assert tool("verify", signed, "--key", key).code == 0, content
        Runner(signed, key=key)


def test_a_key_that_cannot_be_read(tool: Tool, signed: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        error = tool("verify", signed, "--key", path).refused()
        assert f"{path} cannot be read: got " in error
        assert "openssl genpkey" in error
