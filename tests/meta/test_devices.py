"""Which device a process takes, and how several of them exchange, with GPUs that are pretended."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from edgemeta.errors import InputError
from edgemeta.meta.outer.ranks import Ranks
from edgemeta.meta.runs.devices import choose_device

GPU = torch.device("cuda", 0)


def pretend(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)


def test_a_machine_without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, 0)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="no CUDA device; use --device cpu"):
        choose_device("cuda")


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_each_process_takes_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch, 2)
    assert choose_device(name) == GPU
    found = []
    for rank in range(3):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        found.append(choose_device(name))
    assert found == [GPU, torch.device("cuda", 1), GPU]
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("device", "gpus", "backend"),
    [(torch.device("cpu"), 2, "gloo"), (GPU, 2, "nccl"), (GPU, 1, "gloo")],
    ids=["cpu", "own gpu", "shared gpu"],
)
def test_how_two_processes_exchange(
    monkeypatch: pytest.MonkeyPatch, device: torch.device, gpus: int, backend: str
) -> None:
    pretend(monkeypatch, gpus)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    asked: list[Any] = []
    distributed = "edgemeta.meta.outer.ranks.distributed"
    monkeypatch.setattr(f"{distributed}.rendezvous", lambda _: iter([(None, 0, 2)]))
    monkeypatch.setattr(f"{distributed}.PrefixStore", lambda *_: None)
    monkeypatch.setattr(f"{distributed}.init_process_group", lambda b, **_: asked.append(b))
    Ranks(device)
    assert asked == [backend]
