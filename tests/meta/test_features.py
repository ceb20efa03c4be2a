"""Features are computed once per sample, kept in a file, and episodes show the same samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgemeta.data.dataset import ArraySamples, Samples
from edgemeta.errors import EdgemetaError
from edgemeta.meta.models import features
from edgemeta.meta.models.features import FeatureCache, digest, fingerprint
from edgemeta.meta.models.weights import weights_digest
from edgemeta.meta.runs.devices import CPU
from edgemeta.tasks import EpisodeSize, TaskSource, open_tasks

SIZE = EpisodeSize(2, 1, 2)


class Front(nn.Module):
    """Counts the samples that it sees; stops after `limit` of them."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, width)
        self.seen = Seen()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.count += len(x)
        if self.seen.count > self.seen.limit:
            raise KeyboardInterrupt
        y: Tensor = self.linear(x).relu()
        return y


class Seen:
    count, limit = 0, 10**9


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEMETA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features, "BATCH", 16)
    return tmp_path / "cache"


@pytest.fixture
def source(write_npz: Callable[..., Path]) -> TaskSource:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 4)).astype(np.float32)
    return open_tasks(str(write_npz(x=x, y=np.arange(100) % 20)))


def found(source: TaskSource | None) -> TaskSource:
    assert source is not None
    return source


def test_episodes_show_the_features_of_the_same_samples(source: TaskSource) -> None:
    front = Front()
    made = found(FeatureCache(source).behind(front, CPU))
    assert made.input_shape == (3,)
    for split in ("train", "val", "test"):
        raw, cooked = (s.episode(split, SIZE, 7, 3) for s in (source, made))
        with torch.no_grad():
            expected = front(torch.from_numpy(raw.query_x)).numpy()
        np.testing.assert_allclose(cooked.query_x, expected, rtol=1e-5)  # another batch size
        np.testing.assert_array_equal(cooked.query_y, raw.query_y)


def test_each_sample_is_seen_once(source: TaskSource, folder: Path) -> None:
    front = Front()
    FeatureCache(source).behind(front, CPU)
    first = front.seen.count
    assert 100 <= first <= 110
    assert len(list(folder.glob("*.npy"))) == 1
    FeatureCache(source).behind(Front(), CPU)
    assert front.seen.count == first
    again = Front()
    FeatureCache(source).behind(again, CPU)
    assert again.seen.count < 10  # the shape, and whether the file is true


def test_the_data_is_looked_through_once(
    source: TaskSource, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def spy(samples: Samples) -> str | None:
        looked.append(len(samples))
        return fingerprint(samples)

    monkeypatch.setattr(features, "fingerprint", spy)
    cache, front = FeatureCache(source), Front()
    made = cache.behind(front, CPU)
    seen = front.seen.count
    assert cache.behind(front, CPU) is made
    assert front.seen.count == seen
    front.linear.weight.data[0, 0] += 1
    assert cache.behind(front, CPU) is not made
    assert looked == [100]
    assert len(list(folder.glob("*.npy"))) == 2


def test_a_few_looks_are_not_worth_features_of_all(source: TaskSource, folder: Path) -> None:
    cache, front = FeatureCache(source), Front()
    assert cache.behind(front, CPU, looks=99) is None
    assert front.seen.count < 10
    assert not list(folder.glob("*.npy"))
    assert cache.behind(front, CPU, looks=100) is not None
    assert FeatureCache(source).behind(front, CPU, looks=1) is not None  # they are there


def test_an_interruption_costs_a_batch(source: TaskSource, folder: Path) -> None:
    front = Front()
    front.seen.limit = 60
    with pytest.raises(KeyboardInterrupt):
        FeatureCache(source).behind(front, CPU)
    assert not list(folder.glob("*.npy"))
    second = Front()
    made = found(FeatureCache(source).behind(second, CPU))
    assert second.seen.count < 70
    assert not list(folder.glob("*.part"))
    raw, cooked = (s.episode("test", SIZE, 0, 0) for s in (source, made))
    np.testing.assert_allclose(
        cooked.support_x, second(torch.from_numpy(raw.support_x)).detach().numpy(), rtol=1e-5
    )


def test_other_weights_or_samples_have_another_file(
    source: TaskSource, folder: Path, write_npz: Callable[..., Path]
) -> None:
    FeatureCache(source).behind(Front(), CPU)
    changed = Front()
    changed.linear.weight.data[0, 0] += 1
    FeatureCache(source).behind(changed, CPU)
    x = np.zeros((100, 4), np.float32)
    zeros = open_tasks(str(write_npz(x=x, y=np.arange(100) % 20)))
    FeatureCache(zeros).behind(Front(), CPU)
    assert len(list(folder.glob("*.npy"))) == 3


def test_a_damaged_or_untrue_file_is_made_anew(source: TaskSource, folder: Path) -> None:
    expected = found(FeatureCache(source).behind(Front(), CPU)).episode("test", SIZE, 0, 0)
    (path,) = folder.glob("*.npy")
    path.write_bytes(b"nothing")
    made = found(FeatureCache(source).behind(Front(), CPU))
    np.testing.assert_array_equal(made.episode("test", SIZE, 0, 0).query_x, expected.query_x)
    np.save(path, np.zeros((100, 3), np.float32))
    made = found(FeatureCache(source).behind(Front(), CPU))
    np.testing.assert_array_equal(made.episode("test", SIZE, 0, 0).query_x, expected.query_x)


def test_sources_without_fixed_samples_have_no_features() -> None:
    assert FeatureCache(open_tasks("glyphs")).behind(nn.Flatten(), CPU) is None
    assert FeatureCache(open_tasks("sinusoid")).behind(nn.Flatten(), CPU) is None


def test_samples_that_change_at_random_have_no_fingerprint() -> None:
    class Augmented(Samples):
        shape, dtype = (4,), np.dtype(np.float32)

        def __len__(self) -> int:
            return 10

        def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
            return np.random.default_rng().normal(size=(len(rows), 4)).astype(np.float32)

    assert fingerprint(Augmented()) is None
    x = np.arange(40.0).reshape(10, 4)
    assert fingerprint(ArraySamples("x", x)) == fingerprint(ArraySamples("x", x.copy()))
    assert fingerprint(ArraySamples("x", x)) != fingerprint(ArraySamples("x", x + 1))


def test_a_digest_sees_what_decides_the_output() -> None:
    assert digest(nn.Conv2d(1, 1, 3, stride=2)) != digest(nn.Conv2d(1, 1, 3, stride=1))
    torch.manual_seed(0)
    one = nn.LayerNorm(4, eps=1e-5)
    assert digest(one) == digest(nn.LayerNorm(4, eps=1e-5))
    assert digest(one) != digest(nn.LayerNorm(4, eps=1e-3))


def test_a_digest_sees_buffers_that_no_checkpoint_has() -> None:
    def scaled(by: float) -> nn.Module:
        module = nn.Linear(2, 2)
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
        module.register_buffer("scale", torch.tensor(by), persistent=False)
        return module

    assert digest(scaled(1)) == digest(scaled(1)) != digest(scaled(2))
    assert weights_digest(scaled(1)) == weights_digest(scaled(2))  # as runs have recorded it


def test_a_folder_that_cannot_be_written_is_named(
    source: TaskSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEMETA_CACHE", str(tmp_path / "file"))
    with pytest.raises(EdgemetaError, match=r"cannot keep features in .*; set EDGEMETA_CACHE"):
        FeatureCache(source).behind(Front(), CPU)
