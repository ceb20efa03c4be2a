"""Each command does its work, and says it as text and as JSON."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import edgemeta
from edgemeta import Learner, Runner
from edgemeta.meta.runs.run import Run
from edgemeta_export.ort_format import CONFIG, write_ort_format
from tests.cases import CASE
from tests.cli.conftest import Call
from tests.manifests import rewrite


def test_train_export_eval_in_a_row(call: Call, tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    sizes = "--iterations 2 --meta-batch 2 --validation-episodes 3 --test-episodes 4 --shots 5"
    network = "--model mlp --hidden 8,8 --inner-lr 0.01"
    trained = call("train", "sinusoid", "--out", run, *sizes.split(), *network.split())
    assert trained.code == 0
    assert "mse" in trained.out
    assert "inductive" in trained.out
    assert trained.err == ""  # no progress bar without a terminal
    config = Run(run).config()
    assert (config.iterations, config.hidden, config.shots) == (2, (8, 8), 5)

    exported = call("export", run, "--out", bundle, "--json")
    assert exported.code == 0
    assert json.loads(exported.out)["fingerprint"] == Runner(bundle).fingerprint

    options = ["sinusoid", "--episodes", 5, "--steps", 3, "--json"]
    on_torch, on_runtime = (json.loads(call("eval", path, *options).out) for path in (run, bundle))
    assert on_torch["shots"] == on_runtime["shots"] == 5  # as trained
    assert on_torch["runtime"] == "torch"
    assert on_runtime["runtime"] == "onnxruntime"
    assert on_torch["mean"] == pytest.approx(on_runtime["mean"], rel=1e-4)

    own = json.loads(call("eval", run, *options[1:]).out)  # on what it was trained on
    assert own == on_torch
    (kept,) = Run(run).evaluations()  # the same again takes the place of the first
    assert kept["found"]["mean"] == own["mean"]
    assert kept["setting"]["tasks"] == "sinusoid"
    refused = call("eval", bundle)
    assert refused.code == 2
    assert "is a bundle, which holds no data, name the TASKS too" in refused.err.replace(";", ",")


def test_export_for_other_runtimes(call: Call, run_path: Path, tmp_path: Path) -> None:
    options = [
        "--opset",
        17,
        "--adapt",
        "*",
        "--adapt",
        "!body.*",
        "--ort-format",
        tmp_path / "ort",
    ]
    done = call("export", run_path, "--out", tmp_path / "bundle", *options)
    assert done.code == 0, done.err
    manifest = Runner(tmp_path / "bundle").manifest
    assert manifest.opset == 17
    assert [tensor.name for tensor in manifest.state] == ["head.weight", "head.bias"]
    assert {path.name for path in (tmp_path / "ort").iterdir()} == {
        "adapt.ort",
        "predict.ort",
        "required_operators.config",
    }
    both = call("export", run_path, "--out", tmp_path / "both", "--tune", "--unroll")
    assert both.code == 2
    assert "--tune decides whether to unroll" in both.err
    assert "opset" in call("export", run_path, "--out", tmp_path / "old", "--opset", 9).err
    assert not (tmp_path / "old").exists()


def test_train_takes_a_config_and_the_command_line_wins(call: Call, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        'tasks = "sinusoid"\nmodel = "mlp"\nhidden = [4]\niterations = 1\nmeta_batch = 1\n'
        "validation_episodes = 2\ntest_episodes = 2\ninner_lr = 0.01\nshots = 3\n"
    )
    done = call("train", "--config", tmp_path / "c.toml", "--shots", 4, "--out", tmp_path / "run")
    assert done.code == 0, done.err
    config = Run(tmp_path / "run").config()
    assert (config.tasks, config.hidden, config.shots) == ("sinusoid", (4,), 4)
    # A finished run resumes to its end at once, and says the same.
    again = call("train", "--resume", "--out", tmp_path / "run")
    assert again.code == 0
    assert again.out == done.out
    record = json.loads(call("train", "--resume", "--out", tmp_path / "run", "--json").out)
    assert record["run"] == str(tmp_path / "run")
    assert record["metric"] == "mse"
    differs = call("train", "--resume", "--out", tmp_path / "run", "--shots", 5)
    assert differs.code == 2
    assert "--shots differs from the run's" in differs.err


def test_adapt_then_predict(call: Call, bundle_path: Path, support: Path, tmp_path: Path) -> None:
    state = tmp_path / "mine.safetensors"
    adapted = call("adapt", bundle_path, support, "--out", state, "--steps", 20, "--json")
    record = json.loads(adapted.out)
    assert (record["samples"], record["steps"], len(record["losses"])) == (10, 20, 21)

    predicted = json.loads(call("predict", bundle_path, support, "--state", state, "--json").out)
    with np.load(support) as arrays:
        x, y = arrays["x"], arrays["y"]
    runner = Runner(bundle_path)
    learner = runner.adapt(x, y, steps=20)
    assert predicted["predictions"] == learner.predict(x).tolist()
    assert predicted["accuracy"] == float(np.mean(learner.predict(x) == y))
    assert np.shape(predicted["probabilities"]) == (10, 5)

    text = call("predict", bundle_path, support, "--state", state).out
    assert len(text.splitlines()) == 2 + 10 + 1
    assert "accuracy" in text

    further = tmp_path / "further.safetensors"
    call("adapt", bundle_path, support, "--out", further, "--state", state, "--steps", 1)
    want = runner.adapt(x, y, steps=1, state=learner).predict_logits(x)
    assert np.array_equal(runner.load(further).predict_logits(x), want)


def test_many_samples_are_predicted_in_pieces(
    call: Call, bundle_path: Path, support: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once = json.loads(call("predict", bundle_path, support, "--json").out)
    monkeypatch.setattr("edgemeta.cli.predict.PIECE", 3)
    sizes: list[int] = []
    whole = Learner.predict_proba

    def counted(learner: Learner, x: NDArray[Any]) -> NDArray[np.float32]:
        sizes.append(len(x))
        return whole(learner, x)

    monkeypatch.setattr(Learner, "predict_proba", counted)
    in_pieces = json.loads(call("predict", bundle_path, support, "--json").out)
    assert sizes == [3, 3, 3, 1]
    np.testing.assert_allclose(in_pieces["probabilities"], at_once["probabilities"], rtol=1e-5)


@pytest.mark.parametrize("samples", [0, 3])
def test_predict_reads_npy_and_warns_without_a_state(
    call: Call, bundle_path: Path, tmp_path: Path, samples: int
) -> None:
    np.save(tmp_path / "query.npy", np.zeros((samples, 28, 28), np.uint8))
    done = call("predict", bundle_path, tmp_path / "query.npy")
    if not samples:
        assert done.code == 2
        return
    assert done.code == 0
    assert "the init predicts without adaptation" in done.err
    assert "accuracy" not in done.out


def test_eval_writes_the_predictions(call: Call, bundle_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "labels.npz"
    options = ["glyphs", "--episodes", 4, "--queries", 2, "--predictions", out]
    done = call("eval", bundle_path, *options)
    assert done.code == 0
    assert "on 4 test episodes of glyphs (onnxruntime)" in done.out
    with np.load(out) as arrays:
        assert arrays["predictions"].shape == (4, 10)


def test_verify_inspect_and_bench(call: Call, bundle_path: Path) -> None:
    assert "computes what PyTorch did" in call("verify", bundle_path).out
    differences = json.loads(call("verify", bundle_path, "--json").out)["differences"]
    assert set(differences) == {"state", "losses", "logits"}

    shown = call("inspect", bundle_path).out
    runner = Runner(bundle_path)
    for tensor in runner.manifest.state:
        assert tensor.name in shown
    assert "(n, 28, 28) uint8" in shown
    assert "trained on   glyphs: accuracy" in shown
    record = json.loads(call("inspect", bundle_path, "--json").out)
    assert record["manifest"]["training"]["config"]["tasks"] == "glyphs"
    assert "root" not in record["manifest"]["training"]["config"]
    assert record["fingerprint"] == runner.fingerprint
    assert record["manifest"]["ways"] == 5

    options = ["--shots", 2, "--repeats", 2, "--threads", 1]
    measured = json.loads(call("bench", bundle_path, *options, "--json").out)
    assert [speed["samples"] for speed in measured["latency_ms"]] == [10]
    assert measured["cold_start"]["total_ms"] > 0
    text = call("bench", bundle_path, *options).out
    assert "adapt p50" in text
    assert "cold start" in text
    assert "peak memory" in text


def test_verify_says_whether_a_reduced_build_has_all_operators(
    call: Call, bundle_path: Path, tmp_path: Path
) -> None:
    write_ort_format(bundle_path, tmp_path / "ort")
    config = tmp_path / "ort" / CONFIG
    done = call("verify", bundle_path, "--operators", config)
    assert (done.code, done.err) == (0, "")
    assert f"{config}: has all operators that {bundle_path} needs and nothing else" in done.out
    with config.open("a") as file:
        file.write("ai.onnx;20;Gelu\n")
    done = call("verify", bundle_path, "--operators", config, "--json")
    assert json.loads(done.out)["unused_operators"] == ["ai.onnx Gelu (opset 20)"]
    config.write_text("ai.onnx;20;Gelu\n")
    done = call("verify", bundle_path, "--operators", config)
    assert (done.code, done.out) == (1, "")
    assert "could not load the bundle: got no ai.onnx " in done.err
    assert "no ai.onnx Loop (opset 19), no " in done.err
    assert call("verify", bundle_path, "--operators", tmp_path / "none").code == 2


def test_baselines(call: Call, run_path: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(run_path, tmp_path / "run"))
    options = ["--episodes", 2, "--pretrain-iterations", 1, "--curve-episodes", 2]
    done = call("baselines", run, *options)
    assert done.code == 0, done.err
    assert done.err == ""  # no progress bar without a terminal
    assert "random        all weights" in done.out
    assert "2 test episodes of glyphs, 5-way 1-shot, inductive" in done.out
    assert re.search(r"pretrained +logistic regression +- +C [\d.]+ +0\.\d+ ± ", done.out)
    assert re.search(r"init +method +accuracy, 1-shot +2-shot +5-shot\n", done.out)
    assert "The first 2 episodes of each number of shots; what is chosen is chosen" in done.out
    record = json.loads(call("baselines", run, *options, "--json").out)
    assert record == Run(run).baselines()
    other = call("baselines", run, "--episodes", 2, "--pretrain-iterations", 2)
    assert other.code == 2
    assert "another pre-training" in other.err
    assert call("baselines", tmp_path / "nowhere").code == 2
    plain = call("baselines", run, *options[:-1], 0)
    assert "2-shot" not in plain.out


def test_report(call: Call, run_path: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(run_path, tmp_path / "run"))
    done = call("report", run, "--episodes", 2)
    assert done.code == 0, done.err
    assert done.err == ""
    assert str(run / "report.html") in done.out
    page = (run / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    other = call("report", run, "--out", tmp_path / "page.html", "--episodes", 2, "--json")
    assert other.code == 0, other.err
    assert json.loads(other.out) == {
        "report": str(tmp_path / "page.html"),
        "bytes": len(page.encode()),
    }
    assert (tmp_path / "page.html").read_text() == page
    for arguments, word in (
        ([run, "--out", tmp_path / "none" / "page.html"], "no such directory"),
        ([run, "--tasks", "sinusoid"], "kind of task do not fit"),
        ([run, "--root", tmp_path], "takes no root"),
        ([tmp_path / "nowhere"], "nowhere"),
    ):
        refused = call("report", *arguments)
        assert refused.code == 2
        assert word in refused.err
    assert not (tmp_path / "nowhere").exists()


def test_a_packaged_bundle_goes_by_its_name(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "computes what PyTorch did" in call("verify", "omniglot").out
    record = json.loads(call("inspect", "omniglot", "--json").out)
    assert record["fingerprint"] == edgemeta.load("omniglot").fingerprint
    found = call("eval", "omniglot", "glyphs", "--episodes", 2, "--queries", 1)
    assert "(onnxruntime)" in found.out
    # A directory of that name is what is meant where there is one.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "omniglot").mkdir()
    for command in ("verify", "inspect", "bench"):
        done = call(command, "omniglot")
        assert done.code == 2
        assert "omniglot is not a bundle" in done.err


def test_bench_compares_with_what_was_recorded(
    call: Call, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgemeta.measure.bench.COLD_STARTS", 1)  # for the sake of time
    bundle = Path(shutil.copytree(bundle_path, tmp_path / "bundle"))
    options = ["--shots", 1, "--repeats", 2, "--threads", 1]
    assert "measured" not in call("inspect", bundle).out
    assert call("bench", bundle, *options, "--record").code == 0
    assert "measured     adapt " in call("inspect", bundle).out

    shown = call("bench", bundle, *options).out.splitlines()
    header = next(line for line in shown if "ratio" in line).split()
    assert header[-4:] == ["predict", "here", "there", "ratio"]
    _, _, here, _, there, _, ratio, *_ = shown[-1].split()
    # Two decimals are shown of each; of times below a millisecond that leaves some per cent.
    assert float(ratio) == pytest.approx(float(here) / float(there), rel=0.2, abs=0.01)
    record = json.loads(call("bench", bundle, *options, "--json").out)["recorded"]
    assert record["threads"] == 1
    assert record["here_over_there"][0]["samples"] == 5

    other = call("bench", bundle, "--shots", 2, "--repeats", 2)
    assert "nothing to compare: it has 5 samples in" in other.out
    (bundle / "bench.json").write_text("{}")
    assert call("bench", bundle, *options).code == 2
    assert call("bench", bundle, *options, "--record").code == 0


@pytest.mark.parametrize("training", [None, {}, {"result": {"statistics": "inductive"}}])
def test_a_bundle_with_another_training_record(
    call: Call, bundle_path: Path, tmp_path: Path, training: object
) -> None:
    bundle = Path(shutil.copytree(bundle_path, tmp_path / "bundle"))
    rewrite(bundle, lambda manifest: manifest.update(training=training))
    shown = call("inspect", bundle)
    assert shown.code == 0
    assert "trained on" not in shown.out
    done = call("eval", bundle, "glyphs", "--episodes", 2, "--json")
    assert json.loads(done.out)["shots"] == 1


def with_training(bundle_path: Path, to: Path, **config: object) -> Path:
    """Copy a bundle, with another record of how it was trained."""
    bundle = Path(shutil.copytree(bundle_path, to))
    rewrite(bundle, lambda manifest: manifest["training"]["config"].update(config))
    return bundle


def test_eval_reads_data_as_the_training_did(call: Call, bundle_path: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shape = Runner(bundle_path).manifest.input.shape
    classes, people = (each.ravel() for each in np.mgrid[:40, :10])
    x = rng.integers(0, 256, (400, *shape), np.uint8)
    np.savez(tmp_path / "data.npz", x=x, y=classes, subject=people)
    bundle = with_training(
        bundle_path, tmp_path / "bundle", by="subject", data={"draw": "all", "test_only": True}
    )
    options = (tmp_path / "data.npz", "--episodes", 3, "--queries", 2, "--predictions")

    def predictions(*arguments: object) -> tuple[list[int], str]:
        done = call("eval", *arguments)
        assert done.code == 0, done.err
        return np.load(tmp_path / "found.npz")["predictions"].tolist(), done.err

    as_trained, note = predictions(bundle, *options, tmp_path / "found.npz")
    assert "note: data are divided and read as in training: --by subject --draw all --test" in note
    plain = predictions(bundle_path, *options, tmp_path / "found.npz")
    assert plain[1] == ""
    assert as_trained != plain[0]
    said = ("--by", "subject", "--draw", "all", "--test-only")
    assert predictions(bundle_path, *options, tmp_path / "found.npz", *said) == (as_trained, "")
    # What is said takes the place of one option; the others stay.
    found, note = predictions(bundle, *options, tmp_path / "found.npz", "--by", "class")
    said = ("--by", "class", "--draw", "all", "--test-only")
    assert found == predictions(bundle_path, *options, tmp_path / "found.npz", *said)[0]
    assert note == "note: data are divided and read as in training: --draw all --test-only\n"


@pytest.mark.parametrize(
    "config",
    [
        {"by": 3},
        {"split_seed": -1},
        {"data": []},
        {"data": {"window": "8"}},
        {"data": {"odd": 1}},
    ],
)
def test_a_bundle_with_a_damaged_record_of_its_data(
    call: Call, bundle_path: Path, tmp_path: Path, config: dict[str, object]
) -> None:
    bundle = with_training(bundle_path, tmp_path / "bundle", **config)
    done = call("eval", bundle, "glyphs", "--episodes", 2)
    assert done.code == 2
    assert "training record is damaged" in done.err or "breaks the contract: got train" in done.err
    assert done.err.count("\n") == 1


def test_the_command_is_installed() -> None:
    installed = Path(sys.executable).with_name("edgemeta")
    for command in ([installed], [sys.executable, "-m", "edgemeta"]):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert edgemeta.__version__ in done.stdout


def test_the_version_is_that_of_the_package() -> None:
    from importlib.metadata import version

    assert edgemeta.__version__ == version("edgemeta")


def test_a_shared_head_takes_any_number_of_ways(call: Call, tmp_path: Path) -> None:
    run, bundle_path = tmp_path / "run", tmp_path / "bundle"
    trained = call(
        *("train", "glyphs", "--out", run, "--head", "shared", "--model", "mlp", "--hidden", "8"),
        *("--iterations", 2, "--meta-batch", 2, "--queries", 2, "--validate-every", 2),
        *("--validation-episodes", 2, "--test-episodes", 2),
    )
    assert trained.code == 0, trained.err
    assert call("export", run, "--out", bundle_path).code == 0
    scores = []
    for what in (run, bundle_path):
        found = call("eval", what, "glyphs", "--ways", 8, "--episodes", 4, "--json")
        assert found.code == 0, found.err
        scores.append(json.loads(found.out))
    assert scores[0]["ways"] == scores[1]["ways"] == 8
    assert scores[0]["mean"] == scores[1]["mean"]
    shown = call("inspect", bundle_path).out
    assert "any number of ways (trained with 5)" in shown
    assert "ways x 8" in shown
    x, _ = CASE["mlp-classes"].samples(6, seed=1)
    np.savez(tmp_path / "three.npz", x=x, y=np.arange(6) % 3)
    np.savez(tmp_path / "more.npz", x=x[:2], y=[3, 3])
    three, four = tmp_path / "three.safetensors", tmp_path / "four.safetensors"
    assert call("adapt", bundle_path, tmp_path / "three.npz", "--out", three).code == 0
    more = ("adapt", bundle_path, tmp_path / "more.npz", "--state", three, "--out", four)
    assert call(*more).code == 0
    found = call("predict", bundle_path, tmp_path / "three.npz", "--state", four, "--json")
    assert np.shape(json.loads(found.out)["probabilities"]) == (6, 4)
