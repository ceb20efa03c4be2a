"""Bundles that are missing, damaged, foreign or of another version."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgemeta import BundleError, Runner
from edgemeta.bundle import MANIFEST, PAYLOAD, SELFTEST, Manifest
from edgemeta.bundle.files import read_manifest
from edgemeta.bundle.selftest import read_selftest
from edgemeta.measure.verify import verify
from tests.manifests import rewrite


def edit(bundle: Path, **changes: Any) -> None:
    rewrite(bundle, lambda record: record.update(changes))


def test_a_manifest_survives_the_way_through_json(classifier: Runner, regressor: Runner) -> None:
    for manifest in (classifier.manifest, regressor.manifest):
        assert Manifest.from_json(manifest.to_json()) == manifest


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle.*edgemeta export"):
        Runner(tmp_path)
    with pytest.raises(BundleError, match="is not a bundle"):
        Runner(tmp_path / "missing")


def read_all(bundle: Path) -> None:
    """Read a bundle, and its selftest, which loading leaves alone."""
    read_selftest(bundle, Runner(bundle).manifest)


def test_a_device_needs_no_selftest(bundle_copy: Path) -> None:
    (bundle_copy / SELFTEST).unlink()
    runner = Runner(bundle_copy)
    with pytest.raises(BundleError, match=f"{SELFTEST} cannot be read"):
        verify(runner)


@pytest.mark.parametrize("name", PAYLOAD)
def test_a_missing_file(bundle_copy: Path, name: str) -> None:
    (bundle_copy / name).unlink()
    with pytest.raises(BundleError, match=f"{name} cannot be read.*copy the bundle again"):
        read_all(bundle_copy)


@pytest.mark.parametrize("name", PAYLOAD)
def test_one_flipped_bit(bundle_copy: Path, name: str) -> None:
    content = bytearray((bundle_copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle_copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name} is damaged"):
        read_all(bundle_copy)


@pytest.mark.parametrize("name", PAYLOAD)
def test_a_file_that_was_cut_short(bundle_copy: Path, name: str) -> None:
    content = (bundle_copy / name).read_bytes()
    (bundle_copy / name).write_bytes(content[:-1])
    with pytest.raises(BundleError, match=f"{name} is damaged: got {len(content) - 1} bytes"):
        read_all(bundle_copy)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_version(bundle_copy: Path, version: Any) -> None:
    edit(bundle_copy, format_version=version)
    with pytest.raises(BundleError, match="unknown format_version"):
        Runner(bundle_copy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"surprise": 1}, "missing or unknown fields: got surprise"),
        ({"task": "clustering"}, "breaks the contract"),
        ({"ways": None}, "breaks the contract"),
        ({"inner_steps": -1}, "breaks the contract"),
        ({"input": {"shape": [28, -28], "dtype": "uint8"}}, "breaks the contract"),
        ({"input": {"shape": [28, 28], "dtype": "fish"}}, "breaks the contract"),
        ({"training": [1]}, "breaks the contract"),
        ({"tuned": "fast"}, "breaks the contract"),
        ({"parity": None}, "breaks the contract"),
        ({"ops": "Add"}, "breaks the contract"),
        ({"peak_memory_bytes": "much"}, "breaks the contract"),
        ({"state": []}, "breaks the contract"),
        ({"state": 3}, "breaks the contract"),
        ({"files": {"../../etc/passwd": {"size": 1, "sha256": ""}}}, "breaks the contract"),
    ],
)
def test_a_manifest_that_breaks_the_contract(
    bundle_copy: Path, changes: dict[str, Any], message: str
) -> None:
    edit(bundle_copy, **changes)
    with pytest.raises(BundleError, match=message) as caught:
        Runner(bundle_copy)
    assert "\n" not in str(caught.value)


def test_a_manifest_whose_names_are_not_those_of_the_graphs(bundle_copy: Path) -> None:
    rewrite(bundle_copy, lambda record: record["state"][0].update(name="x"))
    with pytest.raises(BundleError, match="does not fit its manifest"):
        Runner(bundle_copy)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1, "a": 2}', "[" * 100_000, "\xff"])
def test_a_manifest_that_is_no_json_object(bundle_copy: Path, content: str) -> None:
    (bundle_copy / MANIFEST).write_bytes(content.encode("latin-1"))
    with pytest.raises(BundleError, match="is not"):
        Runner(bundle_copy)


@given(data=st.data())
@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_damage_to_the_manifest_is_a_bundle_error(
    classifier: Runner, tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray((classifier.path / MANIFEST).read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] = data.draw(st.integers(0, 255))
    (tmp_path / MANIFEST).write_bytes(content)
    try:
        read_manifest(tmp_path)
    except BundleError:
        return  # whatever is accepted has all its fields in their types


def test_a_bundle_is_found_wherever_it_is_moved(classifier: Runner, tmp_path: Path) -> None:
    """The graphs name init.bin relative to themselves."""
    moved = shutil.copytree(classifier.path, tmp_path / "a place" / "bündle")
    assert Runner(moved).fingerprint == classifier.fingerprint
