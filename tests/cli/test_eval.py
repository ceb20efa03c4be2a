"""`edgemeta eval --unknown`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edgemeta.meta.runs.run import Run
from tests.cli.conftest import Call
from tests.cli.test_bad_input import assert_refused


def test_eval_with_unknown_classes(
    call: Call, run_path: Path, bundle_path: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(run_path, tmp_path / "run"))
    options = ["glyphs", "--episodes", 4, "--queries", 2, "--unknown", 3]
    found = [json.loads(call("eval", what, *options, "--json").out) for what in (run, bundle_path)]
    assert found[0]["unknown"]["area"] == pytest.approx(found[1]["unknown"]["area"], abs=0.01)
    assert found[0]["unknown"]["classes"] == 3
    plain = json.loads(call("eval", bundle_path, *options[:-2], "--json").out)
    assert plain == {name: value for name, value in found[1].items() if name != "unknown"}
    (kept,) = Run(run).evaluations()
    assert kept["setting"]["unknown"] == 3
    assert kept["found"]["unknown"] == found[0]["unknown"]
    lines = call("eval", bundle_path, *options).out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("with 3 unknown classes: area under the ROC curve 0.")
    assert "at 1 % false alarms (reject below" in lines[1]
    assert_refused(call("eval", bundle_path, "sinusoid", "--unknown", 1), "kind of task do not")
    assert_refused(call("eval", bundle_path, *options[:-1], 0), "'--unknown'", "x>=1")
    many = call("eval", bundle_path, *options[:-1], 500)
    assert_refused(many, "got 500 of 500 classes", "5 ways and 500 unknown classes", "reduce")
