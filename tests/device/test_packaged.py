"""What ships with the package is small, sound, licensed, and adapts at once."""

from __future__ import annotations

import numpy as np
import pytest

import edgemeta
from edgemeta import InputError
from edgemeta.bundle.selftest import read_selftest
from edgemeta.device.packaged import BUNDLES, names
from edgemeta.measure.verify import verify

MOST_BYTES = 1_000_000


def test_the_names() -> None:
    assert "omniglot" in names()


@pytest.mark.parametrize("name", names())
def test_a_packaged_bundle_is_small_and_computes_what_pytorch_did(name: str) -> None:
    runner = edgemeta.load(name, threads=1)
    assert sum(f.stat().st_size for f in runner.path.rglob("*") if f.is_file()) <= MOST_BYTES
    assert all(difference.passed for difference in verify(runner).values())


@pytest.mark.parametrize("name", names())
def test_a_packaged_bundle_learns_its_own_example(name: str) -> None:
    runner = edgemeta.load(name, threads=1)
    example = read_selftest(runner.path, runner.manifest)
    learner = runner.adapt(example.support_x, example.support_y)
    assert np.array_equal(learner.predict(example.support_x), example.support_y)


@pytest.mark.parametrize("name", names())
def test_a_packaged_bundle_has_its_licence_and_its_training(name: str) -> None:
    (part,) = [p for p in (BUNDLES / "README.md").read_text().split("\n## ") if p.startswith(name)]
    assert "Licence" in part
    training = edgemeta.load(name).manifest.training
    assert training is not None
    assert training.result is not None
    assert f"{training.result.mean:.1%}".rstrip("%") in part


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match="did you mean 'omniglot'"):
        edgemeta.load("omniglott")
    with pytest.raises(InputError, match="omniglot"):
        edgemeta.load("../bundles/omniglot")
