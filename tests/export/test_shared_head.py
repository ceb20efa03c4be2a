"""One bundle for any number of classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load, save_file
from torch import Tensor, nn

from edgemeta import BundleError, InputError, Runner
from edgemeta.bundle import LOGITS, MAX_WAYS, STATE_WAYS_KEY, SUPPORT_Y
from edgemeta.errors import UnsupportedModelError
from edgemeta.measure.evaluate import BundleAdapter, evaluate
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.inner.updates import Update
from edgemeta.meta.models.networks import build_model
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.tasks import EpisodeSize, open_tasks
from edgemeta_export import GraphForm, export_bundle, recorded_episode
from edgemeta_export.ort_format import write_ort_format
from edgemeta_export.recorded_episode import ATOL
from tests.cases import CASE, IMAGE, INNER_LR, Case, Compile, Compiled
from tests.tolerance import assert_most, excess, numpy_state

SHARED = CASE["mlp-shared"]
CONV4 = Case(
    "conv4-shared-stride",
    lambda: build_model(
        "conv4", IMAGE, ways=5, width=8, pool="stride", head="shared", std=(255.0,)
    ),
)
HEAD = ("head.weight", "head.bias")
QUERY, _ = SHARED.samples(8, seed=2)


def support(ways: int, seed: int = 1, shots: int = 2) -> tuple[NDArray[Any], NDArray[Any]]:
    x, _ = SHARED.samples(ways * shots, seed)
    return x, np.arange(ways * shots) % ways


@pytest.fixture
def made(compiled: Compile) -> Compiled:
    return compiled(SHARED)


@pytest.mark.parametrize("case", [SHARED, CONV4], ids=lambda case: case.name)
@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("ways", [2, 5, 9])
def test_any_number_of_classes_as_in_pytorch(
    compiled: Compile, case: Case, ways: int, steps: int
) -> None:
    made = compiled(case)
    found = []
    for seed in range(3):
        x, y = support(ways, seed)
        learner = made.runner.adapt(x, y, steps=steps)
        want = made.adapt_in_torch(x, y, steps)
        with torch.no_grad():
            logits = made.loop.predict(want, torch.from_numpy(QUERY)).numpy()
        assert learner.ways == ways
        assert logits.shape == (8, ways)
        got = learner.state_dict() | {"logits": learner.predict_logits(QUERY)}
        found.append(excess(got, numpy_state(want) | {"logits": logits}))
    assert_most(found)


def test_a_class_is_added(made: Compiled) -> None:
    x, y = support(3)
    three = made.runner.adapt(x, y)
    init, before = made.runner.init.state_dict(), three.state_dict()
    four = made.runner.adapt(x[:2], [3, 3], state=three, steps=0)
    assert four.ways == 4
    for name in HEAD:
        assert np.array_equal(four.state_dict()[name][:3], before[name])
        assert np.array_equal(four.state_dict()[name][3:], init[name])
    # An old label leaves the number of classes.
    assert made.runner.adapt(x[:2], [0, 0], state=four).ways == 4


def test_a_class_is_added_as_in_pytorch(made: Compiled) -> None:
    found = []
    for seed in range(3):
        x, y = support(3, seed)
        new_x, new_y = support(5, seed + 10)
        learner = made.runner.adapt(x, y, steps=2)
        learner = made.runner.adapt(new_x, new_y, steps=2, state=learner)
        state = made.adapt_in_torch(x, y, 2)
        tensors = map(torch.from_numpy, (new_x, new_y))
        state = made.loop.adapt(state, *tensors, steps=2, lr=INNER_LR)
        found.append(excess(learner.state_dict(), numpy_state(state)))
    assert_most(found)


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(6)))
def test_the_numbering_of_the_classes_has_no_meaning(compiled: Compile, order: list[int]) -> None:
    runner = compiled(SHARED).runner
    x, y = support(6)
    plain, renamed = (runner.adapt(x, labels) for labels in (y, np.array(order)[y]))
    left, right = plain.predict_logits(QUERY), renamed.predict_logits(QUERY)[:, order]
    np.testing.assert_allclose(left, right, atol=ATOL)  # sums over classes in another order


def test_the_init_has_one_class(made: Compiled, tmp_path: Path) -> None:
    init = made.runner.init
    assert init.ways == 1
    assert init.predict_logits(QUERY).shape == (8, 1)
    assert init.state_dict()["head.weight"].shape == (1, 32)
    init.save(tmp_path / "init.safetensors")
    x, y = support(4)
    loaded = made.runner.load(tmp_path / "init.safetensors")
    from_file, from_init = (made.runner.adapt(x, y, state=one) for one in (loaded, None))
    assert np.array_equal(from_file.predict_logits(QUERY), from_init.predict_logits(QUERY))


def test_ways_ask_for_classes_that_have_no_samples_yet(made: Compiled) -> None:
    learner = made.runner.adapt(*support(3), ways=7)
    assert learner.ways == 7
    np.testing.assert_allclose(learner.predict_proba(QUERY).sum(1), np.ones(8), atol=1e-6)
    with pytest.raises(InputError, match=r"ways is out of range: got 6, expected 7\.\.65536"):
        made.runner.adapt(*support(3), ways=6, state=learner)
    with pytest.raises(InputError, match=r"got 0\.\.2, expected 0\.\.1"):
        made.runner.adapt(*support(3), ways=2)


@pytest.mark.parametrize("label", [-1, MAX_WAYS])
def test_a_label_out_of_reach(made: Compiled, label: int) -> None:
    x, _ = support(3)
    with pytest.raises(InputError, match=r"expected 0\.\.65535"):
        made.runner.adapt(x[:2], [0, label])


def test_a_state_file_keeps_its_classes(made: Compiled, tmp_path: Path) -> None:
    learner = made.runner.adapt(*support(7))
    learner.save(tmp_path / "mine.safetensors")
    loaded = made.runner.load(tmp_path / "mine.safetensors")
    assert loaded.ways == 7
    assert np.array_equal(loaded.predict_logits(QUERY), learner.predict_logits(QUERY))


@pytest.mark.parametrize(
    ("ways", "rows", "message"),
    [
        (
            "7",
            6,
            r"head\.bias does not fit the bundle: got float32 \(6,\), expected float32 \(7,\)",
        ),
        ("6", 7, r"head\.weight does not fit the bundle: got float32 \(7, 32\), expected"),
        ("0", 7, r"unusable number of ways: got '0', expected 1\.\.65536"),
        ("65537", 7, "unusable number of ways"),
        ("7", 10**7, "too large for a state of this bundle"),
    ],
)
def test_a_state_with_wrong_rows(
    made: Compiled,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ways: str,
    rows: int,
    message: str,
) -> None:
    monkeypatch.setattr("edgemeta.bundle.state.MOST_KEPT", 1)  # samples beside the state
    path = tmp_path / "mine.safetensors"
    made.runner.adapt(*support(7)).save(path)
    with safe_open(path, "numpy") as file:
        metadata = dict(file.metadata()) | {STATE_WAYS_KEY: ways}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    tensors["head.bias"] = np.zeros(rows, np.float32)
    save_file(tensors, path, metadata)
    with pytest.raises(BundleError, match=message):
        made.runner.load(path)


@pytest.mark.parametrize("ways", [3, 7])
def test_evaluation_at_other_ways_is_the_same_on_both(made: Compiled, ways: int) -> None:
    size = EpisodeSize(ways=ways, shots=1, queries=4)
    on_torch = TorchAdapter(made.loop, input=IMAGE, ways=5, inner_steps=5, inner_lr=INNER_LR)
    found = [
        evaluate(adapter, open_tasks("glyphs"), size, episodes=6, seed=0)
        for adapter in (on_torch, BundleAdapter(made.runner))
    ]
    assert np.array_equal(found[0].predictions, found[1].predictions)
    assert found[0].predictions.max() == ways - 1


class Small(nn.Module):
    """Three numbers in; `finish` has the last word on the logits."""

    def __init__(self, finish: Callable[[Tensor], Tensor] = lambda logits: logits) -> None:
        super().__init__()
        self.finish = finish
        self.body = nn.Linear(3, 6)
        self.head = SharedHead(6)
        nn.init.normal_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.head(torch.tanh(self.body(x))))


EXAMPLE_X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
EXAMPLE_Y = np.arange(8) % 4


def without_second_class(output: Tensor, y: Tensor) -> Tensor:
    return nn.functional.cross_entropy(output, y, ignore_index=1)


@pytest.mark.parametrize(
    "choice",
    [
        {"adapt": ("head.*",)},
        {"update": Update("sgd", momentum=0.9, weight_decay=0.1)},
        # The first step's gradient of the features is rounding: a smaller eps would blow it up.
        {"update": Update("adam", eps=1e-2)},
        {"loss": without_second_class},
        {"form": GraphForm(opset=17)},
        {
            "lr": {
                "body.weight": (2,),
                "body.bias": (2,),
                "head.weight": (2, 1, 6),
                "head.bias": (1,),
            }
        },
    ],
    ids=lambda choice: next(iter(choice)),
)
def test_choices_of_the_inner_loop(tmp_path: Path, choice: dict[str, Any]) -> None:
    torch.manual_seed(0)
    choice = dict(choice)
    lr: Any = choice.pop("lr", 0.1)
    if isinstance(lr, dict):
        lr = {name: torch.linspace(0.1, 0.2, int(np.prod(s))).reshape(s) for name, s in lr.items()}
    given = {"inner_lr": lr, "inner_steps": 3, **choice}
    runner = Runner(export_bundle(Small(), tmp_path / "b", EXAMPLE_X, example_y=EXAMPLE_Y, **given))
    torch.manual_seed(0)
    loop = InnerLoop(
        Small(),
        choice.get("loss", LOSSES["classification"]),
        choice.get("adapt", ("*",)),
        choice.get("update", Update()),
    )
    for ways in (3, 7):
        x = np.random.default_rng(ways).normal(size=(9, 3)).astype(np.float32)
        y = np.arange(9) % ways
        want = loop.adapt(loop.init(), torch.from_numpy(x), torch.from_numpy(y), steps=3, lr=lr)
        got = runner.adapt(x, y).state_dict()
        assert excess(got, numpy_state(want)) <= 1
        assert got["head.weight"].shape == (ways, 6)


def test_a_short_selftest_has_all_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    spreads = iter([5.0, 4.0, 3.0, 2.0, 1.5])  # the shortest episode is the best
    monkeypatch.setattr(recorded_episode, "_spread", lambda *_: next(spreads))
    loop = InnerLoop(Small(), LOSSES["classification"])
    x, y = torch.from_numpy(EXAMPLE_X), torch.from_numpy(EXAMPLE_Y)
    recorded = load(recorded_episode.record(loop, "classification", x, y, steps=3, lr=0.1).content)
    assert recorded[SUPPORT_Y].tolist() == [3]
    assert recorded[LOGITS].shape == (8, 4)


def test_the_bundle_in_onnxruntimes_format(made: Compiled, tmp_path: Path) -> None:
    write_ort_format(made.runner.path, tmp_path / "ort")  # replays the selftest
    assert (tmp_path / "ort" / "adapt.ort").exists()


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (
            Small(),
            {},
            "cannot tell how many classes the model was trained on.*pass ways or example_y",
        ),
        (Small(), {"ways": 1}, r"ways is out of range: got 1, expected 2\.\.65536"),
        (Small(), {"ways": 3, "example_y": EXAMPLE_Y}, r"labels 0\.\.2"),
        (Small(), {"task": "regression"}, "a shared head is for classification"),
        (Small(lambda z: z.flatten()), {"ways": 4}, "a shared head's output must be the model's"),
    ],
)
def test_what_cannot_be_exported(
    tmp_path: Path, model: nn.Module, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        export_bundle(model, tmp_path / "b", EXAMPLE_X, inner_lr=0.1, inner_steps=1, **arguments)
    assert not (tmp_path / "b").exists()


def by_number_of_classes(logits: Tensor) -> Tensor:
    return logits * 2 if logits.shape[1] == 4 else logits


def test_code_that_fixes_the_number_of_classes(tmp_path: Path) -> None:
    model = Small(by_number_of_classes)
    message = r"depends on the number of classes: got Ne\(classes, 4\) at .*, not so for 4"
    with pytest.raises(UnsupportedModelError, match=message):
        export_bundle(model, tmp_path / "b", EXAMPLE_X, ways=4, inner_lr=0.1, inner_steps=1)
