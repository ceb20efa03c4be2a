"""The graph with a state baked in is what the onnx package would make of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from edgemeta import BundleError, Runner
from edgemeta.bundle import PREDICT, QUERY_X, WAYS
from edgemeta.bundle.bake import bake
from tests.cases import CASE, Compile


@pytest.mark.parametrize("name", ["mlp-classes", "mlp-shared", "mlp-sinusoid", "conv4-support-max"])
def test_only_the_state_and_the_places_of_tensors_change(compiled: Compile, name: str) -> None:
    made = compiled(CASE[name])
    x, y = made.case.samples(7, seed=1)
    learner = made.runner.adapt(x, y, guard=False)
    values: dict[str, NDArray[np.generic]] = dict(learner.state_dict())
    if name == "mlp-classes":
        values[WAYS] = np.array(3, np.int64)
    baked = onnx.load_from_string(bake(made.runner._model._loaded.predict, values).content)
    onnx.checker.check_model(baked, full_check=True)
    want = onnx.load(made.runner.path / PREDICT)  # with its external data read
    for model in (baked, want):
        tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        for tensor, value in values.items():
            assert model is want or np.array_equal(tensors.pop(tensor), value)
            tensors.pop(tensor, None)
        del model.graph.initializer[:]
        model.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in tensors.items())
    kept = [value for value in want.graph.input if value.name not in values]
    assert [value.name for value in kept if value.name != WAYS] == [QUERY_X]
    del want.graph.input[:]
    want.graph.input.extend(kept)
    assert baked == want


def test_a_name_that_is_no_input_is_refused(classifier: Runner) -> None:
    with pytest.raises(BundleError, match="no input with a default is called nothing"):
        bake(classifier._model._loaded.predict, {"nothing": np.zeros(1, np.float32)})
    with pytest.raises(BundleError, match=f"no input with a default is called {QUERY_X}"):
        bake(classifier._model._loaded.predict, {QUERY_X: np.zeros(1, np.float32)})


def test_tensors_outside_of_the_graph_are_taken_in(compiled: Compile) -> None:
    runner = compiled(CASE["conv4-support-max"]).runner
    # All tensors of this model are state or inline: leave one of the state outside.
    first, *_ = runner.init.state_dict()
    others = {k: v for k, v in runner.init.state_dict().items() if k != first}
    baked = onnx.load_from_string(bake(runner._model._loaded.predict, others).content)
    (taken,) = (t for t in baked.graph.initializer if t.name == first)
    assert np.array_equal(numpy_helper.to_array(taken), runner.init.state_dict()[first])


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_graph_is_baked_or_refused(classifier: Runner, data: st.DataObject) -> None:
    graph = classifier._model._loaded.predict
    model = graph.content
    values = classifier.init.state_dict()
    if data.draw(st.booleans()):
        damaged = bytearray(model[: data.draw(st.integers(0, len(model)))])
    else:
        damaged = bytearray(model)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(model) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BundleError):  # and no other error
        assert not bake(replace(graph, content=bytes(damaged)), values).external
