"""`export_bundle`: what it takes and refuses, and that a failure writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from edgemeta import InputError, Runner, UnsupportedModelError
from edgemeta.bundle import ADAPT, INIT, LOGITS, LOSSES, PREDICT, SUPPORT_X, SUPPORT_Y
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta_export import export_bundle
from edgemeta_export.publish import publish
from tests.cases import CASE, Case, Compile, Compiled

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def export(out: Path, model: nn.Module | None = None, **changes: Any) -> Path:
    arguments: dict[str, Any] = {"example_x": X, "inner_lr": 0.1, "inner_steps": 2} | changes
    return export_bundle(model or linear(), out, **arguments)


class Twice(nn.Linear):
    """Returns two tensors."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return x, super().forward(x)


class Distant(nn.Linear):
    """Uses an op whose gradient has neither a translation nor a rule."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, self.weight, p=3.0)


class Named(nn.Module):
    """Has a parameter called like an input of the graph."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = nn.Parameter(torch.ones(4, 3))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.steps


@pytest.mark.parametrize(
    ("model", "changes", "error", "message"),
    [
        (None, {"task": "clustering"}, InputError, "unknown task"),
        (None, {"inner_lr": 0.0}, InputError, "inner_lr must be positive"),
        (None, {"inner_lr": float("nan")}, InputError, "inner_lr must be positive"),
        (None, {"inner_steps": 0}, InputError, "inner_steps is too small"),
        (None, {"ways": 4}, InputError, r"output does not fit.*\(n, 4\) logits"),
        (None, {"ways": 3, "task": "regression"}, InputError, "ways is for classification"),
        (None, {"example_x": X[:, :3]}, InputError, "does not run on example_x"),
        (None, {"example_x": X[:0]}, InputError, "samples along axis 0"),
        (None, {"example_x": X[0]}, InputError, "samples along axis 0"),
        (None, {"example_x": X.astype(str)}, InputError, "dtype that torch lacks"),
        (None, {"example_y": [0, 1, 2, 3, 0, 1]}, InputError, "example_y does not fit"),
        (None, {"example_y": [0, 1]}, InputError, "example_y does not fit"),
        (None, {"labels": "abc"}, InputError, "labels are no list of texts: got 'abc'"),
        (None, {"labels": ["a", "b", 3]}, InputError, "labels are no list of texts"),
        (None, {"labels": ["a", "b"]}, InputError, "got 2: a, b, expected 3, one for each output"),
        (None, {"labels": ["a", "b", "a"]}, InputError, "labels cannot be saved: got 'a' twice"),
        (None, {"labels": ["a", "b", "\x1b"]}, InputError, "the labels cannot be saved"),
        (
            None,
            {"labels": ["a", "b", "c"], "task": "regression"},
            InputError,
            "mean the same in every task: got regression, .*; leave labels out",
        ),
        (
            nn.Sequential(nn.Linear(4, 8), nn.ReLU(), SharedHead(8)),
            {"labels": ["a", "b"], "ways": 2},
            InputError,
            "mean the same in every task: got a shared head",
        ),
        (nn.Flatten(), {}, UnsupportedModelError, "the model has no parameters"),
        (None, {"adapt": ("body.*",)}, UnsupportedModelError, "'body.*' matches no parameter"),
        (Twice(4, 3), {}, UnsupportedModelError, "must return one tensor"),
        (
            Distant(4, 3),
            {},
            UnsupportedModelError,
            r"cannot be lowered to ONNX yet: got aten\._cdist",
        ),
        (Named(), {}, UnsupportedModelError, "names that the graphs use themselves: got steps"),
        (linear().double(), {"example_x": X.astype(float)}, UnsupportedModelError, "float32"),
    ],
)
def test_what_cannot_be_exported_is_refused_and_writes_nothing(
    tmp_path: Path,
    model: nn.Module | None,
    changes: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message) as caught:
        export(tmp_path / "bundle", model, **changes)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_labels_are_in_the_manifest_and_nowhere_else(tmp_path: Path) -> None:
    named = Runner(export(tmp_path / "named", labels=np.array(["c", "a", "b"])))
    assert named.manifest.labels == ("c", "a", "b")
    plain = Runner(export(tmp_path / "plain"))
    records = [runner.manifest.record() for runner in (plain, named)]
    assert records[1].pop("labels") == ["c", "a", "b"]
    assert records[0] == records[1]


def test_what_is_not_adapted_stays(tmp_path: Path) -> None:
    model = linear()
    runner = Runner(export(tmp_path / "bundle", model, adapt=("2.*",)))
    assert [tensor.name for tensor in runner.manifest.state] == ["2.weight", "2.bias"]
    assert runner.manifest.ways == 3
    y = np.array([0, 1, 2, 0, 1, 2])
    learner = runner.adapt(X, y, steps=3)
    # The same by hand: SGD on the head alone.
    optimizer = torch.optim.SGD(model[2].parameters(), lr=0.1)  # type: ignore[index]
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(torch.from_numpy(X)), torch.from_numpy(y))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    np.testing.assert_allclose(
        learner.predict_logits(X),
        model(torch.from_numpy(X)).detach().numpy(),
        atol=1e-6,  # float32, values around 1
    )


def test_the_callers_model_is_left_alone(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Unflatten(1, (1, 2, 2)), nn.BatchNorm2d(1), nn.Flatten(), linear())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export(tmp_path / "bundle", model.train())
    assert isinstance(model[1], nn.BatchNorm2d)
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


class Keeping(nn.Linear):
    """Keeps what it computed."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = super().forward(x)
        return self.kept


def test_a_model_that_holds_what_it_computed_is_refused(tmp_path: Path) -> None:
    model = Keeping(4, 3)
    model(torch.from_numpy(X))
    with pytest.raises(InputError, match=r"under torch\.no_grad"):
        export(tmp_path / "bundle", model)


class Caching(nn.Module):
    """Computes something from a parameter that adapts, and in eval mode never again."""

    def __init__(self, *, caches: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.caches = caches
        self.linear = nn.Linear(4, 3)
        self.biases = nn.Parameter(torch.tensor([0.3, -0.2]))
        self.cache: dict[str, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        if not self.caches or "cpu" not in self.cache:
            self.cache["cpu"] = self.biases[torch.tensor([0, 1, 1])]
        output: Tensor = self.linear(x)
        return output + self.cache["cpu"]


def test_what_a_model_computed_once_adapts_all_the_same(tmp_path: Path) -> None:
    adapted = []
    for caches in (False, True):
        path = export(tmp_path / "bundle", Caching(caches=caches).eval(), example_y=[0, 1, 2] * 2)
        adapted.append(Runner(path).adapt(X, np.arange(6) % 3).state_dict())
    want, got = adapted
    assert np.abs(want["biases"] - [0.3, -0.2]).min() > 1e-3
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-6, atol=1e-7, err_msg=name)


def test_an_existing_bundle_is_replaced_whole(tmp_path: Path) -> None:
    first = Runner(export(tmp_path / "bundle")).fingerprint
    second = Runner(export(tmp_path / "bundle", inner_lr=0.2))
    assert second.fingerprint != first
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_a_failure_keeps_the_bundle_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = export(tmp_path / "bundle")
    before = Runner(path).fingerprint

    def fail(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgemeta_export.publish.verify", fail)
    with pytest.raises(KeyboardInterrupt):
        export(path, inner_lr=0.2)
    assert Runner(path).fingerprint == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    paths = [export(tmp_path / name) for name in ("one", "two")]
    for file in paths[0].iterdir():
        assert file.read_bytes() == (paths[1] / file.name).read_bytes(), file.name


def test_example_labels_are_made_up_where_none_are_given(tmp_path: Path) -> None:
    runner = Runner(export(tmp_path / "bundle", ways=3))
    assert runner.manifest.target.dtype == "int64"
    wave = CASE["mlp-sinusoid"]
    x, _ = wave.samples(4, seed=0)
    made = export(tmp_path / "wave", wave.model(), example_x=x, task="regression")
    assert Runner(made).manifest.target.shape == (1,)


@pytest.mark.parametrize(
    "case", [CASE["conv4-support-max"], CASE["mlp-sinusoid"]], ids=lambda c: c.name
)
def test_the_graphs_keep_the_contract(compiled: Compile, case: Case) -> None:
    made: Compiled = compiled(case)
    manifest, path = made.runner.manifest, made.runner.path
    state = [tensor.name for tensor in manifest.state]
    output = LOGITS if manifest.ways else "output"
    ways = ["ways"] if manifest.ways else []
    for file, inputs, outputs in (
        (
            ADAPT,
            [SUPPORT_X, SUPPORT_Y, "steps", "lr_scale", *state, *ways],
            [*(f"{name}.next" for name in state), LOSSES],
        ),
        (PREDICT, ["query_x", *state, *ways], [output]),
    ):
        onnx.checker.check_model(path / file, full_check=True)
        model = onnx.load(path / file, load_external_data=False)
        assert [value.name for value in model.graph.input] == inputs
        assert [value.name for value in model.graph.output] == outputs
        # Stock onnxruntime: nothing outside the standard domain.
        assert {(opset.domain, opset.version) for opset in model.opset_import} == {
            ("", manifest.opset)
        }
        assert not {node.domain for node in model.graph.node} - {"", "ai.onnx"}
        assert not model.functions
        defaults = {tensor.name: tensor for tensor in model.graph.initializer}
        for tensor in manifest.state:
            place = {entry.key: entry.value for entry in defaults[tensor.name].external_data}
            assert place["location"] == INIT
        batch = model.graph.input[0].type.tensor_type.shape.dim[0]
        assert batch.dim_param


def test_publish_leaves_no_part_behind(tmp_path: Path, compiled: Compile) -> None:
    manifest = compiled(CASE["mlp-classes"]).runner.manifest
    with pytest.raises(Exception, match=r"adapt\.onnx"):
        publish(tmp_path / "bundle", {}, manifest)
    assert not list(tmp_path.iterdir())
