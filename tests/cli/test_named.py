"""Bundles that name their classes, on the command line."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import edgemeta
from edgemeta import Runner
from edgemeta.bundle import TrainingRecord
from tests.cli.conftest import Call
from tests.cli.test_bad_input import assert_refused
from tests.manifests import rewrite
from tests.named import NAMES, STEPS, drawings, write_folders


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Pictures of two of the five classes, of which neither is the bundle's first."""
    return write_folders(tmp_path / "pictures", ("tee", "box"), 3, seed=5)


def test_it_predicts_without_a_state(call: Call, named: Runner, tmp_path: Path) -> None:
    folder = write_folders(tmp_path / "pictures", NAMES, 4, seed=5)
    shown = call("predict", named.path, folder)
    assert (shown.code, shown.err) == (0, "")
    first = shown.out.splitlines()[2].split()
    assert (first[0], first[1], first[3]) == ("bar/0.png", "bar", "bar")
    assert "accuracy 1.0000 on 20 samples" in shown.out
    record = json.loads(call("predict", named.path, folder / "tee", "--json").out)
    assert record["classes"] == list(NAMES)
    assert set(record["labels"]) == {"tee"}


def test_classes_are_matched_by_name(
    call: Call, named: Runner, pictures: Path, tmp_path: Path
) -> None:
    state = tmp_path / "mine.safetensors"
    done = call("adapt", named.path, pictures, "--out", state)
    assert done.code == 0, done.err
    assert [line.split() for line in done.out.splitlines()[2:4]] == [
        ["box", "3", "3"],
        ["tee", "3", "3"],
    ]
    support = edgemeta.read_support(pictures, named)
    assert support.labels == NAMES
    assert support.ways == len(NAMES)
    assert support.y.tolist() == [1, 1, 1, 4, 4, 4]
    learner = named.load(state)
    assert learner.labels == NAMES
    assert learner.ways == len(NAMES)
    shown = call("predict", named.path, pictures, "--state", state)
    assert "accuracy 1.0000 on 6 samples" in shown.out
    # A state of it keeps the numbers, too.
    again = call("adapt", named.path, pictures, "--state", state, "--out", state, "--json")
    assert json.loads(again.out)["classes"] == list(NAMES)


def test_one_class_alone_may_be_shown(
    call: Call, named: Runner, pictures: Path, tmp_path: Path
) -> None:
    for picture in (pictures / "box").iterdir():
        picture.unlink()
    (pictures / "box").rmdir()
    out = tmp_path / "mine.safetensors"
    done = call("adapt", named.path, pictures, "--out", out)
    assert done.code == 0, done.err
    assert "no samples of bar, box, cross, slope, which may be forgotten" in done.err


def test_a_network_that_learned_to_keep_classes_needs_no_warning(
    call: Call, named: Runner, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(named.path, tmp_path / "bundle"))
    three = write_folders(tmp_path / "three", NAMES[:3], 2, seed=5)
    two = write_folders(tmp_path / "two", NAMES[:2], 2, seed=5)
    out = tmp_path / "mine.safetensors"
    for config, is_quiet in (
        ({"partial_share": 0.5, "algorithm": "maml"}, True),
        ({"partial_share": 0.0, "algorithm": "maml"}, False),
        ({"partial_share": 0.5, "algorithm": "pretrain"}, False),
    ):
        training = {"training": TrainingRecord.of({"config": config}, "training").record()}
        rewrite(bundle, partial(_update, training))
        assert (call("adapt", bundle, three, "--out", out).err == "") == is_quiet
        assert "no samples of cross, slope, tee" in call("adapt", bundle, two, "--out", out).err


def _update(changes: dict[str, Any], manifest: dict[str, Any]) -> None:
    manifest.update(changes)


def test_another_name_is_refused(call: Call, named: Runner, pictures: Path, tmp_path: Path) -> None:
    (pictures / "box").rename(pictures / "boxx")
    refused = call("adapt", named.path, pictures, "--out", tmp_path / "mine.safetensors")
    assert_refused(
        refused,
        "the bundle has no such class",
        "got 'boxx'",
        "expected one of bar, box, cross, slope, tee",
        "did you mean 'box'?",
    )
    shown = call("predict", named.path, pictures)
    assert shown.err == "note: not in the bundle, hence wrong: boxx\n"
    assert "accuracy 0.5000 on 6 samples" in shown.out


def test_labels_as_numbers_follow_the_bundle(call: Call, named: Runner, tmp_path: Path) -> None:
    x, y = drawings(2, seed=3)
    np.savez(tmp_path / "support.npz", x=x[y > 2], y=y[y > 2])
    out = tmp_path / "mine.safetensors"
    done = call("adapt", named.path, tmp_path / "support.npz", "--out", out, "--json")
    record = json.loads(done.out)
    assert (record["classes"], record["steps"]) == (list(NAMES), STEPS)
    assert edgemeta.read_support(tmp_path / "support.npz", named).labels == NAMES
    assert named.load(out).labels == NAMES


def test_inspect_shows_the_names(call: Call, named: Runner) -> None:
    shown = call("inspect", named.path)
    assert "classes      bar, box, cross, slope, tee\n" in shown.out
    assert json.loads(call("inspect", named.path, "--json").out)["manifest"]["labels"] == list(
        NAMES
    )
    assert "classes  " not in call("inspect", "omniglot").out


def test_names_that_would_command_a_terminal_are_shown_on_one_line(
    call: Call, named: Runner, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(named.path, tmp_path / "bundle"))
    rewrite(bundle, lambda manifest: manifest.update(labels=["a\nb", *NAMES[1:]]))
    assert "classes      a b, box, cross, slope, tee\n" in call("inspect", bundle).out
    Image.fromarray(drawings(1, seed=5)[0][0]).save(tmp_path / "one.png")
    assert call("predict", bundle, tmp_path / "one.png").code == 0
