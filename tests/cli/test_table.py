"""Curves as a line of blocks, and names that do nothing to a terminal."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemeta.cli import _table as table
from edgemeta.cli._table import BLOCKS, MOST_BLOCKS, blocks, printable

FINITE = st.floats(-1e300, 1e300)


@pytest.fixture(autouse=True)
def _a_terminal_with_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_can_show", lambda text: True)


def test_a_curve() -> None:
    assert blocks([8, 7, 6, 5, 4, 3, 2, 1]) == BLOCKS[::-1]
    assert blocks([3.0]) == "▁"
    assert blocks([2, 2]) == "▁▁"
    assert blocks([math.inf, 1, 2, math.nan]) == "▁▁█▁"


@pytest.mark.parametrize("count", [MOST_BLOCKS - 1, MOST_BLOCKS, MOST_BLOCKS + 1, 10_001])
def test_a_long_curve_keeps_its_ends(count: int) -> None:
    drawn = blocks(range(count))
    assert len(drawn) == min(count, MOST_BLOCKS)
    assert (drawn[0], drawn[-1]) == (BLOCKS[0], BLOCKS[-1])
    assert sorted(drawn) == list(drawn)


@given(st.lists(FINITE, min_size=1, max_size=200))
def test_larger_is_never_lower(values: list[float]) -> None:
    drawn = blocks(values)
    assert len(drawn) == min(len(values), MOST_BLOCKS)
    if len(drawn) == len(values):
        pairs = sorted(zip(values, drawn, strict=True))
        assert [block for _, block in pairs] == sorted(drawn)


def test_a_terminal_without_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_can_show", lambda text: False)
    assert blocks([2, 1]) == "->"


def test_a_name_does_not_command_the_terminal() -> None:
    name = "\x1b[2Jقف\u200d\r\x9b"
    assert printable(name) == "?[2Jقف\u200d??"
    assert "\x1b" not in table.table(["class"], [[name]])
