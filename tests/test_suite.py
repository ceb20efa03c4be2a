"""The two halves of the suite, and the bundles that its tests share."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import made_once

ROOT = Path(__file__).parent.parent


def recipe(target: str) -> str:
    """Return the commands of a target of the Makefile."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert found is not None, target
    return found[1]


def test_a_test_is_in_one_of_two_targets_and_ci_calls_both() -> None:
    halves = [re.findall(r"pytest .*-m ('[^']+'|\w+)", recipe(t)) for t in ("test", "test-slow")]
    assert halves == [["'not slow'"], ["slow"]]
    called = (ROOT / ".ci" / "run").read_text().splitlines()
    assert {"make test", "make test-slow"} <= set(called)


@pytest.mark.parametrize("target", ["cpp", "web", "newest"])
def test_the_other_targets_leave_no_test_out(target: str) -> None:
    assert "pytest" in recipe(target)
    assert not re.search(r"pytest .*-[mk] ", recipe(target))


def test_what_many_ask_for_is_made_once(tmp_path: Path) -> None:
    """Here by threads; between processes the lock is the same."""
    made = []

    def make(path: Path) -> None:
        path.mkdir()
        time.sleep(0.2)
        (path / "whole").touch()
        made.append(path)

    def ask(_: int) -> bool:
        return (made_once(tmp_path, "bundle", make) / "whole").exists()

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(ask, range(3)))
    assert len(made) == 1


def test_what_failed_is_made_again_and_from_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.mkdir()
        (path / "half").touch()
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        made_once(tmp_path, "bundle", fail)
    assert not (tmp_path / "bundle").exists()
    assert not list(made_once(tmp_path, "bundle", Path.mkdir).iterdir())


def test_a_name_is_for_one_thing(tmp_path: Path) -> None:
    made_once(tmp_path, "bundle", Path.mkdir)
    with pytest.raises(AssertionError, match="'bundle' is already"):
        made_once(tmp_path, "bundle", Path.touch)
