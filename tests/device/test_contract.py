"""The manifest's seal, the training record, the labels of a state: read as strictly as written."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import edgemeta
from edgemeta import BundleError, InputError, Runner
from edgemeta.bundle import (
    MANIFEST,
    Manifest,
    QuantizationResult,
    TrainingChoices,
    TrainingRecord,
    TrainingResult,
)
from edgemeta.cli import group
from edgemeta.device.packaged import names
from tests.manifests import rewrite
from tests.vectors.base import encoded, manifest

OMNIGLOT = edgemeta.load("omniglot", threads=1)
RECORD = json.loads(OMNIGLOT.manifest.to_json())
FULL = TrainingRecord(
    TrainingChoices("glyphs", "both", 3, {"window": 8}, 5, {"neck": "cosine", "adapt": ["head.*"]}),
    TrainingResult("glyphs", "test", "accuracy", 0.9, 0.01, 600, statistics="inductive"),
    QuantizationResult("val", 100, "accuracy", 0.9, 0.89),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value that holds no others."""
    if not isinstance(value, dict | list) or not value:
        yield path
        return
    for key, each in value.items() if isinstance(value, dict) else enumerate(value):
        yield from places(each, (*path, key))


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """Return the record with another value at a place."""
    record: Any = copy.deepcopy(RECORD)
    at = record
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return dict(record)


def read(record: dict[str, Any], *, sealed: bool = False) -> Manifest:
    if not sealed:
        record = {name: value for name, value in record.items() if name != "seal"}
    return Manifest.from_json(json.dumps(record).encode())


def test_damage_to_any_field_is_found() -> None:
    paths = [path for path in places(RECORD) if path != ("format_version",)]
    assert len(paths) > 100
    for path in paths:
        at: Any = RECORD
        for key in path:
            at = at[key]
        other: object = [] if at is None else f"{at}x" if isinstance(at, str) else None
        with pytest.raises(BundleError, match="is damaged: got fields with the seal"):
            read(changed(path, other), sealed=True)


def test_labels_are_a_field_only_where_there_are_some() -> None:
    plain = Manifest.from_json(encoded(manifest()))
    assert plain.labels is None
    assert "labels" not in json.loads(plain.to_json())
    made = replace(plain, labels=("walk", "run"))
    record = json.loads(made.to_json())
    assert record["labels"] == ["walk", "run"]
    assert Manifest.from_json(made.to_json()) == made
    for odd in (
        {**record, "labels": ["walk", "ran"]},
        {name: value for name, value in record.items() if name != "labels"},
    ):
        with pytest.raises(BundleError, match="is damaged"):
            read(odd, sealed=True)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (None, "labels None"),
        (["a"], "1 labels for 2 ways"),
        (["a", "a"], "a label twice"),
        (["a", 1], "labels .*1"),
        (["a", "b" * 1000, "\n" * 9], "3 labels for 2 ways"),
        (["b" * 1000] * 2, "a label twice"),
    ],
)
def test_labels_that_are_none(labels: object, said: str) -> None:
    with pytest.raises(BundleError, match=f"breaks the contract: got {said}") as refused:
        read(manifest(labels=labels))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 600


def test_a_field_that_was_lost_or_added_is_found() -> None:
    for name in RECORD.keys() - {"seal"}:
        record = {key: value for key, value in RECORD.items() if key != name}
        with pytest.raises(BundleError, match=r"is damaged|unknown format_version"):
            read(record, sealed=True)
    with pytest.raises(BundleError, match="is damaged"):
        read({**RECORD, "surprise": 1}, sealed=True)


def test_the_seal_is_of_what_is_said_and_not_of_how_it_is_written() -> None:
    """The form that is hashed is the one of cpp_runtime_notes.md."""
    turned = json.dumps(dict(reversed(RECORD.items())), indent=3)
    assert Manifest.from_json(turned.encode()).seal == RECORD["seal"]
    made = replace(OMNIGLOT.manifest, algorithm={"b": 1.5, "ü": [1e-06, None, True]})
    assert b'"algorithm":{"b":1.5,"\xc3\xbc":[1e-06,null,true]}' in canonical(made)
    again = Manifest.from_json(made.to_json())
    assert again == made


def canonical(manifest: Manifest) -> bytes:
    """Do what the notes say, without edgemeta; check that it is what the seal is of."""
    import hashlib

    record = json.loads(manifest.to_json())
    seal = record.pop("seal")
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == seal
    return text.encode()


@pytest.mark.parametrize("seal", [None, "", 1, "0" * 64, ["0"]])
def test_a_seal_that_is_none(seal: object) -> None:
    with pytest.raises(BundleError, match="is damaged"):
        read({**RECORD, "seal": seal}, sealed=True)


@pytest.mark.parametrize("name", names())
def test_packaged_bundles_have_no_seal_and_load(name: str) -> None:
    assert edgemeta.load(name, threads=1).manifest.seal is None


def test_verify_and_inspect_say_whether_there_is_a_seal(classifier: Runner) -> None:
    def said(*arguments: object) -> str:
        done = CliRunner().invoke(group, list(map(str, arguments)))
        assert done.exit_code == 0, done.output
        return done.output

    assert classifier.manifest.seal is not None
    sealed = classifier.path
    assert "the manifest is what its seal says" in said("verify", sealed)
    assert f"seal         {classifier.manifest.seal[:12]}, true" in said("inspect", sealed)
    assert json.loads(said("verify", sealed, "--json"))["sealed"] is True
    shown = json.loads(said("inspect", sealed, "--json"))["manifest"]
    assert shown == json.loads((sealed / MANIFEST).read_text())
    assert "the manifest has no seal" in said("verify", OMNIGLOT.path)
    assert "seal         none" in said("inspect", OMNIGLOT.path)
    assert json.loads(said("verify", OMNIGLOT.path, "--json"))["sealed"] is False


def test_a_bundle_whose_manifest_was_changed(bundle_copy: Path) -> None:
    path = bundle_copy / MANIFEST
    path.write_text(path.read_text().replace('"inner_steps": ', '"inner_steps": 1'))
    with pytest.raises(BundleError, match=r"manifest.json is damaged: .* copy the bundle again"):
        Runner(bundle_copy)
    rewrite(bundle_copy, lambda record: None)
    assert Runner(bundle_copy).manifest.seal is None


@pytest.mark.parametrize("version", [True, 1.0, "1", [1]])
def test_a_version_that_python_takes_for_1(version: object) -> None:
    with pytest.raises(BundleError, match="unknown format_version"):
        read(changed(("format_version",), version))


INTEGERS = [
    *(("ways",), ("inner_steps",), ("least_support",), ("opset",), ("adapted_parameters",)),
    *(("flops_per_step",), ("peak_memory_bytes",), ("input", "shape", 0)),
    *(("state", 0, "shape", 0), ("files", "adapt.onnx", "size")),
    *(("training", "config", "shots"), ("training", "result", "episodes")),
]


@pytest.mark.parametrize("value", [True, 1.0, "1"])
@pytest.mark.parametrize("path", INTEGERS, ids=str)
def test_a_whole_number_is_neither_a_truth_value_nor_a_float(
    path: tuple[Any, ...], value: object
) -> None:
    with pytest.raises(BundleError, match="breaks the contract") as caught:
        read(changed(path, value))
    assert "\n" not in str(caught.value)


def test_a_training_record_survives_the_way_through_json() -> None:
    again = TrainingRecord.of(json.loads(json.dumps(FULL.record())), "training")
    assert again == FULL
    assert (again.preprocessing, again.inductive) == ({}, True)
    manifest = replace(OMNIGLOT.manifest, training=FULL)
    assert Manifest.from_json(manifest.to_json()).training == FULL
    nothing = replace(manifest, training=None)
    assert Manifest.from_json(nothing.to_json()).training is None
    assert (nothing.trained.preprocessing, nothing.trained.inductive) == ({}, False)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (3, "training 3"),
        ([], r"training \[\]"),
        ({"odd": 1}, "training has unknown fields: odd"),
        ({"config": None}, "training.config None"),
        ({"config": {"by": "room"}}, "training.config.by 'room'"),
        ({"config": {"split_seed": "1"}}, "training.config.split_seed '1'"),
        ({"config": {"shots": True}}, "training.config.shots True"),
        ({"config": {"shots": 1.0}}, "training.config.shots 1.0"),
        ({"config": {"data": 3}}, "training.config.data 3"),
        ({"config": {"others": {}}}, "training.config {'others'"),
        ({"result": {"surprise": 1}}, "training.result has unknown fields: surprise"),
        ({"result": {"mean": "high"}}, "training.result.mean 'high'"),
        ({"result": {"mean": True}}, "training.result.mean True"),
        ({"result": {"statistics": "some"}}, "training.result.statistics 'some'"),
        ({"result": {"preprocessing": "mfcc"}}, "training.result.preprocessing 'mfcc'"),
        ({"int8": {"split": "val"}}, "training.int8 is not whole: .*episodes"),
        ({"int8": {"split": "val", "episodes": 3, "int8": "good"}}, "training.int8.int8 'good'"),
    ],
)
def test_a_training_record_that_is_none(record: object, said: str) -> None:
    with pytest.raises(BundleError, match=f"breaks the contract: got {said}.*export") as caught:
        read(changed(("training",), record))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [np.float32(1), Path("a"), {1: 2}, [object()]], ids=lambda v: type(v).__name__
)
def test_what_json_has_nothing_like(value: object) -> None:
    with pytest.raises(ValueError, match=r"^training.result.preprocessing.x "):
        TrainingRecord.of({"result": {"preprocessing": {"x": value}}}, "training")


LABEL = (
    st.text(max_size=4)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.sampled_from([np.int64(1), np.float64(0.5), np.str_("a"), b"a", (1,)])
)


@given(labels=st.lists(LABEL, max_size=5))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_labels_that_are_written_are_read(
    classifier: Runner, tmp_path: Path, labels: list[Any]
) -> None:
    path = tmp_path / "state.safetensors"
    path.unlink(missing_ok=True)
    try:
        classifier.init.save(path, labels)
    except InputError:
        assert not path.exists()
    else:
        assert classifier.load(path).labels == tuple(labels)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a", "a"], "got 'a' twice"),
        ([1, "b", 1.0], "got 1.0 twice"),
        ([True], "got True, a bool"),
        ([np.int64(3)], "a int64"),
        ([float("nan")], "got nan"),
        ([None], "a NoneType"),
    ],
)
def test_labels_that_could_not_be_read_back(
    classifier: Runner, tmp_path: Path, labels: list[Any], said: str
) -> None:
    with pytest.raises(InputError, match=f"the labels cannot be saved: .*{said}") as caught:
        classifier.init.save(tmp_path / "state.safetensors", labels)
    assert "\n" not in str(caught.value)
