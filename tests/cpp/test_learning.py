"""Adapting and predicting in C++ is what it is in Python, and states cross both ways."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.numpy import save as save_bytes

from edgemeta import AdaptationError, Learner
from edgemeta.bundle import SELFTEST
from edgemeta.cli import main
from edgemeta.device.packaged import BUNDLES
from tests.cases import CASE, Compile
from tests.cpp.conftest import Bundle, Save, Tool
from tests.device.crafting import crafted


def assert_close(got: Any, want: Any) -> None:
    """The same graphs on the same library: what differs is how sums are split among threads."""
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def predictions(tool: Tool, bundle: Bundle, queries: Path, state: Path) -> NDArray[Any]:
    done = tool("predict", bundle.path, queries, "--state", state, "--json").record
    name = "predictions" if bundle.runner.manifest.ways is None else "probabilities"
    return np.array(done[name])


def python_predictions(learner: Learner, queries: NDArray[Any]) -> NDArray[Any]:
    return learner.predict(queries) if learner.ways is None else learner.predict_proba(queries)


def test_a_bundle_is_verified(tool: Tool, bundle: Bundle) -> None:
    assert "computes what PyTorch did" in tool("verify", bundle.path).out
    record = tool("verify", bundle.path, "--json", "--threads", 1).record
    assert record["bundle"] == bundle.runner.fingerprint
    prediction = "output" if bundle.runner.manifest.ways is None else "logits"
    assert set(record["differences"]) == {"state", "losses", prediction}
    assert all(0 <= d["largest"] <= d["limit"] for d in record["differences"].values())


def test_a_machine_that_computes_something_else_is_told(tool: Tool, tmp_path: Path) -> None:
    tensors = load_file(BUNDLES / "omniglot" / SELFTEST)
    tensors["losses"] = tensors["losses"] * np.float32(1.001)
    done = tool("verify", crafted(tmp_path, selftest=save_bytes(tensors)))
    assert "does not compute what PyTorch did: losses differs: got 0." in done.refused(code=1)


def test_it_computes_what_python_does(
    tool: Tool, bundle: Bundle, save: Save, tmp_path: Path
) -> None:
    x, y = bundle.samples(10, 1)
    queries, _ = bundle.samples(6, 2)
    out = tmp_path / "state.safetensors"
    options = ("--steps", 3, "--lr-scale", 0.5, "--json")
    record = tool("adapt", bundle.path, save(x=x, y=y), "--out", out, *options).record
    learner = bundle.runner.adapt(x, y, steps=3, lr_scale=0.5)
    assert (record["state"], record["samples"], record["steps"]) == (str(out), 10, 3)
    assert record["milliseconds"] > 0
    assert_close(record["losses"], learner.losses)
    found = predictions(tool, bundle, save(x=queries), out)
    assert_close(found, python_predictions(learner, queries))


def test_states_cross_both_ways(tool: Tool, bundle: Bundle, save: Save, tmp_path: Path) -> None:
    x, y = bundle.samples(10, 1)
    queries, _ = bundle.samples(6, 2)
    ours, theirs = tmp_path / "python.safetensors", tmp_path / "cpp.safetensors"
    learner = bundle.runner.adapt(x, y)
    learner.save(ours)
    found = predictions(tool, bundle, save(x=queries), ours)
    assert_close(found, python_predictions(learner, queries))
    support = save(x=x, y=y)
    assert tool("adapt", bundle.path, support, "--out", theirs, "--state", ours).code == 0
    further = bundle.runner.adapt(x, y, state=learner)
    loaded = bundle.runner.load(theirs)
    assert loaded.ways == further.ways
    for name, tensor in further.state_dict().items():
        assert_close(loaded.state_dict()[name], tensor)


def test_no_steps_save_the_init(tool: Tool, bundle: Bundle, save: Save, tmp_path: Path) -> None:
    x, y = bundle.samples(5, 1)
    out = tmp_path / "init.safetensors"
    assert tool("adapt", bundle.path, save(x=x, y=y), "--out", out, "--steps", 0).code == 0
    init = bundle.runner.adapt(x, y, steps=0).state_dict()
    loaded = bundle.runner.load(out).state_dict()
    assert all(np.array_equal(loaded[name], tensor) for name, tensor in init.items())


@pytest.mark.slow
def test_buffers_are_state_too(tool: Tool, compiled: Compile, save: Save, tmp_path: Path) -> None:
    made = compiled(CASE["conv4-support-max"])
    bundle = Bundle(made.runner, made.case.samples)
    test_states_cross_both_ways(tool, bundle, save, tmp_path)


def test_any_number_of_classes(tool: Tool, omniglot: Bundle, save: Save, tmp_path: Path) -> None:
    x, _ = omniglot.samples(9, 1)
    first, second = tmp_path / "7.safetensors", tmp_path / "9.safetensors"
    tool("adapt", omniglot.path, save(x=x[:7], y=np.arange(7)), "--out", first)
    assert omniglot.runner.load(first).ways == 7
    further = ("--out", second, "--state", first, "--lr-scale", 0.1)  # more would diverge
    assert tool("adapt", omniglot.path, save(x=x, y=np.arange(9)), *further).code == 0
    start = omniglot.runner.load(first)
    learner = omniglot.runner.adapt(x, np.arange(9), state=start, lr_scale=0.1)
    record = tool("predict", omniglot.path, save(x=x), "--state", second, "--json").record
    assert record["classes"] == [str(k) for k in range(9)]
    assert_close(record["probabilities"], learner.predict_proba(x))
    few = tool("adapt", omniglot.path, save(x=x, y=np.arange(9)), *further, "--ways", 6)
    assert "ways is out of range: got 6, expected 7..65536" in few.refused()


def test_fewer_classes_than_the_head(
    tool: Tool, classifier: Bundle, save: Save, tmp_path: Path
) -> None:
    x, y = classifier.samples(6, 1)
    out = tmp_path / "state.safetensors"
    support = save(x=x, y=y % 3)
    assert tool("adapt", classifier.path, support, "--out", out, "--ways", 3).code == 0
    learner = classifier.runner.adapt(x, y % 3, ways=3)
    record = tool("predict", classifier.path, save(x=x), "--state", out, "--json").record
    assert np.array(record["probabilities"]).shape == (6, 3)
    assert_close(record["probabilities"], learner.predict_proba(x))
    assert (
        "0..2"
        in tool("adapt", classifier.path, save(x=x, y=y), "--out", out, "--ways", 3).refused()
    )
    assert (
        "expected 2..5"
        in tool("adapt", classifier.path, support, "--out", out, "--ways", 6).refused()
    )


def test_names_of_classes_are_kept(
    tool: Tool, classifier: Bundle, save: Save, tmp_path: Path
) -> None:
    x, y = classifier.samples(5, 1)
    ours, theirs = tmp_path / "python.safetensors", tmp_path / "cpp.safetensors"
    labels = ("قف", 'a "b"', 7, 0.5)
    classifier.runner.adapt(x, y).save(ours, labels)
    record = tool("predict", classifier.path, save(x=x, y=y), "--state", ours, "--json").record
    assert record["classes"] == ["قف", 'a "b"', "7", "0.5", "4"]
    assert record["labels"] == [record["classes"][k] for k in record["predictions"]]
    assert record["accuracy"] == np.mean(np.array(record["predictions"]) == y)
    adapted = tool(
        *("adapt", classifier.path, save(x=x, y=y), "--out", theirs),
        *("--state", ours, "--json"),
    )
    assert adapted.record["classes"] == list(labels)
    assert classifier.runner.load(theirs).labels == labels


def test_the_error_of_a_regression(
    tool: Tool, regressor: Bundle, save: Save, tmp_path: Path
) -> None:
    x, y = regressor.samples(10, 1)
    record = tool("predict", regressor.path, save(x=x, y=y), "--json").record
    want = regressor.runner.init.predict(x)
    assert_close(record["predictions"], want)
    assert record["mse"] == pytest.approx(np.mean((want - y) ** 2), rel=1e-5)
    assert (
        "ways is for classification"
        in tool(
            "adapt", regressor.path, save(x=x, y=y), "--out", tmp_path / "no", "--ways", 3
        ).refused()
    )


def test_the_words_are_those_of_python(
    tool: Tool, classifier: Bundle, save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who reads the JSON of one command line can read that of the other."""

    def python(*arguments: object) -> dict[str, object]:
        with suppress(SystemExit):
            main([*map(str, arguments), "--json"])
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    x, y = classifier.samples(5, 1)
    state, archive, file = tmp_path / "state.safetensors", tmp_path / "s.npz", save(x=x, y=y)
    np.savez(archive, x=x, y=y)
    # The C++ runner does not check the seal, and so says nothing of it.
    verified = {*tool("verify", classifier.path, "--json").record, "sealed"}
    assert verified == set(python("verify", classifier.path))
    for command, option in (("adapt", "--out"), ("predict", "--state")):
        ours = tool(command, classifier.path, file, option, state, "--json").record
        assert set(ours) == set(python(command, classifier.path, archive, option, state))


def test_a_divergence_is_refused(tool: Tool, bundle: Bundle, save: Save, tmp_path: Path) -> None:
    x, y = bundle.samples(10, 1)
    if bundle.runner.manifest.any_ways:
        x, _ = CASE["mlp-classes"].samples(10, 1)  # its head fits real drawings at any rate
    out = tmp_path / "state.safetensors"
    out.write_text("what was there")
    steps = 50
    with pytest.raises(AdaptationError):
        bundle.runner.adapt(x, y, steps=steps, lr_scale=1000)
    done = tool(
        *("adapt", bundle.path, save(x=x, y=y), "--out", out),
        *("--steps", steps, "--lr-scale", 1000),
    )
    assert f" in {steps} steps" in done.refused(code=1)
    assert "adaptation diverged: " in done.err
    assert out.read_text() == "what was there"


def test_the_latency_is_measured(tool: Tool, bundle: Bundle) -> None:
    done = tool("bench", bundle.path, "--shots", 2, "--repeats", 3, "--threads", 1, "--json")
    record = done.record
    (speed,) = record["latency_ms"]
    ways = bundle.runner.manifest.ways or 1
    assert (speed["shots"], speed["samples"]) == (2, 2 * ways)
    assert speed["steps"] == bundle.runner.manifest.inner_steps
    assert 0 < speed["predict"]["p50"] <= speed["predict"]["p95"]
    assert 0 < speed["adapt"]["p50"] <= speed["adapt"]["p95"]
    cold = record["cold_start"]
    assert min(cold["load_ms"], cold["adapt_ms"], cold["predict_ms"]) > 0
    assert cold["peak_mb"] > cold["bundle_mb"] > 0
    assert record["bare"] is None
    assert "predict one" in tool("bench", bundle.path, "--repeats", 2).out


def test_a_prediction_is_compared_with_onnxruntime_alone(tool: Tool, bundle: Bundle) -> None:
    measure = ("bench", bundle.path, "--shots", 1, "--repeats", 2, "--threads", 1, "--bare")
    bare = tool(*measure, "--json").record["bare"]
    assert bare["ratio"] == bare["predict"]["p50"] / bare["bare"]["p50"]
    assert 0 < bare["ratio"] < 10  # no figure: what else the machine does is in it
    assert "ONNX Runtime alone " in tool(*measure).out
