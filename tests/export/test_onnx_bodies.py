"""Bundles whose body is somebody's ONNX file: float or int8, whole or cut, sample by sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from edgemeta import Runner, UnsupportedModelError
from edgemeta.bundle import ADAPT, INIT, PREDICT
from edgemeta.meta.inner.shared_head import SharedHead
from edgemeta.meta.models.onnx_module import OnnxModule
from edgemeta_export import GraphForm, export_bundle
from tests.onnx_files import (
    FEATURES,
    WIDTH,
    convolution,
    loudest,
    model,
    perceptron,
    samples,
    weights,
)

LR, STEPS, WAYS = 0.1, 3, 3
# Relative to the largest value; float32 in another order. Largest seen 1e-6.
LIMIT = 1e-5


def export(path: Path, made: nn.Module, x: NDArray[np.generic], **choices: object) -> Runner:
    y = np.arange(len(x)) % WAYS
    choices = {"inner_lr": LR, "inner_steps": STEPS, "example_y": y} | choices
    return Runner(export_bundle(made, path, x, **choices), threads=1)  # type: ignore[arg-type]


def fine_tuned(features: Tensor, y: Tensor, head: nn.Linear, steps: int = STEPS) -> nn.Linear:
    """Fine-tune a head on features, as a tutorial would."""
    tuned = nn.Linear(head.in_features, head.out_features)
    tuned.load_state_dict(head.state_dict())
    optimizer = torch.optim.SGD(tuned.parameters(), lr=LR)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(tuned(features), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return tuned


def assert_like_eager(runner: Runner, body: Callable[[Tensor], Tensor], head: nn.Linear) -> None:
    """Compare with a head that was fine-tuned on what onnxruntime makes of the file itself."""
    shape = runner.manifest.input.shape
    for count in (WAYS, 9):
        x, y = torch.tensor(samples(count, 1, shape)), torch.arange(count) % WAYS
        query = torch.tensor(samples(6, 2, shape))
        wanted = fine_tuned(body(x), y, head)(body(query)).detach().numpy()
        found = runner.adapt(x.numpy(), y.numpy()).predict_logits(query.numpy())
        assert np.abs(found - wanted).max() < LIMIT * np.abs(wanted).max()


def head(features: int = FEATURES) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(features, WAYS)


def external(path: Path, name: str) -> dict[str, tuple[str, ...]]:
    """Return the weights of a graph that lie in init.bin, and where."""
    graph = onnx.load(path / name, load_external_data=False).graph
    return {
        t.name: tuple(f"{e.key}={e.value}" for e in t.external_data)
        for t in graph.initializer
        if t.external_data
    }


def test_features_in_front_of_a_classifier(tmp_path: Path) -> None:
    body, last = OnnxModule(perceptron(), outputs=("features",)), head()
    runner = export(tmp_path / "bundle", nn.Sequential(body, last), samples(9))
    assert [tensor.name for tensor in runner.manifest.state] == ["1.weight", "1.bias"]
    assert_like_eager(runner, body, last)
    # Its weights lie in init.bin once, for both graphs, and are not part of the state.
    adapting, predicting = (external(tmp_path / "bundle", name) for name in (ADAPT, PREDICT))
    assert {"0/w1", "0/w2"} <= set(adapting)
    assert adapting == predicting
    weights_alone = 4 * (WIDTH * 64 + 64 + 64 * FEATURES + FEATURES * WAYS + WAYS)
    assert (tmp_path / "bundle" / INIT).stat().st_size < weights_alone + 256


def test_the_body_runs_once_in_front_of_the_steps(tmp_path: Path) -> None:
    body = OnnxModule(convolution())
    export(tmp_path / "bundle", nn.Sequential(body, head()), samples(9, shape=(2, 8, 8)))
    graph = onnx.load(tmp_path / "bundle" / ADAPT, load_external_data=False).graph
    ops = [node.op_type for node in graph.node]
    assert ops.count("Conv") == 1
    (loop,) = (node for node in graph.node if node.op_type == "Loop")
    assert ops.index("Conv") < ops.index("Loop")
    inside = {n.op_type for a in loop.attribute for n in a.g.node}
    assert not inside & {"Conv", "LeakyRelu", "GlobalAveragePool"}
    assert {o.domain for o in onnx.load(tmp_path / "bundle" / ADAPT).opset_import} == {""}


class Two(nn.Module):
    """Two files with PyTorch between, behind and in front."""

    def __init__(self) -> None:
        super().__init__()
        self.first = OnnxModule(loudest(), per_sample=True)
        self.second = OnnxModule(perceptron(), outputs=("features",))
        self.head = head(FEATURES)

    def features(self, x: Tensor) -> Tensor:
        # (N, 3, 6): three windows of a sample, each seen by the second file on its own
        cut = self.first((x * 2).flatten(1)).view(-1, WIDTH)
        made: Tensor = self.second(cut.tanh()).view(-1, 3, FEATURES).mean(1)
        return made

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x))
        return logits


def test_several_files_and_code_between(tmp_path: Path) -> None:
    made = Two()
    made.first = OnnxModule(
        model(
            "body (float[n,18] x) => (float[n,18] y) { most = ReduceMax <keepdims=0> (x) "
            "y = Div(x, most) }"
        ),
        per_sample=True,
    )
    x = samples(9, shape=(3, WIDTH))
    runner = export(tmp_path / "bundle", made, x, adapt=("head.*",))
    assert_like_eager(runner, made.features, made.head)
    one = runner.adapt(x, np.arange(9) % WAYS)
    together = one.predict_logits(x * np.arange(1, 10, dtype=np.float32)[:, None, None])
    alone = [one.predict_logits(x[k : k + 1] * np.float32(k + 1))[0] for k in range(9)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-4, atol=1e-5)


def test_samples_that_see_each_other_are_refused_with_the_way_out(tmp_path: Path) -> None:
    x = samples(9)
    with pytest.raises(UnsupportedModelError, match=r"see each other.*\(0\).*per_sample=True"):
        export(tmp_path / "bundle", nn.Sequential(OnnxModule(loudest()), head(WIDTH)), x)
    body, last = OnnxModule(loudest(), per_sample=True), head(WIDTH)
    runner = export(tmp_path / "bundle", nn.Sequential(body, last), x)
    assert_like_eager(runner, body, last)


@pytest.mark.parametrize("head_of", ["linear", "shared"])
def test_any_head(tmp_path: Path, head_of: str) -> None:
    body = OnnxModule(perceptron(), outputs=("features",))
    last = head() if head_of == "linear" else SharedHead(FEATURES)
    runner = export(tmp_path / "bundle", nn.Sequential(body, last), samples(9), ways=WAYS)
    zeros = nn.Linear(FEATURES, WAYS)
    for parameter in zeros.parameters():
        nn.init.zeros_(parameter)
    assert_like_eager(runner, body, zeros if head_of == "shared" else last)  # type: ignore[arg-type]


def test_other_forms_of_a_bundle(tmp_path: Path) -> None:
    body, last = OnnxModule(convolution("1")), head()
    x = samples(9, shape=(2, 8, 8))
    forms = {
        "older opset": GraphForm(opset=17),
        "slices": GraphForm(chunk=4),
        "unrolled": GraphForm(unroll=True),
    }
    for name, form in forms.items():
        runner = export(tmp_path / name, nn.Sequential(body, last), x, form=form)
        assert_like_eager(runner, body, last)


def recurrent() -> onnx.ModelProto:
    """(n, 6) -> (n, 8): an LSTM over six steps, and a branch."""
    return model(
        f"""
        body (float[n,{WIDTH}] x) => (float[n,{FEATURES}] features) {{
          steps = Transpose <perm=[1,0]> (x)
          last = Constant <value = int64[1] {{2}}> ()
          sequence = Unsqueeze(steps, last)
          all, hidden, cell = LSTM <hidden_size={FEATURES}> (sequence, w, r)
          first = Constant <value = int64[1] {{0}}> ()
          flat = Squeeze(hidden, first)
          yes = Constant <value = bool {{1}}> ()
          features = If <
            then_branch = doubled () => (float[n,{FEATURES}] big) {{ big = Add(flat, flat) }},
            else_branch = plain () => (float[n,{FEATURES}] small) {{ small = Identity(flat) }}
          > (yes)
        }}
        """,
        weights(w=(1, 4 * FEATURES, 1), r=(1, 4 * FEATURES, FEATURES)),
    )


def half() -> onnx.ModelProto:
    """(n, 6) -> (n, 8): weights in float16."""
    made = model(
        f"""
        body (float[n,{WIDTH}] x) => (float[n,{FEATURES}] features) {{
          short = Cast <to=10> (x)
          product = MatMul(short, w)
          features = Cast <to=1> (product)
        }}
        """,
        [
            onnx.numpy_helper.from_array(
                onnx.numpy_helper.to_array(weights(w=(WIDTH, FEATURES))[0]).astype(np.float16), "w"
            )
        ],
    )
    return made


def looped() -> onnx.ModelProto:
    """(n, 6) -> (n, 6): a Scan of its own."""
    return model(
        f"""
        body (float[n,{WIDTH}] x) => (float[n,{WIDTH}] sums) {{
          steps = Transpose <perm=[1,0]> (x)
          start = ReduceSum <keepdims=0> (steps, axes)
          last, all = Scan <num_scan_inputs=1, body = add (float[n] s, float[n] v) =>
            (float[n] t, float[n] u) {{ t = Add(s, v) u = Identity(t) }}> (start, steps)
          sums = Transpose <perm=[1,0]> (all)
        }}
        """,
        [onnx.numpy_helper.from_array(np.array([0]), "axes")],
    )


@pytest.mark.parametrize("make", [recurrent, half, looped])
def test_kinds_of_graphs(tmp_path: Path, make: Callable[[], onnx.ModelProto]) -> None:
    body = OnnxModule(make())
    last = head(body(torch.zeros(2, WIDTH)).shape[1])
    for per_sample in (False, True):
        body = OnnxModule(make(), per_sample=per_sample)
        runner = export(tmp_path / f"{per_sample}", nn.Sequential(body, last), samples(9))
        assert_like_eager(runner, body, last)


class Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Samples for onnxruntime's quantizer."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._left = [{"x": samples(1, seed, shape)} for seed in range(20)]

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return self._left.pop() if self._left else None


def test_a_statically_quantized_file_stays_int8(tmp_path: Path) -> None:
    shape = (2, 8, 8)
    onnx.save(convolution(opset=17), tmp_path / "float.onnx")
    quant_pre_process(tmp_path / "float.onnx", tmp_path / "ready.onnx")
    quantize_static(
        tmp_path / "ready.onnx",
        tmp_path / "int8.onnx",
        Calibration(shape),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
    )
    body, last = OnnxModule(tmp_path / "int8.onnx"), head()
    runner = export(tmp_path / "bundle", nn.Sequential(body, last), samples(9, shape=shape))
    assert {"QuantizeLinear", "DequantizeLinear"} <= set(runner.manifest.ops[ADAPT])
    assert_like_eager(runner, body, last)
    kinds = {t.data_type for t in onnx.load(tmp_path / "bundle" / ADAPT).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds


def test_a_dynamically_quantized_file_runs_sample_by_sample(tmp_path: Path) -> None:
    """Its scale is chosen for the whole batch, so that samples do see each other."""
    onnx.save(perceptron(), tmp_path / "float.onnx")
    quantize_dynamic(tmp_path / "float.onnx", tmp_path / "int8.onnx")
    x = samples(9)
    model = nn.Sequential(OnnxModule(tmp_path / "int8.onnx", outputs=("features",)), head())
    with pytest.raises(UnsupportedModelError, match=r"see each other.*per_sample=True"):
        export(tmp_path / "bundle", model, x)
    body, last = OnnxModule(tmp_path / "int8.onnx", ("features",), per_sample=True), head()
    runner = export(tmp_path / "bundle", nn.Sequential(body, last), x)
    assert "DynamicQuantizeLinear" in runner.manifest.ops[PREDICT]
    assert_like_eager(runner, body, last)


def test_what_adapts_in_front_of_a_graph_is_refused(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), OnnxModule(perceptron()))
    with pytest.raises(UnsupportedModelError, match="no gradient goes through an ONNX graph"):
        export(tmp_path / "bundle", model, samples(9))
    assert not (tmp_path / "bundle").exists()


def test_the_same_file_twice_is_stored_once(tmp_path: Path) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left = OnnxModule(perceptron(), outputs=("features",))
            self.right = OnnxModule(perceptron(), outputs=("features",))
            self.head = head(FEATURES)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.head((self.left(x) + self.right(-x)) / 4)
            return logits

    runner = export(tmp_path / "bundle", Both(), samples(9))
    # Two weights and the larger bias, and the head's state.
    assert len(external(tmp_path / "bundle", ADAPT)) == 5
    made = Both()
    assert_like_eager(runner, lambda x: (made.left(x) + made.right(-x)) / 4, made.head)
