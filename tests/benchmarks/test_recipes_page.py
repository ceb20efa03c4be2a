"""The page about the recipe: means over divisions, and the interval between these."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.pages.recipes import between, section


def division(number: int, accuracy: float, baseline: float | None) -> dict[str, Any]:
    contestants = [{"init": "pretrained", "method": "prototype", "mean": baseline}]
    choices = {"neck": "cosine", "inner_steps": 1, "inner_lr": 1.0}
    return {
        "division": number,
        "minutes": 12.3,
        "bundle_bytes": 250_000,
        "ways": 5,
        "bundle": {"1": {"mean": accuracy}, "5": {"mean": accuracy + 0.1}},
        "baselines": {"1": contestants, "5": contestants},
        "recipe": {
            "what": "meta-training from there",
            "chosen": {"adapts": "head", "choices": choices, "accuracy": {"1": {"mean": 0.9}}},
        },
    }


def paragraphs(tmp_path: Path, *divisions: dict[str, Any]) -> list[str]:
    setting = {"data": "kws.npz", "by": "both", "minutes": 30.0, "options": []}
    path = tmp_path / "words.json"
    path.write_text(json.dumps({"setting": setting, "divisions": divisions}))
    return section(path)


def test_the_interval_is_that_between_divisions() -> None:
    # mean 0.70, standard error 0.01 / sqrt(3), times Student's 4.30
    assert between([0.69, 0.70, 0.71]) == "70.0% ± 2.5%"
    assert between([0.7]) == "70.0%"


def test_a_section_has_the_command_and_what_it_is_held_against(tmp_path: Path) -> None:
    found = paragraphs(tmp_path, division(0, 0.7, 0.6), division(1, 0.72, 0.6))
    assert found[0] == "### words: new classes and people, 5-way, 2 divisions"
    assert found[1] == "`edgemeta train kws.npz --by both --out RUN`"
    assert "pretrained" in found[2]
    assert "+16.0%" in found[2]  # 0.71 and 0.81 over 0.6
    assert "12" in found[3]


@pytest.mark.parametrize("lost", [0, 1])
def test_what_diverges_in_one_division_has_no_mean(tmp_path: Path, lost: int) -> None:
    each = [division(k, 0.7, None if k == lost else 0.6) for k in range(2)]
    assert "prototype" not in paragraphs(tmp_path, *each)[2]
