"""`edgemeta data check`, and the options of data in other commands."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from edgemeta.cli._data_options import DATA_OPTIONS
from edgemeta.tasks import DataOptions
from tests.cli.conftest import Call
from tests.cli.test_bad_input import assert_refused


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten classes of three images, all different."""
    for k in range(10):
        (tmp_path / "pictures" / f"c{k}").mkdir(parents=True)
        for n in range(3):
            image = Image.new("L", (28, 28), 3 * k + n)
            image.save(tmp_path / "pictures" / f"c{k}" / f"{n}.png")
    return tmp_path / "pictures"


def test_a_healthy_folder(call: Call, pictures: Path) -> None:
    done = call("data", "check", pictures)
    assert done.code == 0, done.err
    assert done.err == ""
    assert "layout     a folder of images per class" in done.out
    assert "30, each 28 x 28 uint8" in done.out
    assert "10, of 3 / 3 / 3 samples" in done.out
    assert "subjects   unknown" in done.out
    assert done.out.endswith("no problems\n")
    record = json.loads(call("data", "check", pictures, "--image-size", 8, "--json").out)
    assert record["shape"] == [8, 8]
    assert record["sample_bytes"] == 30 * 64
    assert record["disk_bytes"] == sum(p.stat().st_size for p in pictures.glob("*/*"))
    assert record["preprocessing"]["image_size"] == [8, 8]
    assert [part["classes"] for part in record["parts"]] == [6, 2, 2]
    assert record["problems"] == []
    assert record["clips"] is None


def test_all_problems_are_found_at_once(call: Call, pictures: Path) -> None:
    (pictures / "c3" / "1.png").write_bytes(b"broken")
    (pictures / "c5" / "0.png").write_bytes(b"broken")
    (pictures / "c0" / "9.png").write_bytes((pictures / "c0" / "0.png").read_bytes())
    for k in range(10):  # in every class, hence in every part
        Image.new("L", (28, 28), 255).save(pictures / f"c{k}" / "same.png")
    for n in ("1.png", "2.png", "same.png"):
        (pictures / "c9" / n).unlink()
    done = call("data", "check", pictures, "--json")
    assert done.code == 1
    assert done.err == f"Error: {pictures} has 3 problems, listed above\n"
    record = json.loads(done.out)
    unreadable, between, small = record["problems"]
    assert unreadable.startswith("2 samples cannot be read: ")
    assert "c3/1.png" in unreadable
    assert "c5/0.png" in unreadable
    assert between.startswith("1 samples occur in two parts: ")
    assert "same.png (c" in between
    assert small == "1 classes have fewer than 2 samples: no episode can show them: c9"
    # The copy in c0, and of the nine equal images all but one for each part.
    assert record["duplicates"] == 1 + 9 - 3
    assert "problem: 2 samples cannot be read" in call("data", "check", pictures).out


def test_data_that_cannot_be_opened(call: Call, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((4, 2), np.nan), y=np.arange(4))
    done = call("data", "check", tmp_path / "a.npz")
    assert done.code == 1
    assert "problem: " in done.out
    assert "x is not finite: got nan or infinity in 4 samples" in done.out
    assert "cannot be used as an .npz file" in done.err
    record = json.loads(call("data", "check", tmp_path / "a.npz", "--json").out)
    assert record["layout"] == "an .npz file"
    assert len(record["problems"]) == 1


def test_a_mapped_array_with_a_flipped_bit(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    x = np.arange(4000).reshape(100, 40)
    np.savez(path, x=x, y=np.arange(100) % 10)
    assert call("data", "check", path).code == 0
    content = bytearray(path.read_bytes())
    content[content.find(x[50].tobytes()) + 3] ^= 1
    path.write_bytes(content)
    done = call("data", "check", path)
    assert done.code == 1
    assert "the check sum of x.npy is wrong" in done.out


def test_parts_that_are_too_small(call: Call, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(20)[:, None], y=np.arange(20) % 2)
    done = call("data", "check", tmp_path / "a.npz")
    assert done.code == 1
    assert "the train part has 1 classes, which is too few for an episode" in done.out
    assert call("data", "check", tmp_path / "a.npz", "--test-only").code == 0


def test_a_regression_table(call: Call, tmp_path: Path) -> None:
    rows = [f"{n},{n % 10},{n * n}" for n in range(100)]
    (tmp_path / "a.csv").write_text("x,who,y\n" + "\n".join(rows) + "\n")
    done = call("data", "check", tmp_path / "a.csv", "--task", "who", "--target", "y")
    assert done.code == 0, done.out
    assert "tasks      10, of 10 / 10 / 10 samples" in done.out
    assert "each 1 float32" in done.out


def test_recordings_beside_the_window(call: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k, (rate, seconds) in enumerate([(16_000, 1.28), (16_000, 1.0), (8_000, 3.0), (16_000, 2)]):
        for word in "abcdefghij":
            (tmp_path / word).mkdir(exist_ok=True)
            clip = rng.normal(0, 0.1, round(rate * seconds))
            soundfile.write(tmp_path / word / f"{k}.{'flac' if k == 3 else 'wav'}", clip, rate)
    done = call("data", "check", tmp_path, "--features", "wave")
    assert done.code == 0, done.err
    assert "layout     a folder of recordings, as waveforms" in done.out
    assert "40, each 20480 int16" in done.out
    lengths = "1.00 / 1.64 / 3.00 s (min / median / max)"
    assert f"recordings 30 at 16000 Hz, 10 at 8000 Hz; {lengths}" in done.out
    shown = "window     1.28 s: 10 recordings are shorter and filled with silence, 20 are longer"
    assert shown in done.out
    (tmp_path / "a" / "0.wav").write_bytes(b"RIFF")
    record = json.loads(call("data", "check", tmp_path, "--seconds", 2, "--json").out)
    assert record["clips"] == {
        "rates": [[16_000, 29], [8_000, 10]],
        "seconds": [1.0, 2.0, 3.0],
        "window": 2.0,
        "shorter": 19,
        "longer": 10,
    }
    assert len(record["problems"]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.npz"], ["no such data file"]),
        (["nowhere"], ["unknown tasks"]),
        (["mnist", "--root", "nowhere"], ["no mnist data", "which does not exist"]),
        (["glyphs"], ["not your own data"]),
        (["{}"], ["no known layout"]),
        (["{}/a.npz", "--by", "subject"], ["names no subjects"]),
        (["{}/a.npz", "--mels", "3"], ["do not apply to an .npz file", "--mels"]),
        (["{}/a.npz", "--window", "0"], ["--window is out of range"]),
        (["{}/a.npz", "--color", "red"], ["'red'", "gray"]),
    ],
)
def test_usage(call: Call, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(8).reshape(4, 2), y=np.arange(4) % 2)
    filled = [argument.replace("{}", str(tmp_path)) for argument in arguments]
    assert_refused(call("data", "check", *filled), *words)


def test_eval_takes_the_options_of_data(call: Call, bundle_path: Path, pictures: Path) -> None:
    """A model of glyphs, on pictures that it was not trained on."""
    size = ("--ways", 5, "--queries", 2, "--episodes", 4)
    refused = call("eval", bundle_path, pictures, *size)
    assert_refused(refused, "the test part is too small", "2 of 2 classes")
    done = call("eval", bundle_path, pictures, *size, "--test-only", "--image-size", 28)
    assert done.code == 0, done.err
    assert "on 4 test episodes" in done.out


def test_there_is_an_option_for_every_field(call: Call) -> None:
    assert tuple(field.name for field in fields(DataOptions)) == DATA_OPTIONS
    shown = call("data", "check", "--help").out
    for name in DATA_OPTIONS:
        assert f"--{name.replace('_', '-')}" in shown


def test_lists_of_columns(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    header = "t,ax,ay,label\n"
    path.write_text(header + "".join(f"{t},{t},{-t},{t // 4 % 5}\n" for t in range(200)))
    options: list[Any] = ["--window", 4, "--columns", "ax, ay", "--json"]
    record = json.loads(call("data", "check", path, *options, "--test-only").out)
    assert record["shape"] == [4, 2]
    assert record["samples"] == 50
    assert record["preprocessing"]["channels"] == ["ax", "ay"]
