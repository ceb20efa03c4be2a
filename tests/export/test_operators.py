"""The configuration of a reduced build: all that a bundle needs, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgemeta import bundle
from edgemeta.bundle.selftest import read_selftest
from edgemeta.errors import EdgemetaError, InputError
from edgemeta_export import ort_format
from edgemeta_export.operators import Operator, check_operators, operators_of, read_config
from edgemeta_export.ort_format import CONFIG, check_config, ort_name, write_ort_format
from tests.cases import CASE, Compile, Compiled

GRAPHS = (bundle.ADAPT, bundle.PREDICT)


@pytest.fixture(scope="module")
def made(compiled: Compile) -> Compiled:
    return compiled(CASE["mlp-sinusoid"])


@pytest.fixture(scope="module")
def folder(made: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `edgemeta export --ort-format` writes."""
    out = tmp_path_factory.mktemp("operators") / "ort"
    write_ort_format(made.runner.path, out)
    return out


@pytest.fixture
def config(folder: Path, tmp_path: Path) -> Path:
    """A configuration that a test may change."""
    path = tmp_path / CONFIG
    path.write_text((folder / CONFIG).read_text())
    return path


def models(folder: Path) -> list[Path]:
    return [folder / ort_name(name) for name in GRAPHS]


def text_of(listed: Iterable[Operator], types: dict[tuple[str, str], Any] | None = None) -> str:
    """Write a configuration, an operator a line."""
    entries = {key: json.dumps(entry) for key, entry in (types or {}).items()}
    return "\n".join(
        f"{o.domain};{o.opset};{o.name}{entries.get((o.domain, o.name), '')}" for o in listed
    )


def test_what_is_written_is_all_and_nothing_else(folder: Path) -> None:
    assert check_operators(folder / CONFIG, models(folder)) == []
    assert read_config(folder / CONFIG) == operators_of(models(folder))


def test_each_operator_is_missed(folder: Path, config: Path) -> None:
    found = read_config(config)
    assert len(found.listed) > 10
    config.write_text(text_of(found.listed, found.types))
    assert check_operators(config, models(folder)) == []
    for operator in found.listed:
        config.write_text(text_of(found.listed - {operator}))
        with pytest.raises(EdgemetaError, match=rf"got no {re.escape(str(operator))}; take"):
            check_operators(config, models(folder))


def test_all_that_is_lacking_is_named(folder: Path, config: Path) -> None:
    config.write_text("# nothing\n")
    with pytest.raises(EdgemetaError) as caught:
        check_operators(config, models(folder))
    assert all(str(o) in str(caught.value) for o in operators_of(models(folder)).listed)


def test_an_opset_counts_as_the_build_counts_it(folder: Path, config: Path) -> None:
    """A kernel stays if its operator is listed for any opset that the kernel serves."""
    listed = operators_of(models(folder)).listed
    loop = next(operator for operator in listed if operator.name == "Loop")
    config.write_text(text_of(listed - {loop} | {loop._replace(opset=loop.opset + 1)}))
    assert check_operators(config, models(folder)) == [loop._replace(opset=loop.opset + 1)]
    config.write_text(text_of(listed - {loop} | {loop._replace(opset=11)}))
    with pytest.raises(EdgemetaError, match=r"got no ai\.onnx Loop \(opset \d+\); take"):
        check_operators(config, models(folder))


def test_a_missing_type_is_named(folder: Path, config: Path) -> None:
    found = read_config(config)
    assert found.types is not None
    key = ("ai.onnx", "Cast")
    entry = found.types[key]
    others = {k: v for k, v in found.types.items() if k != key}
    for wrong in ({}, {key: entry | {"outputs": {"0": ["double"]}}}):  # none where others have
        config.write_text(text_of(found.listed, others | wrong))
        with pytest.raises(EdgemetaError, match=r"got no ai\.onnx Cast for \{.*\}; take"):
            check_operators(config, models(folder))
    more = {kind: {k: [*types, "double"] for k, types in by.items()} for kind, by in entry.items()}
    config.write_text(text_of(found.listed, others | {key: more}))
    assert check_operators(config, models(folder)) == []
    config.write_text(text_of(found.listed))  # then all types are built in
    assert check_operators(config, models(folder)) == []


def test_what_is_listed_beyond_the_need_is_returned(folder: Path, config: Path) -> None:
    config.write_text(config.read_text() + "ai.onnx;20;Gelu,IsInf\n")
    more = [Operator("ai.onnx", 20, "Gelu"), Operator("ai.onnx", 20, "IsInf")]
    assert check_operators(config, models(folder)) == more


def test_export_refuses_a_configuration_with_more_than_is_needed(
    made: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort_format, "check_operators", lambda *_: ["Gelu"])
    with pytest.raises(EdgemetaError, match=r"lists what no graph needs: got .*Gelu"):
        write_ort_format(made.runner.path, tmp_path / "ort")
    assert not (tmp_path / "ort").exists()


def test_a_bundle_is_checked_against_a_configuration(made: Compiled, config: Path) -> None:
    assert check_config(made.runner.path, config) == []
    listed = read_config(config).listed
    config.write_text(text_of(operator for operator in listed if operator.name != "Loop"))
    with pytest.raises(EdgemetaError, match=r"could not load the bundle: got no ai\.onnx Loop"):
        check_config(made.runner.path, config)


@pytest.mark.parametrize(
    "text",
    [
        "ai.onnx;20",
        "ai.onnx;twenty;Add",
        "ai.onnx;20;Add,,Mul",
        "ai.onnx;20;Add{",
        'ai.onnx;20;Add{"inputs": {}}Mul',
        "!globally_allowed_types;float",
    ],
)
def test_a_line_that_is_not_understood_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / CONFIG).write_text(f"# a comment\n\n{text}\n")
    with pytest.raises(InputError, match="line 3 is not understood"):
        read_config(tmp_path / CONFIG)


def test_a_configuration_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.config cannot be read"):
        read_config(tmp_path / "none.config")


def test_what_runs_is_what_is_listed(folder: Path, made: Compiled, tmp_path: Path) -> None:
    """What onnxruntime itself reports to have run, in the Loop too, by a way of its own."""
    episode = read_selftest(made.runner.path, made.runner.manifest)
    given = {
        bundle.SUPPORT_X: episode.support_x,
        bundle.SUPPORT_Y: episode.support_y,
        bundle.STEPS: np.array(2),
        bundle.LR_SCALE: np.array(1, np.float32),
    }
    ran: set[str] = set()
    for name, feeds in ((bundle.ADAPT, given), (bundle.PREDICT, {bundle.QUERY_X: episode.query_x})):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / name)
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(
            str(folder / ort_name(name)), options, providers=["CPUExecutionProvider"]
        )
        session.run(None, feeds)
        events = json.loads(Path(session.end_profiling()).read_text())
        ran |= {e["args"]["op_name"] for e in events if "op_name" in e.get("args", {})}
    assert "Loop" in ran
    assert ran <= {o.name for o in read_config(folder / CONFIG).listed}
