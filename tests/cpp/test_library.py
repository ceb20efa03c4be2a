"""What the C++ library has beside its command line: bytes for files, holdout, odd labels."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgemeta import AdaptationError
from tests.cpp.conftest import BUILD, Bundle, Save, Tool

Found = dict[str, Any]


@pytest.fixture
def found(tool: Tool, bundle: Bundle, save: Save, tmp_path: Path) -> Found:
    """What `probe.cpp` printed of a bundle."""
    x, y = bundle.samples(10, 1)
    query, _ = bundle.samples(6, 2)
    bad_x, bad_y = worse_holdout(bundle)
    data = save(x=x, y=y, query=query, bad_x=bad_x, bad_y=bad_y)
    done = subprocess.run(
        [BUILD / "edgemeta-probe", bundle.path, data],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    record: Found = json.loads(done.stdout)
    return record


def worse_holdout(bundle: Bundle) -> tuple[Any, Any]:
    """Return samples, and targets that are what the init predicts of them: none can be better."""
    x, y = bundle.samples(10, 1)
    runner = bundle.runner
    known = runner.init.predict(x[:7])
    if runner.manifest.ways is None:
        return x[:7], known
    # Those of which the adapted learner predicts another class.
    other = known != runner.adapt(x, y).predict(x[:7])
    return x[:7][other], known[other]


def test_a_bundle_from_memory(found: Found, bundle: Bundle) -> None:
    memory = found["memory"]
    kind, line, losses = memory.pop("selftest")
    assert (kind, losses) == ("input", [])
    assert "a bundle from memory has no selftest" in line
    for part in ("no state", "half a state"):
        kind, line, _ = memory.pop(part)
        assert (kind, line.startswith("the state is no readable state file")) == ("bundle", True)
    assert memory == {
        "path": "",
        "fingerprint": bundle.runner.fingerprint,
        "predicts the same": True,
        "serializes what it saves": True,
        "reads what it serialized": True,
        "init": True,
        "selftest of a directory": 1,
    }


def test_python_reads_what_was_serialized(found: Found, bundle: Bundle, tmp_path: Path) -> None:
    learner = bundle.runner.load(tmp_path / "saved.safetensors")
    assert learner.labels == ("a", 1)
    x, y = bundle.samples(10, 1)
    query, _ = bundle.samples(6, 2)
    want = bundle.runner.adapt(x, y).predict_logits(query)
    np.testing.assert_allclose(learner.predict_logits(query), want, rtol=1e-5, atol=1e-6)


def test_files_that_were_cut_short(found: Found) -> None:
    for name, errors in found["files"].items():
        for kind, line, _ in errors:
            assert (kind, line.startswith(f"{name} is ")) == ("bundle", True), line


def test_an_adaptation_is_held_to_other_samples(found: Found, bundle: Bundle) -> None:
    holdout = found["holdout"]
    assert holdout["kept"] is None
    x, y = bundle.samples(10, 1)
    with pytest.raises(AdaptationError, match="made the holdout worse") as caught:
        bundle.runner.adapt(x, y, holdout=worse_holdout(bundle))
    kind, line, losses = holdout["worse"]
    assert kind == "adaptation"
    assert "adaptation made the holdout worse: got " in line
    np.testing.assert_allclose(losses, caught.value.losses, rtol=1e-5, atol=1e-6)
    kind, line, losses = holdout["odd"]
    assert (kind, losses) == ("input", [])
    assert "holdout_y has the wrong shape" in line
    assert holdout["half"][0] == "input"
    assert "holdout_x and holdout_y belong together" in holdout["half"][1]


def test_an_error_tells_the_losses(found: Found, bundle: Bundle) -> None:
    x, y = bundle.samples(10, 1)
    diverged = found["holdout"]["diverged"]
    if bundle.runner.manifest.any_ways:  # its head fits real drawings at any rate
        bundle.runner.adapt(x, y, steps=20, lr_scale=1000)
        assert diverged is None
        return
    with pytest.raises(AdaptationError):
        bundle.runner.adapt(x, y, steps=20, lr_scale=1000)
    kind, line, losses = diverged
    assert (kind, len(losses)) == ("adaptation", 21)
    assert "in 20 steps" in line


def test_labels_that_could_not_be_read_back(found: Found, bundle: Bundle) -> None:
    labels = found["labels"]
    assert labels.pop("plain") is None
    for name, (kind, line, _) in labels.items():
        assert (kind, "the labels cannot be saved" in line) == ("input", True), name
    assert found.get("free functions") == (None if bundle.runner.manifest.ways is None else True)


def test_arrays_that_no_memory_holds(found: Found) -> None:
    assert {name: error[0] for name, error in found["arrays"].items()} == dict.fromkeys(
        found["arrays"], "input"
    )
