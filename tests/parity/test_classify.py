"""Every runtime that is there classifies as Python does; and a runtime that does not is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.parity.adapter import Adapter, AdapterError
from tests.parity.bundles import NETWORKS, Network, Recorded, recorded
from tests.parity.classify import Options, classify_all, compare
from tests.parity.replay import DisagreementError
from tests.parity.runtimes import ROOT, RUNTIMES, Runtime, absent

CLASSIFIERS = [network for network in NETWORKS if network.task == "classification"]
RIGHT = {
    "labels": ["a", "unknown"],
    "classes": ["a", "b"],
    "probabilities": [[0.9, 0.1], [0.5, 0.5]],
    "familiarity": [1.0, 0.1],
    "temperature": 0.8,
}


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Network], Recorded]:
    """Return a function that compiles a network, once."""
    folder = tmp_path_factory.mktemp("classify")
    return cache(lambda network: recorded(network, folder, episodes=0))


@pytest.mark.slow
@pytest.mark.parametrize("network", CLASSIFIERS, ids=lambda network: network.name)
@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=lambda runtime: runtime.name)
def test_a_runtime_classifies_as_python_does(
    runtime: Runtime,
    network: Network,
    compiled: Callable[[Network], Recorded],
    tmp_path: Path,
) -> None:
    if reason := absent(runtime, pytest.fail):
        pytest.skip(reason)
    with Adapter(runtime.command, ROOT) as adapter:
        assert 0 <= classify_all(adapter.ask, network.x, compiled(network).path, tmp_path) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=lambda runtime: runtime.name)
def test_what_no_classifier_wrote_is_refused(
    runtime: Runtime, compiled: Callable[[Network], Recorded], tmp_path: Path
) -> None:
    if reason := absent(runtime, pytest.fail):
        pytest.skip(reason)
    (network,) = (each for each in CLASSIFIERS if each.name == "onnx")
    x = network.x(4, np.random.default_rng(0))
    save_file({"x": x, "y": np.array([0, 1, 0, 1]), "query": x}, tmp_path / "episode")
    (tmp_path / "nothing").write_bytes(b"nothing")
    request = {
        "bundle": str(compiled(network).path),
        "episode": str(tmp_path / "episode"),
        "names": ["a", "b"],
        "options": asdict(Options()),
    }
    with Adapter(runtime.command, ROOT) as adapter:
        for load in (None, str(tmp_path / "nothing"), None):
            if load is None:
                answer = adapter.ask(op="classify", **request, load=load, save=None)
                assert answer["classes"] == ["a", "b"]
                continue
            with pytest.raises(AdapterError, match="state"):
                adapter.ask(op="classify", **request, load=load, save=None)


def test_the_same_answer_is_no_difference() -> None:
    assert compare(RIGHT, RIGHT, "here") == 0
    assert compare(RIGHT | {"temperature": 0.80004}, RIGHT, "here") == pytest.approx(0.5)
    none = {"temperature": None}
    assert compare(RIGHT | none, RIGHT | none, "here") == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"labels": ["a", "b"]}, "here: labels .*expected"),
        ({"classes": ["b", "a"]}, "here: classes"),
        ({"probabilities": [[0.9, 0.1]]}, "probabilities differs from Python by inf"),
        ({"familiarity": [1.0, 0.1002]}, "familiarity differs from Python by 0.0002"),
        ({"familiarity": [1.0, float("nan")]}, "familiarity differs from Python by nan"),
        ({"temperature": 0.8002}, "temperature differs"),
        ({"temperature": None}, "temperature differs"),
    ],
)
def test_another_answer_is_a_failure(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(DisagreementError, match=message):
        compare(RIGHT | wrong, RIGHT, "here")
