"""How `edgemeta eval` divides and reads data: as in training, but for what the user says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemeta.cli._reading import Given, choose_reading
from edgemeta.data.options import DataOptions, Unit
from edgemeta.data.recorded import Reading
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from tests.cli.conftest import Call
from tests.cli.test_bad_input import assert_refused

NOTHING = Given(None, None, DataOptions())
SIZES = (
    *("--model", "mlp", "--hidden", "8", "--ways", 2, "--queries", 2, "--evaluation-queries", 2),
    *("--meta-batch", 2, "--iterations", 2, "--validate-every", 2),
    *("--validation-episodes", 2, "--test-episodes", 2, "--threads", 1),
)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Pictures of three classes."""
    for k in range(3):
        (tmp_path / "pictures" / f"c{k}").mkdir(parents=True)
        for n in range(3):
            image = np.full((6, 6), 40 * k + n, np.uint8)
            Image.fromarray(image).save(tmp_path / "pictures" / f"c{k}" / f"{n}.png")
    return tmp_path / "pictures"


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """Twenty classes, each shown twice by each of four people."""
    y, subject, _ = (each.ravel() for each in np.mgrid[:20, :4, :2])
    x = np.random.default_rng(0).normal(size=(20, 5))[y].astype(np.float32)
    np.savez(tmp_path / "arrays.npz", x=x, y=y, subject=subject)
    return tmp_path / "arrays.npz"


@pytest.mark.parametrize(
    ("by", "seed", "said", "kept"),
    [
        (None, None, {}, {"by": "both", "split_seed": 3, "image_size": 4, "fit": "crop"}),
        ("class", None, {}, {"split_seed": 3, "image_size": 4, "fit": "crop"}),
        (None, 0, {"image_size": 5}, {"by": "both", "fit": "crop"}),
        ("both", 3, {"image_size": 4, "fit": "crop"}, {}),
    ],
)
def test_an_option_replaces_that_of_the_training_and_no_other(
    folders: Path, by: Unit | None, seed: int | None, said: dict[str, Any], kept: dict[str, Any]
) -> None:
    trained = Reading("both", 3, DataOptions(image_size=4, fit="crop"))
    chosen = choose_reading(str(folders), None, Given(by, seed, DataOptions(**said)), trained)
    assert chosen.kept == kept
    options = replace(trained.options, **said)
    wanted = Reading(by or "both", 3 if seed is None else seed, options)
    assert chosen.reading == wanted
    assert chosen.left_out == ()


def test_options_that_do_not_apply_are_left_out_and_named(folders: Path) -> None:
    trained = Reading("class", 0, DataOptions(features="wave", seconds=2.0, draw="all"))
    chosen = choose_reading(str(folders), None, NOTHING, trained)
    assert chosen.reading.options == DataOptions(draw="all")
    assert chosen.left_out == ("features", "seconds")


def test_tasks_with_a_name_of_their_own_are_read_by_their_own_rules() -> None:
    trained = Reading("subject", 2, DataOptions(features="wave"))
    chosen = choose_reading("glyphs", None, NOTHING, trained)
    assert chosen == (Reading("class", 0, DataOptions()), {}, ())


def test_a_training_is_divided_by_its_split_seed_and_so_is_what_follows(
    call: Call, arrays: Path, tmp_path: Path
) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    done = call("train", arrays, "--out", run, "--split-seed", 5, *SIZES)
    assert done.code == 0, done.err
    assert Run(run).config() == TrainConfig.of(**vars(Run(run).config()))
    assert Run(run).config().split_seed == 5
    assert call("export", run, "--out", bundle).code == 0
    few = ("--episodes", 3, "--queries", 2, "--json")

    def score(*arguments: object) -> tuple[list[int], str]:
        found = call("eval", *arguments, *few, "--predictions", tmp_path / "p.npz")
        assert found.code == 0, found.err
        record = json.loads(found.out)
        return [record["split_seed"], *np.load(tmp_path / "p.npz")["predictions"]], found.err

    own, note = score(run)
    assert (own[0], note) == (5, "")
    as_trained, note = score(bundle, arrays)
    assert np.array_equal(np.stack(as_trained[1:]), np.stack(own[1:]))
    assert note == "note: data are divided and read as in training: --split-seed 5\n"
    other, note = score(bundle, arrays, "--split-seed", 0)
    assert other[0] == 0
    assert not np.array_equal(np.stack(other[1:]), np.stack(own[1:]))
    assert note.startswith("note: training divided these data otherwise")
    assert score(run, "--split-seed", 0)[1] == note
    kept = [entry["setting"]["split_seed"] for entry in Run(run).evaluations()]
    assert kept == [5, 0]
    assert "test, split seed 5" in (_page(call, run))
    compared = call("baselines", run, "--episodes", 2, "--json")
    assert compared.code == 0, compared.err
    assert Run(Run(run).pretrained_path).config().split_seed == 5
    first = json.loads(compared.out)["contestants"][0]["mean"]
    result = Run(run).result()
    assert result is not None
    assert first == result["mean"]  # of the same two test episodes


def _page(call: Call, run: Path) -> str:
    assert call("report", run, "--episodes", 2).code == 0
    return (run / "report.html").read_text()


def test_fixed_parts_take_no_split_seed(call: Call, tmp_path: Path, bundle_path: Path) -> None:
    refused = call("train", "glyphs", "--out", tmp_path / "run", "--split-seed", 1)
    assert_refused(refused, "glyphs has fixed parts: got --split-seed 1; omit --split-seed")
    assert_refused(call("eval", bundle_path, "glyphs", "--split-seed", 1), "fixed parts")
    refused = call("train", "glyphs", "--out", tmp_path / "run", "--split-seed", -1)
    assert_refused(refused, "split_seed is too small: got -1")
    assert call("eval", bundle_path, "glyphs", "--split-seed", -1).code == 2
