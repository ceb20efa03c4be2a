from __future__ import annotations

from pathlib import Path

import pytest

from edgemeta.errors import InputError
from edgemeta.meta.runs.config import TrainConfig, read_config, read_toml


def test_a_config_survives_the_round_trip(tmp_path: Path) -> None:
    config = TrainConfig(tasks="sinusoid", model="mlp", hidden=(7, 9), inner_lr=0.02)
    config.write(tmp_path / "config.toml")
    assert read_config(tmp_path / "config.toml") == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks = 'glyphs'\niner_lr = 0.1", "did you mean 'inner_lr'"),
        ("tasks = 'glyphs'\nways = 'five'", "ways has the wrong type"),
        ("tasks = 'glyphs'\nways = true", "ways has the wrong type"),
        ("tasks = 'glyphs'\nhidden = [1.5]", "no list of integers"),
        ("tasks = ", "not TOML"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_toml(path)
    assert "\n" not in str(caught.value)


def test_an_integer_serves_as_a_float(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("tasks = 'glyphs'\ninner_lr = 1")
    assert read_config(path).inner_lr == 1.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("algorithm", "mamml"),
        ("norm", "batch"),
        ("ways", 0),
        ("inner_lr", 0.0),
        ("meta_lr", float("nan")),
        ("hidden", ()),
        ("seed", -1),
        ("seed", 2**53),
    ],
)
def test_a_value_out_of_range_is_refused(name: str, value: object) -> None:
    with pytest.raises(InputError, match=name):
        TrainConfig(**({"tasks": "glyphs"} | {name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("norm", "model", "inductive"),
    [
        ("group", "conv4", True),
        ("support", "conv4", True),
        ("transductive", "conv4", False),
        ("transductive", "mlp", True),
    ],
)
def test_which_runs_are_inductive(norm: str, model: str, inductive: bool) -> None:
    config = TrainConfig(tasks="glyphs", norm=norm, model=model)  # type: ignore[arg-type]
    assert config.inductive is inductive
