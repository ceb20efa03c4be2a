"""A short soak keeps all promises, and a broken promise is seen."""

from __future__ import annotations

import copy

import pytest

from benchmarks.soak import kept, soak


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, float]]:
    return soak(600)


def test_a_short_soak_keeps_all_promises_but_drift(found: dict[str, dict[str, float]]) -> None:
    # So few cycles say nothing of drift: the machine's own clock strays in a second.
    assert [promise for promise in kept(found) if "drifts" not in promise] == []


@pytest.mark.parametrize(
    ("part", "value", "broken"),
    [
        ("cycles", {"growth": 0.021}, "memory grows by less than 2%"),
        ("cycles", {"drift": 0.21}, "latency drifts by less than 20%"),
        ("threads", {"wrong": 1}, "eight threads get the bits that one gets"),
        ("fork", {"wrong": 1}, "a forked process gets the same bits"),
        ("spawn", {"wrong": 1}, "a spawned process gets the same bits"),
        ("interrupts", {"broken": 1}, "Ctrl-C leaves a usable runner"),
    ],
)
def test_a_broken_promise_is_seen(
    found: dict[str, dict[str, float]], part: str, value: dict[str, float], broken: str
) -> None:
    worse = copy.deepcopy(found)
    worse["cycles"]["drift"] = 0.0
    worse[part] |= value
    assert kept(worse) == [broken]
