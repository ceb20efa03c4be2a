"""What the readers for Python, C++ and JavaScript take and refuse is the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from export import contract
from tests.vectors import Vector, stored
from tests.vectors.judges import COMMANDS, Answer, Judge, absent, python
from tests.vectors.made import vectors

VECTORS = list(stored())
REQUIRED = {
    "cpp": "EDGEMETA_REQUIRE_CPP",
    "cpp-m32": "EDGEMETA_REQUIRE_M32",
    "node": "EDGEMETA_REQUIRE_WEB",
}
"""Variables that say that a language was built."""

Judging = Callable[[Mapping[str, Any]], Answer]


@pytest.fixture(
    scope="session", params=["python", *(name for name in COMMANDS if not absent(name))]
)
def judge(request: pytest.FixtureRequest) -> Iterator[Judging]:
    """The judge of each language that is built."""
    if request.param == "python":
        yield python
        return
    with Judge(COMMANDS[request.param]) as found:
        yield found


@pytest.mark.parametrize("name", COMMANDS)
def test_a_language_takes_part(name: str) -> None:
    if reason := absent(name):
        (pytest.fail if os.environ.get(REQUIRED[name]) == "1" else pytest.skip)(reason)


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{v.kind}: {v.name}" for v in VECTORS])
def test_a_vector(judge: Judging, vector: Vector) -> None:
    answer = judge(vector.request)
    assert vector.fits(answer), answer
    if vector.verdict != "accept":
        assert answer["why"].isprintable()
        assert len(answer["why"]) < 1000


def test_the_files_hold_what_the_script_writes() -> None:
    made = {(vector.kind, vector.name): Vector.of(vector.line()) for vector in vectors()}
    found = {(vector.kind, vector.name): vector for vector in VECTORS}
    odd = sorted(key for key in made.keys() | found.keys() if made.get(key) != found.get(key))
    assert not odd, "run python -m tests.vectors"


def test_no_name_comes_twice() -> None:
    names = [(vector.kind, vector.name) for vector in VECTORS]
    assert len(set(names)) == len(names)


def test_the_other_languages_have_the_contract_of_today() -> None:
    for path, content in ((contract.CPP, contract.cpp()), (contract.WEB, contract.web())):
        assert path.read_text() == content, f"run python export/contract.py: {path.name}"
