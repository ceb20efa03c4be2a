"""What holds for every task source, whatever it draws from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemeta.data.omniglot_files import Drawings
from edgemeta.errors import InputError
from edgemeta.tasks import Episode, EpisodeSize, Split, TaskSource, open_tasks
from edgemeta.tasks._omniglot import OmniglotSource, Protocol, read_manifest
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.source import SPLITS

SOURCES = ["sinusoid", "glyphs", "omniglot", "omniglot-vinyals", "by class", "by subject"]
CLASS_SOURCES = SOURCES[1:]

sizes = st.builds(
    EpisodeSize,
    ways=st.integers(1, 3),
    shots=st.integers(1, 3),
    queries=st.integers(1, 3),
)


def _blank_omniglot(protocol: Protocol) -> OmniglotSource:
    """All 1623 characters, six drawings each, each drawing one pixel of its own grey."""
    manifest = read_manifest(protocol)
    names = tuple(name for part in SPLITS for name in manifest[part])
    y = np.repeat(np.arange(len(names)), 6)
    x = np.zeros((len(y), 28, 28), np.uint8)
    x[:, 0, 0] = np.tile(np.arange(1, 7), len(names))
    return OmniglotSource(Drawings(x, y, names), manifest, protocol)


@pytest.fixture(scope="session")
def sources(write_npz: Callable[..., Path]) -> dict[str, TaskSource]:
    rng = np.random.default_rng(0)
    path = write_npz(
        x=np.arange(2400, dtype=np.float32).reshape(1200, 2),
        y=rng.permutation(np.arange(1200) % 20),
        subject=np.arange(1200) // 100,
    )
    return {
        "sinusoid": open_tasks("sinusoid"),
        "glyphs": open_tasks("glyphs"),
        "omniglot": _blank_omniglot("omniglot"),
        "omniglot-vinyals": _blank_omniglot("omniglot-vinyals"),
        "by class": open_tasks(str(path)),
        "by subject": open_tasks(str(path), by="subject"),
    }


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, sources: dict[str, TaskSource]) -> TaskSource:
    return sources[request.param]


@pytest.fixture(params=CLASS_SOURCES)
def class_source(request: pytest.FixtureRequest, sources: dict[str, TaskSource]) -> ClassSource:
    found = sources[request.param]
    assert isinstance(found, ClassSource)
    return found


def _same(a: Episode, b: Episode) -> bool:
    return all(np.array_equal(m, n) for m, n in zip(a, b, strict=True))


@pytest.mark.parametrize("name", SOURCES)
@given(size=sizes, split=st.sampled_from(SPLITS), seed=st.integers(0, 2**32), index=st.integers(0))
@settings(max_examples=15, deadline=None)
def test_shapes_dtypes_and_labels(
    sources: dict[str, TaskSource],
    name: str,
    size: EpisodeSize,
    split: Split,
    seed: int,
    index: int,
) -> None:
    source = sources[name]
    episode = source.episode(split, size, seed, index)
    each = size.ways if source.kind == "classification" else 1
    for x, y, count in [
        (episode.support_x, episode.support_y, size.shots),
        (episode.query_x, episode.query_y, size.queries),
    ]:
        assert x.shape == (each * count, *source.input_shape)
        assert x.dtype == source.input_dtype
        assert y.shape == (each * count, *source.target_shape)
        if source.kind == "classification":
            assert y.dtype == np.int64
            assert y.tolist() == [label for label in range(each) for _ in range(count)]
        else:
            assert y.dtype == np.float32


def test_an_episode_is_a_pure_function(source: TaskSource) -> None:
    size = EpisodeSize(3, 1, 2)
    in_order = list(islice(source.episodes("train", size, seed=5), 4))
    for index in (3, 0, 2):
        assert _same(source.episode("train", size, 5, index), in_order[index])
    resumed = next(source.episodes("train", size, seed=5, start=3))
    assert _same(resumed, in_order[3])


def test_other_seeds_indices_and_parts_give_other_episodes(source: TaskSource) -> None:
    size = EpisodeSize(3, 2, 3)
    episodes = [
        source.episode("train", size, 0, 0),
        source.episode("train", size, 1, 0),
        source.episode("train", size, 0, 1),
        source.episode("test", size, 0, 0),
    ]
    for a, b in combinations(episodes, 2):
        assert not _same(a, b)


def test_parts_share_no_unit(class_source: ClassSource) -> None:
    units = [class_source.units(split) for split in SPLITS]
    assert all(units)
    for a, b in combinations(units, 2):
        assert not a & b
    if class_source.unit == "class":
        assert units == [class_source.classes(split) for split in SPLITS]


def test_labelled_samples_are_of_the_class_they_say(class_source: ClassSource) -> None:
    ids = sorted(class_source.classes("val"))
    x, y = class_source.labelled("val", 40, np.random.default_rng(0))
    assert x.shape == (40, *class_source.input_shape)
    assert x.dtype == class_source.input_dtype
    assert y.dtype == np.int64
    assert ((y >= 0) & (y < len(ids))).all()
    for sample, label in zip(x[:5], y[:5], strict=True):
        own = np.concatenate(
            [
                class_source._load(ids[label], pool.samples[place], np.random.default_rng(turn))
                for pool in class_source.pools("val")
                for place in np.flatnonzero(pool.classes == ids[label])
                for turn in range(20)
            ]
        )
        assert (own == sample).reshape(len(own), -1).all(axis=1).any()
    same = class_source.labelled("val", 40, np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip((x, y), same, strict=True))


def test_labelled_samples_say_which_they_are(class_source: ClassSource) -> None:
    x, y, ids = class_source.labelled_with_ids("val", 40, np.random.default_rng(0))
    same = class_source.labelled("val", 40, np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip((x, y), same, strict=True))
    classes = sorted(class_source.classes("val"))
    for label, sample in zip(y, ids, strict=True):
        assert any(
            sample in pool.samples[place]
            for pool in class_source.pools("val")
            for place in np.flatnonzero(pool.classes == classes[label])
        )
    if isinstance(class_source, DatasetSource):
        assert np.array_equal(class_source.dataset.samples.read(ids), x)


def test_the_classes_of_an_episode_are_those_of_its_samples(class_source: ClassSource) -> None:
    size = EpisodeSize(ways=3, shots=2, queries=1)
    for index in range(4):
        episode = class_source.episode("test", size, 7, index)
        ids = class_source.episode_classes("test", size, 7, index)
        assert len(set(ids.tolist())) == 3
        for sample, label in zip(episode.support_x, episode.support_y, strict=True):
            own = np.concatenate(
                [
                    class_source._load(ids[label], pool.samples[place], np.random.default_rng(turn))
                    for pool in class_source.pools("test")
                    for place in np.flatnonzero(pool.classes == ids[label])
                    for turn in range(20)
                ]
            )
            assert (own == sample).reshape(len(own), -1).all(axis=1).any()


def test_classes_have_the_names_that_the_data_give_them(sources: dict[str, TaskSource]) -> None:
    named = {n: s for n, s in sources.items() if isinstance(s, ClassSource)}
    assert named["glyphs"].class_name(2300) is None
    assert named["by class"].class_name(3) == "3"
    characters = named["omniglot"], named["omniglot-vinyals"]
    assert characters[0].class_name(5) == characters[0].characters[5]  # type: ignore[attr-defined]
    turned = f"{characters[1].characters[5]}, turned by 90°"  # type: ignore[attr-defined]
    assert characters[1].class_name(21) == turned


def test_labelled_samples_come_from_all_classes_and_all_subjects(
    sources: dict[str, TaskSource],
) -> None:
    for name in ("by class", "by subject"):
        source = sources[name]
        assert isinstance(source, ClassSource)
        x, y = source.labelled("train", 12_000, np.random.default_rng(0))
        counts = np.bincount(y, minlength=len(source.classes("train")))
        mean = 12_000 / len(counts)
        assert (abs(counts - mean) < 5 * np.sqrt(mean)).all()  # five standard deviations
        rows = {row for pool in source.pools("train") for ids in pool.samples for row in ids}
        assert set((x[:, 0] / 2).astype(int)) == rows


def test_each_labelled_omniglot_sample_has_its_own_turn(sources: dict[str, TaskSource]) -> None:
    source = sources["omniglot"]
    assert isinstance(source, ClassSource)
    x, _ = source.labelled("train", 200, np.random.default_rng(0))
    corners = [x[:, i, j] > 0 for i in (0, -1) for j in (0, -1)]
    assert all(corner.sum() > 20 for corner in corners)  # 50 each, by chance


def test_labels_and_shots_are_drawn_anew_each_time(sources: dict[str, TaskSource]) -> None:
    source = sources["by class"]
    assert isinstance(source, ClassSource)
    size = EpisodeSize(ways=len(source.classes("test")), shots=1, queries=1)
    firsts = {float(source.episode("test", size, 0, index).support_x[0, 0]) for index in range(200)}
    # The part has 4 classes of 60 samples: label 0 is no fixed class, shot 0 no fixed sample.
    assert len(firsts) > 100


def test_too_many_ways_says_what_there_is(class_source: ClassSource) -> None:
    size = EpisodeSize(ways=5000, shots=1, queries=1)
    with pytest.raises(InputError, match=r"got \d+ of \d+ classes .*expected ways = 5000"):
        class_source.episode("val", size, 0, 0)


def test_too_many_samples_says_what_there_is(class_source: ClassSource) -> None:
    size = EpisodeSize(ways=2, shots=1000, queries=1)
    with pytest.raises(InputError, match=r"got 0 of \d+ classes with 1001 samples"):
        class_source.episode("val", size, 0, 0)


def test_importing_the_tasks_loads_neither_pillow_nor_torch() -> None:
    code = "import sys, edgemeta.tasks; print(sorted({'PIL', 'torch', 'onnx'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("spec", ["sinusoid", "glyphs"])
def test_names_open_their_source(spec: str) -> None:
    assert open_tasks(spec).name == spec


@pytest.mark.parametrize(
    ("spec", "options", "message"),
    [
        ("omniglt", {}, "expected sinusoid, glyphs, omniglot, .*did you mean 'omniglot'"),
        ("sinusiod", {}, "did you mean 'sinusoid'"),
        ("data/folder", {}, "unknown tasks: got 'data/folder', expected sinusoid.* a folder$"),
        ("omniglot", {}, "pass --root"),
        ("omniglot-vinyals", {}, "pass --root"),
        ("glyphs", {"root": Path("data")}, "glyphs takes no root: got data"),
        ("data.npz", {"root": Path("data")}, "data.npz takes no root: got data"),
        ("glyphs", {"by": "subject"}, "glyphs has no subjects"),
        ("omniglot", {"by": "subject", "root": Path("data")}, "omniglot has no subjects"),
        ("nowhere.npz", {}, "no such data file: got nowhere.npz"),
    ],
)
def test_what_cannot_be_opened(spec: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_tasks(spec, **options)


@pytest.mark.parametrize("spec", ["omniglot", "omniglot-vinyals"])
def test_open_omniglot_by_name(spec: str, data_file: Callable[[str], Path]) -> None:
    source = open_tasks(spec, data_file("omniglot28.npz"))
    assert source.name == spec
    assert isinstance(source, OmniglotSource)
    factor = 4 if spec == "omniglot-vinyals" else 1
    total = sum(len(source.classes(split)) for split in SPLITS)
    assert total == 1623 * factor
