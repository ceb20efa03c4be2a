"""What onnxruntime computes from a bundle, against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.errors import ParityError
from edgemeta_export import export_bundle
from edgemeta_export.replay import replay
from edgemeta_export.rules import RULES
from edgemeta_export.rules.registry import constant, op
from tests.cases import CASES, INNER_LR, Case, Compile
from tests.tolerance import Tensors, assert_most, excess, numpy_state

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def same_state(left: Tensors, right: Tensors) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[n], right[n]) for n in left)


@cases
@pytest.mark.parametrize("steps", [1, 5, 10])
@pytest.mark.parametrize("samples", [1, 5, 12])
def test_every_state_tensor_and_logit(
    compiled: Compile, case: Case, steps: int, samples: int
) -> None:
    made = compiled(case)
    query, _ = case.samples(9, seed=99)
    found = []
    for seed in range(3):
        x, y = case.samples(samples, seed)
        learner = made.runner.adapt(x, y, steps=steps, guard=False)
        want = made.adapt_in_torch(x, y, steps)
        with torch.no_grad():
            logits = made.loop.predict(want, torch.from_numpy(query)).numpy()
        got = learner.state_dict() | {"logits": learner.predict_logits(query)}
        found.append(excess(got, numpy_state(want) | {"logits": logits}))
    assert_most(found)


@cases
def test_losses_are_those_before_each_step_and_after_the_last(
    compiled: Compile, case: Case
) -> None:
    made = compiled(case)
    found = []
    for seed in range(3):
        x, y = case.samples(6, seed)
        got = made.runner.adapt(x, y, steps=4, guard=False).losses
        want = replay(
            made.loop,
            made.loop.init(),
            torch.from_numpy(x),
            torch.from_numpy(y),
            4,
            query_x=torch.from_numpy(x),
            lr=INNER_LR,
        )
        found.append(excess({"losses": got}, {"losses": want.losses.numpy()}))
    assert_most(found)


@cases
def test_k_steps_are_k_times_one_step(compiled: Compile, case: Case) -> None:
    made = compiled(case)
    x, y = case.samples(5, seed=4)
    at_once = made.runner.adapt(x, y, steps=4, guard=False)
    learner = made.runner.adapt(x, y, steps=1, guard=False)
    for _ in range(3):
        learner = made.runner.adapt(x, y, steps=1, state=learner, guard=False)
    assert same_state(at_once.state_dict(), learner.state_dict())


@cases
def test_zero_steps_return_the_init_exactly(compiled: Compile, case: Case) -> None:
    made = compiled(case)
    x, y = case.samples(5, seed=5)
    want = numpy_state(made.loop.grow_for(made.loop.init(), torch.from_numpy(y)))
    assert same_state(made.runner.adapt(x, y, steps=0, guard=False).state_dict(), want)


@cases
def test_a_zero_learning_rate_returns_the_init_exactly(compiled: Compile, case: Case) -> None:
    """The parameters, that is: statistics are the support set's, whatever the learning rate."""
    made = compiled(case)
    x, y = case.samples(5, seed=6)
    got = made.runner.adapt(x, y, steps=5, lr_scale=0.0, guard=False).state_dict()
    init = made.loop.grow_for(made.loop.init(), torch.from_numpy(y))
    for name, tensor in init.params.items():
        assert np.array_equal(got[name], tensor.detach().numpy()), name


@cases
def test_lr_scale_multiplies_the_learning_rate(compiled: Compile, case: Case) -> None:
    made = compiled(case)
    found = []
    for seed in range(3):
        x, y = case.samples(5, seed)
        got = made.runner.adapt(x, y, steps=2, lr_scale=0.5, guard=False).state_dict()
        want = made.adapt_in_torch(x, y, 2, lr=INNER_LR / 2)
        found.append(excess(got, numpy_state(want)))
    assert_most(found)


@cases
def test_the_support_set_is_no_constant(compiled: Compile, case: Case) -> None:
    made = compiled(case)
    x, y = case.samples(5, seed=8)
    other_x = x.copy()
    other_x[0] = case.samples(1, seed=77)[0][0]
    other_y = np.roll(y, 1, axis=0)
    before = made.runner.adapt(x, y, steps=1, guard=False).state_dict()
    assert not same_state(before, made.runner.adapt(other_x, y, steps=1, guard=False).state_dict())
    assert not same_state(before, made.runner.adapt(x, other_y, steps=1, guard=False).state_dict())


@cases
def test_each_query_moves_its_own_prediction(compiled: Compile, case: Case) -> None:
    made = compiled(case)
    x, y = case.samples(5, seed=8)
    other_x = x.copy()
    other_x[0] = case.samples(1, seed=77)[0][0]
    learner = made.runner.adapt(x, y, steps=1, guard=False)
    before, after = learner.predict_logits(x), learner.predict_logits(other_x)
    assert not np.array_equal(before[0], after[0])
    if "transductive" not in case.name:
        assert np.array_equal(before[1:], after[1:])


@cases
def test_no_state_tensor_is_a_constant(compiled: Compile, case: Case) -> None:
    """Each one, moved alone, moves an output of adapt.onnx or of predict.onnx.

    All entries of the tensor move: a single one may belong to a unit that is dead on these data.
    """
    made = compiled(case)
    x, y = case.samples(5, seed=9)
    state = made.runner.adapt(x, y, steps=1, guard=False).state_dict()
    adapt, predict = (
        onnxruntime.InferenceSession(made.runner.path / name, quiet_options())
        for name in (bundle.ADAPT, bundle.PREDICT)
    )

    def outputs(state: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        support = {
            bundle.SUPPORT_X: x,
            bundle.SUPPORT_Y: y,
            bundle.STEPS: np.array(1),
            bundle.LR_SCALE: np.array(1, np.float32),
        }
        losses = adapt.run([bundle.LOSSES], support | state)
        return [*losses, *predict.run(None, {bundle.QUERY_X: x} | state)]

    before = outputs(state)
    for name, tensor in state.items():
        noise = np.random.default_rng(0).uniform(0.1, 0.5, tensor.shape).astype(np.float32)
        after = outputs(state | {name: tensor + noise})
        assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True)), name


def test_a_rule_that_is_slightly_wrong_is_refused_at_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parity is a check that can fail: ReLU's gradient multiplied by 1.001 is enough."""
    target: Callable[..., object] = torch.ops.aten.threshold_backward.default
    right = RULES[target]

    def wrong(*args: object, **settings: object) -> object:
        return op.Mul(right(*args, **settings), constant(1.001, np.float32))

    monkeypatch.setitem(RULES, target, wrong)
    case = CASES[0]
    x, y = case.samples(7, seed=1)
    with pytest.raises(ParityError):
        export_bundle(
            case.model(), tmp_path / "bundle", x, inner_lr=0.1, inner_steps=5, example_y=y
        )
    assert not list(tmp_path.iterdir())


def quiet_options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return options
