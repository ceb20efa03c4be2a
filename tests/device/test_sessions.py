"""One runner for threads, forked and spawned processes, and after Ctrl-C."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import soak
from edgemeta import BundleError, Runner
from tests.cases import CASE

X, Y = CASE["mlp-classes"].samples(10, seed=1)
QUERY, _ = CASE["mlp-classes"].samples(6, seed=2)
PATIENCE = 60  # seconds; each takes a few


def test_eight_threads_get_the_bits_of_one(classifier: Runner) -> None:
    assert soak.threads(classifier, 20) == {"threads": 8, "adaptations": 160, "wrong": 0}


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_get_the_same_bits(classifier: Runner, method: str) -> None:
    script = f"""
from benchmarks import soak
from edgemeta import Runner
if __name__ == "__main__":
    print(soak.processes(Runner({str(classifier.path)!r}, threads=2), {method!r}, 2))
"""
    assert run(script) == "{'processes': 2, 'wrong': 0}\n"


def test_a_forked_process_may_end_as_it_likes(classifier: Runner) -> None:
    """Without a word from us, the copies of the parent's threads are waited for at exit."""
    script = f"""
import os, sys, warnings
from edgemeta import Runner
warnings.simplefilter("ignore", DeprecationWarning)  # Python does not like forks beside threads
used, unused = (Runner({str(classifier.path)!r}, threads=2) for _ in range(2))
if os.fork() == 0:
    used.init.state_dict()
    del unused
    sys.exit(7)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    assert run(script) == "7\n"


def test_a_runner_and_a_learner_are_pickled_by_path_and_state(classifier: Runner) -> None:
    learner = classifier.adapt(X, Y)
    for each in (learner, learner.freeze()):
        again = pickle.loads(pickle.dumps(each))  # noqa: S301  # our own
        assert again.frozen == each.frozen
        assert np.array_equal(again.predict_logits(QUERY), each.predict_logits(QUERY))
        assert np.array_equal(again.losses, each.losses)


def test_a_pickled_runner_of_a_bundle_that_is_another_now(bundle_copy: Path) -> None:
    pickled = pickle.dumps(Runner(bundle_copy, threads=1))
    manifest = bundle_copy / "manifest.json"
    manifest.write_text(manifest.read_text() + "\n")
    with pytest.raises(BundleError, match="is another bundle now"):
        pickle.loads(pickled)  # noqa: S301  # our own


def test_ctrl_c_ends_a_long_adaptation_and_leaves_a_usable_runner() -> None:
    found = soak.interrupts(2)
    assert found["broken"] == 0
    assert found["longest_wait_s"] < 1  # of more than two that the steps take


def test_a_long_adaptation_computes_the_same(classifier: Runner) -> None:
    steps = 150  # so many run in a thread of their own
    long = classifier.adapt(X, Y, steps=steps)
    short = classifier.adapt(X, Y, steps=75)
    short = classifier.adapt(X, Y, steps=75, state=short)
    assert np.array_equal(long.predict_logits(QUERY), short.predict_logits(QUERY))


def run(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
