"""A neck and a head are meta-trained behind a frozen body, of which runs keep the hash alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import edgemeta
from edgemeta.errors import InputError
from edgemeta.measure.evaluate import BundleAdapter, evaluate
from edgemeta.meta.compare.baselines import compare
from edgemeta.meta.models.bodies import BodyModel
from edgemeta.meta.outer._engine import Plan
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, TaskSource
from tests.meta.conftest import SMALL

pytestmark = pytest.mark.usefixtures("folder")


def write_body(path: Path, seed: int = 0) -> Path:
    """Write an ONNX file: (N, 6) to (N, 8), a matrix and a ReLU."""
    weight = np.random.default_rng(seed).normal(size=(6, 8)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["y"])],
        "body",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
    return path


def test_a_neck_is_trained_behind_an_onnx_file(
    source: TaskSource, tmp_path: Path, folder: Path
) -> None:
    body = write_body(tmp_path / "body.onnx")
    run = edgemeta.meta_train(
        None, source, out=tmp_path / "run", body=str(body), neck="matrix", **SMALL
    )
    config = run.config()
    assert (config.head, config.adapt, config.inner_steps) == ("shared", ("head.*",), 1)
    assert len(list(folder.glob("*.npy"))) == 1  # the neck's mean and the training share it
    kept = Checkpoint.from_file(run.checkpoint_path("best"))
    assert not any(name.startswith("body.") for name in kept.model)
    assert len(kept.body_sha256) == 64
    assert run.record().config.others["body"] == "body.onnx"
    assert run.record().config.others["body_sha256"] == kept.body_sha256

    model = run.best().model
    assert isinstance(model, BodyModel)
    rows = source.rows["train"]  # type: ignore[attr-defined]
    x = torch.from_numpy(source.dataset.samples.read(rows))  # type: ignore[attr-defined]
    torch.testing.assert_close(kept.model["neck.cosine.mean"], model.body(x).mean(0))
    assert not torch.equal(kept.model["neck.weight"], torch.eye(8))

    result = run.result()
    assert result is not None
    size = EpisodeSize(3, 1, 2)
    adapter = run_adapter(run.path)  # by the path alone: the body is a file
    found = evaluate(adapter, source, size, episodes=4, seed=0, split="test")
    assert found.mean == pytest.approx(result["mean"])
    bundle = edgemeta.export(run.path, tmp_path / "bundle")
    episode = source.episode("test", size, 0, 0)
    on_device = BundleAdapter(edgemeta.Runner(bundle)).adapt_and_predict(episode)
    expected = adapter.adapt_and_predict(episode)
    np.testing.assert_allclose(on_device, expected, rtol=1e-4, atol=1e-4)


def test_little_behind_features_is_computed_at_once(source: TaskSource, tmp_path: Path) -> None:
    body = str(write_body(tmp_path / "body.onnx"))
    config = TrainConfig.of(tasks="<words>", body=body, **SMALL)
    trainer = Trainer(config, tmp_path / "run", source=source)
    assert trainer.work.light
    trainer.train()
    assert trainer.plan == Plan(2, 1, recorded=True)
    raw = replace(config, cache="off", iterations=1, validate_every=1)
    assert not Trainer(raw, tmp_path / "raw", source=source).work.light


def test_another_body_is_refused(source: TaskSource, tmp_path: Path) -> None:
    body = write_body(tmp_path / "body.onnx")
    choices = SMALL | {"body": str(body)}
    run = edgemeta.meta_train(None, source, out=tmp_path / "run", **choices)
    edgemeta.meta_train(None, source, out=tmp_path / "run", resume=True, **choices)
    write_body(body, seed=1)
    for again in (
        lambda: edgemeta.meta_train(None, source, out=tmp_path / "run", resume=True, **choices),
        lambda: edgemeta.export(run, tmp_path / "bundle"),
    ):
        with pytest.raises(InputError, match=r"body\.onnx is another than this run") as caught:
            again()
        assert "\n" not in str(caught.value)


def test_baselines_stand_behind_the_same_body(source: TaskSource, tmp_path: Path) -> None:
    body = write_body(tmp_path / "body.onnx")
    run = edgemeta.meta_train(None, source, out=tmp_path / "run", body=str(body), **SMALL)
    record = compare(run, episodes=4)
    assert len(record["contestants"]) == 8
    assert Run(run.pretrained_path).config().body == str(body)


def test_a_run_starts_from_another(source: TaskSource, tmp_path: Path) -> None:
    choices = SMALL | {"body": str(write_body(tmp_path / "body.onnx")), "neck": "matrix"}
    first = edgemeta.meta_train(None, source, out=tmp_path / "one", **choices)
    second = edgemeta.meta_train(
        None, source, out=tmp_path / "two", start=str(first.path), meta_lr=1e-9, **choices
    )
    states = [run.best().model.state_dict() for run in (first, second)]
    torch.testing.assert_close(states[0]["neck.weight"], states[1]["neck.weight"])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"body": "lost.onnx"}, "lost.onnx"),
        ({"body": "lost"}, "unknown body: got lost"),
        ({"neck": "cosine", "model": "my.module:make"}, "a neck stands behind a body"),
        ({"body": "speech", "model": "mlp"}, "a body takes the place of a model"),
        ({"body": "speech", "neck": "long"}, "unknown neck: got 'long'"),
    ],
)
def test_what_makes_no_body_is_one_line(
    source: TaskSource, tmp_path: Path, choices: dict[str, Any], message: str
) -> None:
    choices = dict(choices)
    with pytest.raises(InputError) as caught:
        edgemeta.meta_train(
            choices.pop("model", None), source, out=tmp_path / "run", **SMALL | choices
        )
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_choices_of_the_user_win_over_those_of_a_body() -> None:
    config = TrainConfig.of(tasks="glyphs", body="speech", inner_steps=3, neck="none")
    assert (config.inner_steps, config.neck, config.head) == (3, "none", "shared")
