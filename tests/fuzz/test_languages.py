"""A few hundred damaged files for the readers of each language that is built."""

from __future__ import annotations

import json

import pytest

from tests.fuzz.languages import RESULT, run, same
from tests.vectors.judges import COMMANDS, absent

LANGUAGES = {name: command for name, command in COMMANDS.items() if not absent(name)}


@pytest.mark.skipif(not LANGUAGES, reason="no other language is built")
def test_the_languages_agree_on_damaged_files() -> None:
    said: list[str] = []
    found = run(600, seed=7, commands=LANGUAGES, say=said.append)
    assert not said, said[0]
    assert all(each["accepted"] > 0 for each in found.values())


def test_a_disagreement_is_one() -> None:
    ours = {"verdict": "accept", "ways": 2}
    assert same(ours, ours | {"why": ""})
    assert not same(ours, ours | {"ways": 3})
    assert not same(ours, {"verdict": "bundle", "why": "x"})
    assert not same({"verdict": "bundle", "why": "x"}, ours)


def test_the_campaign_was_large_enough_and_found_nothing() -> None:
    found = json.loads(RESULT.read_text())["languages"]
    assert len(found) == 2
    for each in found.values():
        assert each["inputs"] >= 200_000
        assert each["crashes"] == each["disagreements"] == 0
