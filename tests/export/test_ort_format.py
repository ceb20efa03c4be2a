"""Bundles in onnxruntime's own format, for its minimal builds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from edgemeta.bundle import ADAPT, PREDICT
from edgemeta.errors import BundleError, EdgemetaError, InputError, ParityError
from edgemeta_export import ort_format
from edgemeta_export.operators import read_config
from edgemeta_export.ort_format import CONFIG, ort_name, write_ort_format
from edgemeta_export.recorded_episode import ATOL, RTOL
from tests.cases import CASE, Compile

FILES = {ort_name(ADAPT), ort_name(PREDICT), CONFIG}


def run(path: Path, given: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["conv4-support-max", "mlp-sinusoid"])
def test_both_formats_compute_the_same(compiled: Compile, name: str, tmp_path: Path) -> None:
    made = compiled(CASE[name])
    write_ort_format(made.runner.path, tmp_path / "ort")
    assert names_in(tmp_path / "ort") == FILES

    x, y = made.case.samples(6, seed=4)
    learner = made.runner.adapt(x, y, steps=2)
    learner = made.runner.adapt(x, y, steps=2, state=learner)
    given = {
        "support_x": x,
        "support_y": y,
        "steps": np.array(2),
        "lr_scale": np.array(1, np.float32),
    }
    state: dict[str, NDArray[Any]] = {}  # at first the init, which the .ort file holds as well
    for _ in range(2):
        found = run(tmp_path / "ort" / ort_name(ADAPT), given | state)
        state = {name.removesuffix(".next"): t for name, t in found.items() if name != "losses"}
    want = learner.state_dict()
    assert state.keys() == want.keys()
    for key, tensor in want.items():
        limit = ATOL + RTOL * float(np.abs(tensor).max())
        np.testing.assert_allclose(state[key], tensor, rtol=0, atol=limit, err_msg=key)
    (output,) = run(tmp_path / "ort" / ort_name(PREDICT), {"query_x": x} | state).values()
    logits = learner.predict_logits(x)
    limit = ATOL + RTOL * float(np.abs(logits).max())
    np.testing.assert_allclose(output, logits, rtol=0, atol=limit)


def test_the_configuration_lists_what_the_loop_needs_too(compiled: Compile, tmp_path: Path) -> None:
    out = tmp_path / "ort"
    write_ort_format(compiled(CASE["conv4-support-max"]).runner.path, out)
    operators = {(o.domain, o.name) for o in read_config(out / CONFIG).listed}
    assert {
        ("ai.onnx", "Loop"),
        ("ai.onnx", "GreaterOrEqual"),
    } <= operators  # the gradient of pooling
    # The same bundle gives the same file, wherever it is.
    assert str(tmp_path) not in (out / CONFIG).read_text()


def test_it_replaces_its_own_and_nothing_else(compiled: Compile, tmp_path: Path) -> None:
    path = compiled(CASE["mlp-sinusoid"]).runner.path
    write_ort_format(path, tmp_path / "ort")
    (tmp_path / "ort" / "old").touch()
    write_ort_format(path, tmp_path / "ort")
    assert names_in(tmp_path / "ort") == FILES
    assert names_in(tmp_path) == {"ort"}

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(InputError, match="exists and is not ours"):
        write_ort_format(path, tmp_path / "mine")
    assert names_in(tmp_path / "mine") == {"notes.txt"}


def test_a_missing_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        write_ort_format(tmp_path / "none", tmp_path / "ort")
    assert names_in(tmp_path) == set()


def test_a_difference_is_refused_and_leaves_nothing(
    compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ort_format._replay

    def wrong(adapt: Path, *rest: Any) -> Any:
        factor = 1.001 if adapt.suffix == ".ort" else 1
        return {name: tensor * factor for name, tensor in real(adapt, *rest).items()}

    monkeypatch.setattr(ort_format, "_replay", wrong)
    with pytest.raises(ParityError, match=r"from the \.ort graphs differs"):
        write_ort_format(compiled(CASE["mlp-sinusoid"]).runner.path, tmp_path / "ort")
    assert names_in(tmp_path) == set()


def test_a_place_that_cannot_be_written_to_is_named(compiled: Compile, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EdgemetaError, match="cannot write to"):
        write_ort_format(compiled(CASE["mlp-sinusoid"]).runner.path, tmp_path / "file" / "ort")
