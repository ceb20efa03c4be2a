"""Any module can be meta-trained: as an object of Python, or by the name of what makes it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import edgemeta
from edgemeta.errors import InputError, UnsupportedModelError
from edgemeta.measure.evaluate import BundleAdapter, evaluate
from edgemeta.meta.compare.baselines import compare
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize, TaskSource
from tests.meta.conftest import SMALL as TINY

pytestmark = pytest.mark.usefixtures("folder")

SMALL: dict[str, Any] = TINY | {"inner_lr": 0.1}


class Net(nn.Module):
    """A body with a batch norm, a neck, a shared head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.body = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.neck = nn.Linear(8, 8)
        self.head = SharedHead(8)
        self.body[1].running_mean.normal_()  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.neck(self.body(x)))
        return logits


def train(source: TaskSource, out: Path, **choices: Any) -> Run:
    given = SMALL | {"adapt": ("head.*",), "trained": ("neck.*",)} | choices
    return edgemeta.meta_train(Net().eval(), source, out=out, **given)


def test_a_module_is_trained_evaluated_and_exported(
    source: TaskSource, tmp_path: Path, folder: Path
) -> None:
    model = Net().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    run = edgemeta.meta_train(
        model, source, out=tmp_path / "run", adapt=["head.*"], trained=["neck.*"], **SMALL
    )
    after = run.best().model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"neck.weight", "neck.bias"}
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert len(list(folder.glob("*.npy"))) == 1
    result = run.result()
    assert result is not None
    size = EpisodeSize(3, 1, 2)
    adapter = run_adapter(run)
    found = evaluate(adapter, source, size, episodes=4, seed=0, split="test")
    assert found.mean == pytest.approx(result["mean"])  # on raw samples what it was on features

    bundle = edgemeta.export(run, tmp_path / "bundle")
    episode = source.episode("test", size, 0, 0)
    on_device = BundleAdapter(edgemeta.Runner(bundle)).adapt_and_predict(episode)
    expected = adapter.adapt_and_predict(episode)
    np.testing.assert_allclose(on_device, expected, rtol=1e-4, atol=1e-5)


def test_features_and_raw_samples_train_to_the_same(source: TaskSource, tmp_path: Path) -> None:
    cached = train(source, tmp_path / "cached").best().model.state_dict()
    raw = train(source, tmp_path / "raw", cache="off").best().model.state_dict()
    for name, tensor in raw.items():
        # float32, 4 outer steps of Adam
        torch.testing.assert_close(cached[name], tensor, rtol=1e-4, atol=1e-5)


def test_what_adapts_need_not_be_trained_nor_the_reverse(
    source: TaskSource, tmp_path: Path
) -> None:
    start = Net().state_dict()
    run = train(source, tmp_path / "run", adapt=("*",), trained=("body.0.weight",))
    found = run.best().model.state_dict()
    assert {n for n in start if not torch.equal(start[n], found[n])} == {"body.0.weight"}
    last = torch.load(run.checkpoint_path("last"), weights_only=True)
    assert len(last["optimizer"]["state"]) == 1


def test_a_run_is_resumed_with_its_model(
    source: TaskSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(source, tmp_path / "whole")
    step = Trainer.outer_step

    def stop(trainer: Trainer) -> float:
        if trainer.iteration == 3:
            raise KeyboardInterrupt
        return step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "outer_step", stop)
        with pytest.raises(KeyboardInterrupt):
            train(source, tmp_path / "cut")
    cut = train(source, tmp_path / "cut", resume=True)
    states = [Checkpoint.from_file(run.checkpoint_path("last")).model for run in (whole, cut)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    with pytest.raises(InputError, match="--trained differs"):
        train(source, tmp_path / "cut", resume=True, trained=("*",))


def test_another_process_is_told_what_it_lacks(source: TaskSource, tmp_path: Path) -> None:
    run = train(source, tmp_path / "run")
    with pytest.raises(InputError, match=r"object in Python.*Net.*Run\(path, model=\.\.\.\)"):
        Run(run.path).best()
    with pytest.raises(InputError, match="object in Python"):
        edgemeta.export(run.path, tmp_path / "bundle")
    again = Run(run.path, model=Net().eval())
    assert torch.equal(again.best().model.state_dict()["neck.weight"], run.best().model.neck.weight)  # type: ignore[union-attr, arg-type]
    for other in (nn.Sequential(nn.Linear(6, 4), SharedHead(4)), Net().train()):
        with pytest.raises(InputError, match="of another network"):
            Run(run.path, model=other).best()


def test_statistics_of_norms_are_in_the_config(source: TaskSource, tmp_path: Path) -> None:
    run = train(source, tmp_path / "run", norm_statistics="support", trained=("*",))
    assert run.config().norm_statistics == "support"
    loop = run.best().loop()
    assert [name.rpartition(".")[2] for name in loop.statistics] == ["running_mean", "running_var"]
    assert run.record().config.others["norm_statistics"] == "support"


def test_a_frozen_norm_in_training_mode_is_warned_of_once(
    source: TaskSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choices: dict[str, Any] = SMALL | {"adapt": ("head.*",), "trained": ("neck.*",)}
    (tmp_path / "nets.py").write_text(
        "from tests.meta.test_meta_train import Net\ndef make(shape, ways): return Net()\n"
    )
    monkeypatch.chdir(tmp_path)
    for out, model in (("object", Net()), ("function", "nets:make")):
        with pytest.warns(UserWarning, match=r"1 batch norm .*body\.1.*model\.eval\(\)") as said:
            edgemeta.meta_train(model, source, out=out, **choices)
        assert len(said) == 1
        assert 'norm_statistics="running"' in str(said[0].message)
    # pytest makes an error of a warning: to go on or to look at the run says nothing again
    edgemeta.meta_train(Net(), source, out="object", resume=True, **choices)
    Run(Path("function")).best()
    for meant in ({"norm_statistics": "support"}, {"trained": ("body.*",)}, {"adapt": ("*",)}):
        out = str(tmp_path / str(next(iter(meant))))
        edgemeta.meta_train(Net(), source, out=out, **choices | meant)


def test_baselines_of_a_foreign_model_are_its_start(source: TaskSource, tmp_path: Path) -> None:
    record = compare(train(source, tmp_path / "run"), episodes=4)
    named = [(entry["init"], entry["method"]) for entry in record["contestants"]]
    assert named == [("meta-learned", "as trained"), ("random", "all weights")]


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        ({"inner_rate": 1}, InputError, "unknown choices: got inner_rate"),
        ({"trained": ("tail.*",)}, UnsupportedModelError, "trained pattern 'tail.*' matches no"),
        ({"trained": ("",)}, InputError, "trained is no list of patterns"),
        ({"cache": "on"}, InputError, "unknown cache: got 'on'"),
        ({"norm_statistics": "own"}, InputError, "unknown norm_statistics: got 'own'"),
    ],
)
def test_bad_choices_are_refused(
    source: TaskSource,
    tmp_path: Path,
    choices: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error) as caught:
        train(source, tmp_path / "run", **choices)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_model_that_does_not_fit_is_refused(source: TaskSource, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wrong output for these tasks: got \\(2, 4\\)"):
        edgemeta.meta_train(nn.Linear(6, 4), source, out=tmp_path / "run", **SMALL)
    with pytest.raises(InputError, match="does not run on the samples"):
        edgemeta.meta_train(nn.Linear(7, 3), source, out=tmp_path / "run", **SMALL)


MAKER = """
import torch
from torch import nn

number = 3

def make(shape, ways):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0], 8), nn.ReLU(), nn.Linear(8, ways))

def wide(shape, ways):
    return nn.Sequential(nn.Flatten(), nn.Linear(shape[0], ways + 1))

def nothing(shape, ways):
    return None

def fails(shape, ways):
    raise ValueError("no such thing")
"""


def cli(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgemeta", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_a_function_of_the_current_directory_makes_the_model(data: Path, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(MAKER)
    options = [f"--{n.replace('_', '-')}={v}" for n, v in SMALL.items()]
    command = ("train", data, "--model", "nets:make", "--adapt", "3.*", *options, "--json")
    trained = cli(*command, "--out", "run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert Run(tmp_path / "run").config().model == "nets:make"
    evaluated = cli("eval", "run", "--episodes", 4, "--queries", 2, "--json", cwd=tmp_path)
    assert json.loads(evaluated.stdout)["mean"] == pytest.approx(json.loads(trained.stdout)["mean"])
    exported = cli("export", "run", "--out", "bundle", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lost:make", "cannot import lost: got ModuleNotFoundError"),
        ("nets:lost", "nets has no function lost"),
        ("nets:number", "nets has no function number: got int"),
        ("nets:nothing", "returns no module: got NoneType"),
        ("nets:fails", "got ValueError: no such thing"),
        ("nets:wide", "wrong output for these tasks: got (2, 4)"),
        ("nets", "unknown model: got 'nets'"),
    ],
)
def test_what_makes_no_model_is_one_line(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    (tmp_path / "nets.py").write_text(MAKER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "nets", raising=False)
    with pytest.raises(InputError) as caught:
        edgemeta.meta_train(name, str(data), out="run", **SMALL)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
