from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from edgemeta.errors import InputError
from edgemeta.tasks import EpisodeSize, from_arrays, open_tasks
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.fixed_labels import (
    label_names,
    may_be_fixed,
    with_fixed_labels,
    with_labels_called,
)
from edgemeta.tasks.source import SPLITS

CLASSES, PEOPLE, EACH = 5, 10, 12
SIZE = EpisodeSize(ways=CLASSES, shots=2, queries=3)
NAMES_IN_ORDER = ["fall", "lie", "run", "sit", "walk"]
NAMES = ("walk", "sit", "run", "lie", "fall")


def source(leave_out: Any = None, by: Any = "subject", **options: Any) -> DatasetSource:
    """People who show each class; a sample is (its row, its class, its person)."""
    rows = np.arange(CLASSES * PEOPLE * EACH)
    y, people = rows % CLASSES, rows // (CLASSES * EACH)
    keep = np.ones(len(rows), bool) if leave_out is None else ~leave_out(y, people)
    x = np.stack([rows, y, people], 1).astype(np.float32)
    names = np.array(NAMES)[y]
    return from_arrays(x[keep], names[keep], subject=people[keep], by=by, **options)


def test_a_label_means_the_same_in_every_episode() -> None:
    made = with_fixed_labels(source())
    assert label_names(made) == tuple(NAMES_IN_ORDER)
    meaning: set[tuple[int, int]] = set()
    for split in SPLITS:
        for index in range(20):
            episode = made.episode(split, SIZE, 0, index)
            for x, y in (
                (episode.support_x, episode.support_y),
                (episode.query_x, episode.query_y),
            ):
                meaning |= set(zip(y.tolist(), x[:, 1].astype(int).tolist(), strict=True))
            assert len(set(episode.support_x[:, 2]) | set(episode.query_x[:, 2])) == 1
            assert episode.support_y.tolist() == np.arange(CLASSES).repeat(2).tolist()
            assert not {*episode.support_x[:, 0]} & {*episode.query_x[:, 0]}
    assert len(meaning) == CLASSES
    assert [NAMES[k] for _, k in sorted(meaning)] == NAMES_IN_ORDER
    assert made.episode_classes("test", SIZE, 0, 3).tolist() == list(made.fixed)


@pytest.mark.parametrize("fixed", [False, True])
def test_the_unit_of_an_episode_is_its_person(fixed: bool) -> None:
    made = with_fixed_labels(source()) if fixed else source()
    persons: dict[int, set[int]] = {}
    for index in range(20):
        units = made.episode_units("val", SIZE, 0, index)
        assert len(units) == SIZE.ways
        shown = made.episode("val", SIZE, 0, index).support_x[:, 2]
        persons.setdefault(int(units[0]), set()).update(shown.astype(int).tolist())
        assert len(set(units.tolist())) == 1
    assert len(persons) == 2
    assert all(len(people) == 1 for people in persons.values())


def test_the_units_of_an_episode_are_its_classes_where_these_are_new() -> None:
    made, size = source(by="both"), EpisodeSize(ways=1, shots=2, queries=3)
    for index in range(5):
        classes = made.episode_classes("val", size, 0, index)
        assert made.episode_units("val", size, 0, index).tolist() == classes.tolist()


def test_labels_that_are_shuffled_are_drawn_as_ever() -> None:
    """The episodes of before labels could be fixed: these sums were computed then."""
    plain = source()
    assert not plain.fixed
    assert label_names(plain) == ()
    found = [plain.episode("train", SIZE, 7, k) for k in range(3)]
    assert [e.support_x[:, 0].sum() for e in found] == [5695, 5035, 5705]
    assert found[0].query_x[:, 0].sum() == 8590
    assert (
        found[0].support_x[:, 1].tolist()
        != with_fixed_labels(plain).episode("train", SIZE, 7, 0).support_x[:, 1].tolist()
    )


def test_support_sets_of_training_lack_classes_and_keep_their_size() -> None:
    made = with_fixed_labels(source()).with_lacking_support()
    shown = set()
    for index in range(200):
        episode = made.episode("train", SIZE, 0, index)
        assert episode.support_x.shape == (CLASSES * 2, 3)
        assert np.bincount(episode.query_y).tolist() == [3] * CLASSES
        counts = np.bincount(episode.support_y, minlength=CLASSES)
        assert counts[counts > 0].max() - counts[counts > 0].min() <= 1
        shown.add((int((counts > 0).sum()), tuple(np.flatnonzero(counts).tolist())))
        assert len({*episode.support_x[:, 0]}) == CLASSES * 2
        assert not {*episode.support_x[:, 0]} & {*episode.query_x[:, 0]}
    assert {count for count, _ in shown} == {3, 4}  # at least half, not all
    assert len(shown) == 10 + 5  # every choice comes up


def test_few_classes_repeat_the_samples_of_a_person_who_has_no_more() -> None:
    size = EpisodeSize(CLASSES, shots=8, queries=4)  # all of a person's samples
    made = with_fixed_labels(source()).with_lacking_support()
    for index in range(10):
        episode = made.episode("train", size, 0, index)
        assert episode.support_x.shape == (CLASSES * 8, 3)
        assert not {*episode.support_x[:, 0]} & {*episode.query_x[:, 0]}


def test_of_two_classes_none_is_left_out() -> None:
    two = with_fixed_labels(source(lambda y, _: y > 1)).with_lacking_support()
    episode = two.episode("train", EpisodeSize(2, 1, 1), 0, 0)
    assert episode.support_y.tolist() == [0, 1]


def test_only_fixed_labels_can_be_missing() -> None:
    with pytest.raises(InputError, match="only fixed labels"):
        source().with_lacking_support()


def test_people_who_lack_a_class_are_not_drawn_in_a_test() -> None:
    plain = source()
    tested = sorted(plain.units("test"))
    assert len(tested) == 2
    one_lacks = with_fixed_labels(source(lambda y, p: (p == tested[0]) & (y == 1)))
    seen = {float(one_lacks.episode("test", SIZE, 0, k).query_x[0, 2]) for k in range(20)}
    assert seen == {float(tested[1])}
    both_lack = with_fixed_labels(source(lambda y, p: np.isin(p, tested) & (y == 1)))
    with pytest.raises(InputError, match="nobody in the test part shows all") as caught:
        both_lack.episode("test", SIZE, 0, 0)
    assert "got 0 of 2 show all" in str(caught.value)
    few = EpisodeSize(CLASSES, shots=9, queries=4)
    with pytest.raises(InputError, match="2 of 2 show all, the best 12 times each"):
        with_fixed_labels(plain).episode("test", few, 0, 0)


def test_ways_are_all_classes() -> None:
    with pytest.raises(InputError, match="got ways = 3, expected 5"):
        with_fixed_labels(source()).episode("train", EpisodeSize(3), 0, 0)


def test_samples_for_pre_training_have_the_same_labels() -> None:
    made = with_labels_called(source(), NAMES)
    x, y = made.labelled("train", 100, np.random.default_rng(0))
    assert np.array_equal(y, x[:, 1])


def test_another_data_set_is_labelled_by_the_names() -> None:
    made = with_labels_called(source(test_only=True), ("run", "walk"))
    episode = made.episode("test", EpisodeSize(2, 1, 2), 0, 0)
    assert episode.support_x[:, 1].tolist() == [NAMES.index("run"), NAMES.index("walk")]
    with pytest.raises(InputError, match=r"got runn, .*did you mean 'run'"):
        with_labels_called(source(), ("runn", "walk"))


TRAINED = sorted(source().units("train"))


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (source(by="class"), 'because new classes are to be learned: got by="class"'),
        (source(by="both"), 'got by="both", expected by="subject"'),
        (source(lambda y, p: (y > 0) & np.isin(p, TRAINED)), "got 1 classes, expected at least 2"),
        (
            source(lambda y, p: (p % 2 == 0) & (y == 1)),
            r"people of the training show different classes: got \d of 6 lack some of 5 classes",
        ),
        (open_tasks("sinusoid"), "got regression"),
    ],
)
def test_labels_stay_shuffled_where_they_have_no_meaning(made: Any, message: str) -> None:
    assert not may_be_fixed(made)
    with pytest.raises(InputError, match=message) as caught:
        with_fixed_labels(made)
    assert "\n" not in str(caught.value)


def test_a_name_that_no_bundle_can_hold_is_refused() -> None:
    rows = np.arange(80)
    y = np.where(rows % 2, "walk", "si" + chr(27))
    made = from_arrays(rows[:, None], y, subject=rows // 8, by="subject")
    with pytest.raises(InputError, match=re.escape(r"got 'si\x1b'")):
        with_fixed_labels(made)


def test_all_parts_of_a_source_know_its_labels() -> None:
    """Such as one that shows features in place of samples."""
    made = with_fixed_labels(source())
    assert isinstance(made, DatasetSource)
    features = made.on(made.dataset.samples)
    assert features.fixed == made.fixed
    assert np.array_equal(
        features.episode("test", SIZE, 0, 0).query_x, made.episode("test", SIZE, 0, 0).query_x
    )
