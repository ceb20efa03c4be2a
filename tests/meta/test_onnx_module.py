"""An ONNX file as a module: what it computes, what it takes, and what it refuses."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import nn

from edgemeta import InputError, UnsupportedModelError
from edgemeta.meta.models.onnx_module import OnnxModule
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


def run(proto: onnx.ModelProto, **inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Run a file as it is."""
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    found: list[NDArray[np.float32]] = session.run(None, inputs)
    return found


def test_it_computes_what_the_file_does(tmp_path: Path) -> None:
    onnx.save(perceptron(), tmp_path / "body.onnx")
    x = samples(5)
    made = OnnxModule(tmp_path / "body.onnx")(torch.tensor(x))
    np.testing.assert_array_equal(made.numpy(), run(perceptron(), x=x)[0])
    assert not list(OnnxModule(tmp_path / "body.onnx").parameters())


def test_external_data_is_read(tmp_path: Path) -> None:
    onnx.save(
        perceptron(),
        tmp_path / "body.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    x = samples(3)
    made = OnnxModule(tmp_path / "body.onnx")(torch.tensor(x))
    np.testing.assert_array_equal(made.numpy(), run(perceptron(), x=x)[0])


def test_outputs_cut_the_graph() -> None:
    body = OnnxModule(perceptron(), outputs=("features", "active"))
    features, active = body(torch.tensor(samples(5)))
    assert features.shape == (5, FEATURES)
    assert active.shape == (5, 64)
    assert "w3" not in {v.name for v in body.graph.lowered.graph.initializers.values()}


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(InputError, match=r"no such values: got embedding, expected .*classes"):
        OnnxModule(perceptron(), outputs=("embedding",))


@pytest.mark.parametrize("opset", [9, 11, 13, 17, 20, 21])
def test_any_opset_becomes_ours(opset: int) -> None:
    body = OnnxModule(convolution(opset=opset))
    assert body.graph.lowered.opset_imports == {"": 20}
    x = torch.tensor(samples(4, shape=(2, 8, 8)))
    wanted = run(convolution(opset=13), x=x.numpy())[0]
    np.testing.assert_allclose(body(x).numpy(), wanted, rtol=1e-6)


def test_a_fixed_batch_of_one_is_freed() -> None:
    x = samples(4, shape=(2, 8, 8))
    made = OnnxModule(convolution("1"))(torch.tensor(x))
    np.testing.assert_allclose(made.numpy(), run(convolution(), x=x)[0], rtol=1e-6)


def test_a_fixed_batch_that_cannot_be_freed_says_why() -> None:
    fixed = model(
        "body (float[1,6] x) => (float[1,6] y) { s = Constant <value = int64[2] {1, 6}> () "
        "z = Expand(x, s) i = Constant <value = int64[1] {0}> () y = Gather <axis=0> (z, i) }"
    )
    x = torch.tensor(samples(3))
    with pytest.raises(UnsupportedModelError, match=r"batch of one .*made free.*per_sample=True"):
        OnnxModule(fixed)(x)
    assert torch.equal(OnnxModule(fixed, per_sample=True)(x), x)


def test_a_fixed_batch_of_four_is_refused() -> None:
    with pytest.raises(UnsupportedModelError, match=r"fixed number of samples.*\(4, 6\)"):
        OnnxModule(perceptron("4"))


def test_samples_without_an_axis_in_front() -> None:
    """A graph of one sample that does not know of any batch."""
    single = model("body (float[6] x) => (float[6] y) { y = Neg(x) }")
    x = torch.tensor(samples(3))
    assert torch.equal(OnnxModule(single, per_sample=True)(x), -x)


def test_per_sample_is_every_sample_alone() -> None:
    x = samples(4) * np.array([[1], [100], [0.01], [1]], np.float32)
    wanted = np.concatenate([run(loudest(), x=row[None])[0] for row in x])
    assert not np.array_equal(run(loudest(), x=x)[0], wanted)
    made = OnnxModule(loudest(), per_sample=True)(torch.tensor(x))
    np.testing.assert_array_equal(made.numpy(), wanted)


def test_several_inputs_and_constants() -> None:
    proto = model(
        "body (float[n,6] x, float[n,6] y, float[2,6] state, int64 rate) => (float[n,6] z) "
        "{ s = ReduceSum <keepdims=0> (state, axis) r = Cast <to=1> (rate) a = Mul(x, r) "
        "b = Add(a, y) z = Add(b, s) }",
        [onnx.numpy_helper.from_array(np.array([0]), "axis")],
    )
    body = OnnxModule(proto, constants={"state": np.ones((2, 6)), "rate": 3})
    x, y = torch.tensor(samples(4)), torch.tensor(samples(4, seed=1))
    torch.testing.assert_close(body(x, y), 3 * x + y + 2)
    with pytest.raises(InputError, match="no such input: got rates, expected x or y"):
        OnnxModule(proto, constants={"rates": 3})
    with pytest.raises(InputError, match="something else as state"):
        OnnxModule(proto, constants={"state": np.ones((3, 6))})
    with pytest.raises(InputError, match="another number of inputs: got 1"):
        body(x)


@pytest.mark.parametrize("dtype", [torch.float64, torch.int16])
def test_another_dtype_or_shape_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(InputError, match=r"something else as x: .* expected x float32 \(free, 6\)"):
        OnnxModule(perceptron())(torch.zeros(3, WIDTH, dtype=dtype))
    with pytest.raises(InputError, match=r"got float32 \(3, 7\)"):
        OnnxModule(perceptron())(torch.zeros(3, 7))


def test_what_cannot_be_taken_is_said_all_at_once() -> None:
    graph = onnx.parser.parse_graph(
        """
        body (float[n,6] x) => (float[n,6] y) {
          a = com.microsoft.Gelu(x)
          b = RandomNormalLike(a)
          parts = SplitToSequence(b)
          y = ConcatFromSequence <axis=0> (parts)
        }
        """
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    proto = helper.make_model(graph, opset_imports=imports)
    with pytest.raises(UnsupportedModelError) as caught:
        OnnxModule(proto)
    for reason in ("com.microsoft.Gelu", "RandomNormalLike", "SplitToSequence"):
        assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_text_is_refused() -> None:
    proto = model("body (string[n] x) => (string[n] y) { y = StringNormalizer(x) }")
    with pytest.raises(UnsupportedModelError, match=r"strings: StringNormalizer.*x \(string\)"):
        OnnxModule(proto)


@pytest.mark.parametrize("content", [b"", b"no onnx at all", b"\x08\x07"])
def test_files_that_are_no_onnx(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "body.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="ONNX"):
        OnnxModule(path)
    with pytest.raises(InputError, match="no such ONNX file"):
        OnnxModule(tmp_path / "other.onnx")


def test_a_function_inside_the_file_is_written_out() -> None:
    proto = onnx.parser.parse_model(
        """
        < ir_version: 8, opset_import: ["" : 17, "own" : 1] >
        body (float[n,6] x) => (float[n,6] y) { y = own.twice(x) }
        < domain: "own", opset_import: ["" : 17] > twice (x) => (y) { y = Add(x, x) }
        """
    )
    x = torch.tensor(samples(2))
    assert torch.equal(OnnxModule(proto)(x), 2 * x)


def test_no_gradient_goes_through() -> None:
    front = nn.Linear(WIDTH, WIDTH)
    made = OnnxModule(perceptron())(front(torch.tensor(samples(2))))
    with pytest.raises(UnsupportedModelError, match=r"no gradient.*the model.*freeze them"):
        made.sum().backward()
    head = nn.Linear(3, 2)
    head(OnnxModule(perceptron())(torch.tensor(samples(2)))).sum().backward()
    assert head.weight.grad is not None


def test_copies_and_pickles_run() -> None:
    body = OnnxModule(perceptron())
    x = torch.tensor(samples(3))
    wanted = body(x)
    for other in (copy.deepcopy(body), pickle.loads(pickle.dumps(body))):  # noqa: S301
        assert torch.equal(other(x), wanted)
        assert other.graph.key == body.graph.key


def test_several_tasks_at_once() -> None:
    body = OnnxModule(perceptron())
    x = torch.tensor(samples(6)).view(2, 3, WIDTH)
    made = torch.func.vmap(body)(x)
    torch.testing.assert_close(made, torch.stack([body(x[0]), body(x[1])]))


def test_the_key_is_that_of_the_weights() -> None:
    other = perceptron()
    other.graph.initializer[0].CopyFrom(weights(w1=(WIDTH, 64), b1=(64,))[0])
    assert OnnxModule(other).graph.key == OnnxModule(perceptron()).graph.key
    changed = bytearray(other.graph.initializer[0].raw_data)
    changed[3] ^= 1
    other.graph.initializer[0].raw_data = bytes(changed)
    assert OnnxModule(other).graph.key != OnnxModule(perceptron()).graph.key
