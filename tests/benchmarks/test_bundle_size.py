"""What a bundle has beside its weights is at most 5 % of them and 100 kB."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.bundle_size import SMALL, Size, exported, table
from benchmarks.models import CASES, Case


def check(case: Case, folder: Path) -> None:
    found = exported(case, folder)
    assert found.weights > 10_000
    assert found.beside <= found.limit, found.files


@pytest.mark.parametrize("case", [CASES["mlp"], CASES["ds-cnn"], SMALL], ids=lambda case: case.name)
def test_small_networks(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet-v2", "resnet12", "transformer"])
def test_large_networks(name: str, tmp_path: Path) -> None:
    check(CASES[name], tmp_path)


def test_the_table() -> None:
    files = {"init.bin": 1_007_000, "adapt.onnx": 150_000, "predict.onnx": 10_000}
    size = Size(10**6, files | {"selftest.safetensors": 4_000, "manifest.json": 2_000}, 3.4, 5.6)
    assert (size.weights, size.beside, size.limit) == (10**6, 173_000, 150_000)
    *_, row = table({"net": size}).splitlines()
    assert row == "| net | 1000 | 7 | 150 | 10 | 4 | 2 | 173 | 150 | 3 | 6 |"
