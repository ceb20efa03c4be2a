"""A frozen learner in C++ is the learner, only faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file

from edgemeta import Runner
from tests.cases import CASE, Compile
from tests.cpp.conftest import Save, Tool
from tests.cpp.test_serve import answers

RTOL = 1e-5  # of the largest value: float32, products in another order


def replayed(
    tool: Tool, save: Save, runner: Runner, episode: dict[str, NDArray[Any]], **fields: object
) -> dict[str, NDArray[Any]]:
    """Return what the op "freeze" writes."""
    x, query = episode["x"], episode["query"]
    path = save(
        support_x=x, support_y=episode["y"], query_x=query,
        steps=np.array(2), lr_scale=np.array(1, np.float32),
    )  # fmt: skip
    out = path.with_suffix(".out")
    request = {"op": "freeze", "episode": str(path), "out": str(out), **fields}
    loaded, answer = answers(tool, {"op": "load", "bundle": str(runner.path)}, request)
    assert "version" in loaded
    assert "error" not in answer, answer
    return load_file(out)


def assert_same(got: NDArray[Any], want: NDArray[Any]) -> None:
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=RTOL * np.abs(want).max())


@pytest.mark.parametrize("name", ["mlp-classes", "mlp-shared", "mlp-sinusoid", "conv4-support-max"])
def test_it_is_the_learner(
    tool: Tool, save: Save, compiled: Compile, name: str, tmp_path: Path
) -> None:
    made = compiled(CASE[name])
    (x, y), (query, _) = made.case.samples(7, seed=1), made.case.samples(5, seed=2)
    state = tmp_path / "state.safetensors"
    episode = {"x": x, "y": y, "query": query}
    found = replayed(tool, save, made.runner, episode, state=str(state))
    assert_same(found["frozen"], found["plain"])
    assert_same(found["init.frozen"], found["init.plain"])
    assert not np.allclose(found["plain"], found["init.plain"][:, : found["plain"].shape[1]])
    # It is continued from, and saved, as if it were not frozen.
    assert np.array_equal(found["further.frozen"], found["further.plain"])
    assert np.array_equal(found["again.frozen"], found["frozen"])
    learner = made.runner.load(state)
    assert_same(found["plain"], learner.predict_logits(query))
    want = made.runner.adapt(x, y, steps=2, guard=False)
    assert_same(found["frozen"], want.freeze().predict_logits(query))


def test_a_task_of_fewer_classes(tool: Tool, save: Save, compiled: Compile) -> None:
    made = compiled(CASE["mlp-classes"])
    x, query = made.case.samples(6, seed=1)[0], made.case.samples(5, seed=2)[0]
    episode = {"x": x, "y": np.arange(6) % 3, "query": query}
    found = replayed(tool, save, made.runner, episode, ways=3)
    assert found["frozen"].shape == (5, 3)
    assert_same(found["frozen"], found["plain"])
