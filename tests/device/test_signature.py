"""Signed bundles: what the key of their maker lets pass, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgemeta import BundleError, InputError, Runner
from edgemeta.bundle import INIT, MANIFEST, SIGNATURE
from edgemeta.bundle.loading import load_bundle
from edgemeta.bundle.signing import sign
from tests.device.crafting import crafted


def private_pem(
    key: Ed25519PrivateKey, encryption: KeySerializationEncryption | None = None
) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def public_pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A private and a public key."""
    key, private, public = Ed25519PrivateKey.generate(), tmp_path / "private", tmp_path / "public"
    private.write_bytes(private_pem(key))
    public.write_bytes(public_pem(key))
    return private, public


def test_a_signed_bundle_runs(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    bundle = crafted(tmp_path)
    fingerprint = sign(bundle, private)
    assert Runner(bundle, key=public).fingerprint == fingerprint
    assert Runner(bundle).fingerprint == fingerprint  # who has no key may run it too
    assert (bundle / SIGNATURE).stat().st_size == 64


def test_a_bundle_without_a_signature(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(BundleError, match=r"is not signed.*manifest\.sig.*`edgemeta sign`"):
        Runner(crafted(tmp_path), key=keys[1])


def test_a_signature_of_someone_else(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    bundle, other = crafted(tmp_path), tmp_path / "other"
    other.write_bytes(private_pem(Ed25519PrivateKey.generate()))
    sign(bundle, other)
    with pytest.raises(BundleError, match="wrong signature"):
        Runner(bundle, key=keys[1])


def test_other_files_under_an_old_signature(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    """The signature covers the manifest, and the manifest all the others."""
    bundle = crafted(tmp_path)
    sign(bundle, keys[0])
    (tmp_path / "attack").mkdir()
    attack = crafted(tmp_path / "attack", init=b"\0" * 448_900)
    for name in (MANIFEST, INIT):
        content = (bundle / name).read_bytes()
        (bundle / name).write_bytes((attack / name).read_bytes())
        with pytest.raises(BundleError, match=r"damaged|wrong signature"):
            load_bundle(bundle, keys[1])
        (bundle / name).write_bytes(content)
    load_bundle(bundle, keys[1])


@given(at=st.integers(0, 4000), bit=st.integers(0, 7), of_signature=st.booleans())
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_one_flipped_bit(signed: tuple[Path, Path], at: int, bit: int, of_signature: bool) -> None:
    bundle, public = signed
    path = bundle / (SIGNATURE if of_signature else MANIFEST)
    content = path.read_bytes()
    damaged = bytearray(content)
    damaged[at % len(damaged)] ^= 1 << bit
    path.write_bytes(damaged)
    try:
        with pytest.raises(BundleError, match="wrong signature"):
            load_bundle(bundle, public)
    finally:
        path.write_bytes(content)


@pytest.fixture
def signed(tmp_path: Path, keys: tuple[Path, Path]) -> tuple[Path, Path]:
    """A signed bundle and its public key."""
    bundle = crafted(tmp_path)
    sign(bundle, keys[0])
    return bundle, keys[1]


def test_the_signature_is_checked_before_anything_is_parsed(signed: tuple[Path, Path]) -> None:
    bundle, public = signed
    (bundle / MANIFEST).write_text("[" * 1000)
    with pytest.raises(BundleError, match="wrong signature"):
        load_bundle(bundle, public)


def test_a_damaged_bundle_is_not_signed(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    bundle = crafted(tmp_path)
    (bundle / INIT).write_bytes(b"")
    with pytest.raises(BundleError, match="is damaged"):
        sign(bundle, keys[0])
    assert not (bundle / SIGNATURE).exists()


def test_keys_that_are_none(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    bundle, bad = crafted(tmp_path), tmp_path / "bad"
    for content, message in (
        (b"hello", "is no private key"),
        (public.read_bytes(), "is no private key"),
        (b"x" * 100_000, "too large for a key"),
        (private_pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")), "no private"),
        (
            generate_private_key(65_537, 2048).private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            ),
            "is no Ed25519 key: got RSAPrivateKey",
        ),
    ):
        bad.write_bytes(content)
        with pytest.raises(InputError, match=message) as caught:
            sign(bundle, bad)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is no public key"):
        load_bundle(bundle, private)
    with pytest.raises(InputError, match=r"cannot be read.*openssl genpkey"):
        load_bundle(bundle, tmp_path / "missing")


def test_without_cryptography(
    tmp_path: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography", None)
    bundle = crafted(tmp_path)
    load_bundle(bundle)
    with pytest.raises(InputError, match=r'not installed; pip install "edgemeta\[sign\]"'):
        load_bundle(bundle, keys[1])


def test_the_command_line(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    private, public = keys
    bundle = crafted(tmp_path)

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgemeta", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    refused = run("verify", bundle, "--key", public)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "is not signed" in refused.stderr
    assert "is signed" in run("sign", bundle, "--key", private).stdout
    verified = run("verify", bundle, "--key", public)
    assert verified.returncode == 0
    assert f"signed with the private key of {public}" in verified.stdout
