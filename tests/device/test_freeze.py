"""A frozen learner is the learner, only faster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

from edgemeta import Learner, Runner
from edgemeta.bundle import INIT, PREDICT
from tests.cases import CASE, Compile

RTOL = 1e-5  # of the largest value: float32, products in another order; largest seen 4e-7
CLASSES = CASE["mlp-classes"]
X, Y = CLASSES.samples(10, seed=1)
QUERY, _ = CLASSES.samples(6, seed=2)


def assert_same(got: Learner, want: Learner, x: object) -> None:
    a, b = got.predict_logits(x), want.predict_logits(x)
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=0, atol=RTOL * np.abs(b).max())


@pytest.mark.parametrize("name", ["mlp-classes", "mlp-shared", "mlp-sinusoid", "conv4-support-max"])
def test_it_predicts_the_same(compiled: Compile, name: str) -> None:
    made = compiled(CASE[name])
    learner = made.runner.adapt(*made.case.samples(7, seed=1), guard=False)
    frozen = learner.freeze()
    assert frozen.frozen
    assert not learner.frozen
    assert frozen.freeze() is frozen
    for count in (1, 3, 16):
        assert_same(frozen, learner, made.case.samples(count, seed=count)[0])
    assert_same(made.runner.init.freeze(), made.runner.init, made.case.samples(3, seed=3)[0])


def test_the_state_is_no_input_any_more(classifier: Runner) -> None:
    session = classifier.adapt(X, Y).freeze()._session._session
    assert [value.name for value in session.get_inputs()] == ["query_x"]
    assert session.get_overridable_initializers() == []


def test_a_task_of_fewer_classes(classifier: Runner) -> None:
    learner = classifier.adapt(X[:6], [0, 1, 2, 0, 1, 2], ways=3)
    assert learner.freeze().predict_logits(QUERY).shape == (6, 3)
    assert_same(learner.freeze(), learner, QUERY)


def test_it_is_saved_as_if_it_were_not_frozen(classifier: Runner, tmp_path: Path) -> None:
    learner = classifier.adapt(X, Y)
    learner.save(tmp_path / "plain.safetensors")
    learner.freeze().save(tmp_path / "frozen.safetensors")
    plain, frozen = (tmp_path / f"{name}.safetensors" for name in ("plain", "frozen"))
    # The library writes metadata in any order; the hash among them is of all else.
    with safe_open(plain, "numpy") as one, safe_open(frozen, "numpy") as other:
        assert one.metadata() == other.metadata()
    elsewhere = Runner(classifier.path, threads=1).load(tmp_path / "frozen.safetensors")
    assert np.array_equal(elsewhere.predict_logits(QUERY), learner.predict_logits(QUERY))


def test_it_adapts_further_as_if_it_were_not_frozen(classifier: Runner) -> None:
    learner = classifier.adapt(X, Y, steps=2)
    further = [classifier.adapt(X, Y, steps=2, state=s) for s in (learner, learner.freeze())]
    assert not further[1].frozen
    logits = [each.predict_logits(QUERY) for each in further]
    assert np.array_equal(logits[0], logits[1])


def test_what_was_loaded_is_what_is_frozen(bundle_copy: Path) -> None:
    learner = Runner(bundle_copy, threads=1).adapt(X, Y)
    for name in (PREDICT, INIT):
        (bundle_copy / name).unlink()
    assert_same(learner.freeze(), learner, QUERY)
