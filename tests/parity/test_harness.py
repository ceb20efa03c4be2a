"""The suite can fail: wrong results, hangs, deaths and nonsense are told, in a line and in time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from edgemeta.bundle import SELFTEST
from edgemeta.device.packaged import BUNDLES
from tests.parity import __main__ as suite
from tests.parity import runtimes
from tests.parity.adapter import Adapter, AdapterError
from tests.parity.bundles import Recorded
from tests.parity.replay import DisagreementError, Outcome, replay_all
from tests.parity.runtimes import REQUIRED, ROOT, RUNTIMES, Runtime, absent, required

PATH = BUNDLES / "omniglot"
OMNIGLOT = Recorded("omniglot", PATH, (PATH / SELFTEST,))

# Replays rightly, and then changes what it wrote and said.
CHANGED = """
import json, sys
import numpy as np
from pathlib import Path
from safetensors.numpy import load, save
from tests.parity.adapters.python import Replayer

replayer = Replayer(1)
for line in sys.stdin:
    request, answer = json.loads(line), replayer.answer(line)
    if request["op"] == "replay":
        out = Path(request["out"])
        tensors = load(out.read_bytes())
        exec(sys.argv[1])
        out.write_bytes(save(tensors))
    print(json.dumps(answer), flush=True)
"""
HEAD = "head.weight.next"

Start = Callable[..., Adapter]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts Python code as an adapter; all are ended afterwards."""
    started: list[Adapter] = []

    def run(code: str, *arguments: str, patience: float = 30) -> Adapter:
        started.append(Adapter([sys.executable, "-c", code, *arguments], ROOT, patience))
        return started[-1]

    yield run
    for adapter in started:
        adapter.close()


def test_what_is_right_passes(start: Start) -> None:
    outcome = replay_all(start(CHANGED, "pass"), OMNIGLOT, repeats=2)
    assert outcome.largest <= 1
    assert outcome.runtime == "onnxruntime"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (f"tensors['{HEAD}'] *= np.float32(1.001)", HEAD),
        (f"tensors['{HEAD}'][0] = np.nan", HEAD),
        ("tensors['losses'][-1] += np.float32(1e-3)", "losses"),
        ("tensors['logits'] = tensors['logits'][:, ::-1].copy()", "logits"),
    ],
)
def test_a_slightly_wrong_result_is_a_failure(start: Start, change: str, named: str) -> None:
    with pytest.raises(DisagreementError, match=f"omniglot, selftest: {named} differs from"):
        replay_all(start(CHANGED, change), OMNIGLOT)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("del tensors['losses']", r"losses is missing, expected float32 \("),
        ("tensors['more'] = tensors['losses']", r"more is .*, expected no such tensor"),
        ("tensors['losses'] = tensors['losses'].astype(np.float64)", r"losses is float64 \("),
        ("tensors['logits'] = tensors['logits'][:-1]", r"logits is float32 \("),
        ("answer = {}", "has not 1 times to adapt"),
        ("answer['ms']['predict'] = []", "has not 1 times to predict"),
        ("answer['ms']['adapt'] = [-1]", "has not 1 times to adapt"),
        ("answer['ms']['adapt'] = ['1']", "has not 1 times to adapt"),
        ("answer = {'error': 'no\\nroom'}", "^no room$"),
    ],
)
def test_what_breaks_the_protocol_is_a_failure(start: Start, change: str, told: str) -> None:
    with pytest.raises(AdapterError, match=told):
        replay_all(start(CHANGED, change), OMNIGLOT)


def test_results_that_are_not_there_are_a_failure(start: Start) -> None:
    silent = "import sys\nfor _ in sys.stdin:\n    print('{}', flush=True)"
    with pytest.raises(AdapterError, match="selftest: its results cannot be read"):
        replay_all(start(silent), OMNIGLOT)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise SystemExit('no such library')", "^it ended: exit code 1 no such library$"),
        ("import os; input(); os.kill(os.getpid(), 11)", "^it ended: exit code 11$"),
        ("input(); print('Welcome!')", "^its answer is no JSON object: Welcome!$"),
        ("input(); print('[1]')", r"^its answer is no JSON object: \[1\]$"),
        ("import sys; input(); sys.stdout.buffer.write(bytes(range(9, 256)))", "no JSON object"),
        ("print('x' * 3_000_000)", "^its answer is no JSON object: xxx"),
    ],
)
def test_death_and_nonsense_are_told_in_one_line(start: Start, code: str, told: str) -> None:
    with pytest.raises(AdapterError, match=told) as caught:
        replay_all(start(code), OMNIGLOT)
    assert "\n" not in str(caught.value)


HANGS = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
input()
print('{"child": %d}' % child.pid, flush=True)
time.sleep(60)
"""


def test_one_that_hangs_is_ended_with_all_that_it_started() -> None:
    with Adapter([sys.executable, "-c", HANGS], ROOT, patience=1.5) as adapter:
        child = adapter.ask(op="load")["child"]
        with pytest.raises(AdapterError, match=r"^no answer within 1\.5 s$"):
            adapter.ask(op="replay")
    assert not alive(child)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may wait a moment for whoever collects it."""
    status = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        try:
            if status.read_text().rpartition(")")[2].split()[0] == "Z":
                return False
        except FileNotFoundError:
            return False
        time.sleep(0.02)
    return True


def test_one_that_cannot_be_started_is_named() -> None:
    with pytest.raises(AdapterError, match=r"^cannot start \./none: No such file"):
        Adapter(["./none"], ROOT)


def test_what_is_not_built_is_left_out_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    here, gone = RUNTIMES["python"], Runtime("cpp", ("none",), "build/none", "cpp")
    reason = "cpp is not built: no build/none; run `make cpp`"
    for names, failures in (("", []), ("python, cpp", [reason]), ("python", [])):
        monkeypatch.setenv(REQUIRED, names)
        told.clear()
        assert absent(here, told.append) is None
        assert absent(gone, told.append) == reason
        assert told == failures
    monkeypatch.setenv(REQUIRED, "python,rust")
    with pytest.raises(ValueError, match="unknown runtime rust"):
        required()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., tuple[int, str, Any]]:
    """Return a function that runs the suite on some runtimes, with one short bundle."""

    def run(*rows: Runtime) -> tuple[int, str, Any]:
        monkeypatch.setattr(runtimes, "RUNTIMES", {row.name: row for row in rows})
        monkeypatch.setattr(suite, "RUNTIMES", {row.name: row for row in rows})
        monkeypatch.setattr(suite, "NETWORKS", ["omniglot"])
        monkeypatch.setattr(suite, "recorded", lambda *_: OMNIGLOT)
        monkeypatch.setattr(suite, "REPEATS", 2)
        out = tmp_path / "parity.json"
        result = CliRunner().invoke(suite.main, ["--out", str(out)])
        return result.exit_code, result.output, json.loads(out.read_text())

    return run


def runtime(name: str, command: Sequence[str]) -> Runtime:
    return Runtime(name, tuple(command))


def test_the_suite_fails_if_one_runtime_does_and_writes_how_the_others_did(
    written: Callable[..., tuple[int, str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    wrong = runtime("wrong", [sys.executable, "-c", "raise SystemExit(3)"])
    missing = Runtime("missing", ("none",), "build/none", "missing")
    code, output, record = written(RUNTIMES["python"], wrong, missing)
    assert code == 1
    assert "Error: wrong, omniglot: it ended: exit code 3" in output.splitlines()
    found = record["runtimes"]
    assert set(found["python"]["found"]["omniglot"]) == set(Outcome.__dataclass_fields__)
    assert found["wrong"]["found"]["omniglot"] == {"failure": "it ended: exit code 3"}
    assert found["missing"]["absent"].startswith("missing is not built")

    assert written(RUNTIMES["python"], missing)[0] == 0
    monkeypatch.setenv(REQUIRED, "missing")
    code, output, _ = written(RUNTIMES["python"], missing)
    assert code == 1
    assert "Error: missing is not built: no build/none; run `make missing`" in output.splitlines()
