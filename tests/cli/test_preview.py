"""`edgemeta data preview`."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Call


def test_the_command(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "glyphs.png"
    done = call("data", "preview", "glyphs", "--out", out)
    assert done.code == 0, done.err
    assert done.out == f"{out}: augmented by move, turn, cutout\n"
    with Image.open(out) as picture:
        assert picture.format == "PNG"
    record = call("data", "preview", "glyphs", "--out", out, "--augment", "turn, light", "--json")
    assert '"augment": ["turn", "light"]' in record.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["glyphs", "--augment", "gain"], "got gain for images of shape (28, 28)"),
        (["glyphs", "--augment", "turns"], "did you mean 'turn'"),
        (["glyphs", "--augment", ","], "is not a list of names"),
        (["glyphs", "--augment", "none"], "no augmentation to preview"),
        (["glyphs", "--out", "missing/folder.png"], "no such directory"),
        (["glyfs"], "did you mean 'glyphs'"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(call: Call, arguments: list[str], message: str) -> None:
    refused = call("data", "preview", *arguments)
    assert refused.code == 2
    assert message in refused.err
    assert refused.err.count("\n") == 1
