"""What a runner tells of its work, to whom, and to nobody else."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgemeta import AdaptationError, Runner
from edgemeta.device.events import Event
from tests.cases import CASE

X, Y = CASE["mlp-classes"].samples(10, seed=1)


def test_the_log_has_a_record_for_each_piece_of_work(
    classifier: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "edgemeta")
    learner = Runner(classifier.path, threads=1).adapt(X, Y, steps=2)
    learner.freeze().predict(X[:4])
    records = [vars(record) for record in caplog.records]
    assert [(r["action"], r["levelname"]) for r in records] == [
        ("load", "INFO"),
        ("adapt", "INFO"),
        ("freeze", "INFO"),
        ("predict", "DEBUG"),
    ]
    _, adapt, _, predict = records
    assert adapt["losses"] == tuple(learner.losses.tolist())
    assert (adapt["samples"], adapt["steps"], predict["samples"]) == (10, 2, 4)
    assert all(r["milliseconds"] > 0 and r["bundle"] == str(classifier.path) for r in records)
    assert "10 samples, 2 steps, loss " in caplog.records[1].getMessage()


def test_nothing_is_logged_unasked(
    classifier: Runner, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.WARNING)
    classifier.adapt(X, Y).predict(X)
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


def test_an_observer_gets_the_same_without_a_log(classifier: Runner) -> None:
    events: list[Event] = []
    runner = Runner(classifier.path, threads=1, observe=events.append)
    runner.adapt(X, Y, steps=0).predict(X)
    with pytest.raises(AdaptationError):
        runner.adapt(X, Y, lr_scale=1000)
    assert [event.action for event in events] == ["load", "adapt", "predict", "adapt"]
    assert events[1].steps == 0
    assert np.isnan(events[3].losses[-1]) or events[3].losses[-1] > events[3].losses[0]


def test_nothing_leaves_the_device(classifier: Runner, tmp_path: Path) -> None:
    """onnxruntime has telemetry of its own: a thread, a file in the user's cache, an upload."""
    script = f"""
import os, sys
opened = []
sys.addaudithook(lambda event, _: event.startswith("socket.") and opened.append(event))
import edgemeta, numpy
runner = edgemeta.Runner({str(classifier.path)!r}, threads=1)
x = numpy.zeros((5, 28, 28), "uint8")
runner.adapt(x, numpy.arange(5)).freeze().predict(x)
assert not opened, opened
open_files = [os.readlink(f"/proc/self/fd/{{n}}") for n in os.listdir("/proc/self/fd")
              if os.path.exists(f"/proc/self/fd/{{n}}")]
assert not [f for f in open_files if f.startswith("socket") or "onnxruntime.db" in f], open_files
assert len(os.listdir("/proc/self/task")) == 1, "threads that nobody asked for"
"""
    quiet = {k: v for k, v in os.environ.items() if k not in ("CI", "ORT_DISABLE_TELEMETRY")}
    environment = quiet | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    assert list(tmp_path.iterdir()) == []
