from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta.data.dataset import ArraySamples
from edgemeta.errors import InputError
from edgemeta.tasks import EpisodeSize, TaskSource, from_arrays, open_tasks
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.dataset_source import DatasetSource
from edgemeta.tasks.fixed_labels import with_fixed_labels
from edgemeta.tasks.more_classes import MANY, with_more_classes

SIZE = EpisodeSize(ways=3, shots=1, queries=1)


def source_of(
    shape: tuple[int, ...], dtype: str, classes: int = 15, by: str = "class"
) -> ClassSource:
    """Samples whose first number is their class."""
    y = np.arange(6 * classes) % classes
    x = np.random.default_rng(0).integers(classes, classes + 99, (len(y), *shape)).astype(dtype)
    x.reshape(len(y), -1)[:, 0] = y
    return from_arrays(x, y, subject=np.arange(len(y)) // classes, by=by)  # type: ignore[arg-type]


def fixed() -> ClassSource:
    """A source of the same classes by each of its people."""
    y, people = np.arange(300) % 3, np.arange(300) // 30
    x = np.random.default_rng(0).normal(size=(300, 20, 4))
    return with_fixed_labels(from_arrays(x, y, subject=people, by="subject"))


def more(source: TaskSource, *names: str) -> DatasetSource:
    made = with_more_classes(source, names)
    assert isinstance(made, DatasetSource)
    return made


def training(source: ClassSource, count: int = 400) -> tuple[NDArray[np.int8], list[int]]:
    """Samples of the training part, and their class ids."""
    x, y = source.labelled("train", count, np.random.default_rng(1))
    ids = sorted(source.classes("train"))
    return x, [ids[k] for k in y]


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3), (3, 8, 8)])
def test_turns_are_classes_of_their_own(shape: tuple[int, ...]) -> None:
    source = source_of(shape, "uint8")
    made = more(source, "turns")
    assert len(made.classes("train")) == 4 * len(source.classes("train"))
    axes = (0, 1) if shape[0] == 8 else (1, 2)
    for x, class_id in zip(*training(made), strict=True):
        turns, original = divmod(class_id, 15)
        assert np.rot90(x, -turns, axes).ravel()[0] == original


@pytest.mark.parametrize(
    ("shape", "dtype"), [((20, 4), "float32"), ((500,), "int16"), ((1, 500), "int16")]
)
def test_backwards_is_a_class_of_its_own(shape: tuple[int, ...], dtype: str) -> None:
    made = more(source_of(shape, dtype), "reverse")
    axis = int(np.argmax(shape))
    for x, class_id in zip(*training(made), strict=True):
        backwards, original = divmod(class_id, 15)
        assert (np.flip(x, axis) if backwards else x).ravel()[0] == original
    assert made.class_name(15 + 3) == "3, backwards"
    assert made.class_name(3) == "3"


def test_tasks_show_them_and_the_other_parts_stay() -> None:
    source = source_of((8, 8), "uint8")
    made = more(source, "turns")
    shown = {c for k in range(40) for c in made.episode_classes("train", SIZE, 0, k).tolist()}
    assert max(shown) >= 45
    assert shown <= made.classes("train")
    for part in ("val", "test"):
        assert made.classes(part) == source.classes(part)
        assert made.units(part) == source.units(part)
        for mine, theirs in zip(
            made.episode(part, SIZE, 0, 3), source.episode(part, SIZE, 0, 3), strict=True
        ):
            assert np.array_equal(mine, theirs)


def test_a_persons_tasks_stay_one_persons() -> None:
    source = source_of((20, 4), "float32", by="subject")
    made = more(source, "reverse")
    assert len(made.pools("train")) == len(source.pools("train")) > 1
    data = made.dataset
    assert data.subject is not None
    people = [
        [np.unique(data.subject[np.concatenate(pool.samples)]).tolist() for pool in each]
        for each in (made.pools("train"), source.pools("train"))
    ]
    assert people[0] == people[1]


def test_features_of_changed_samples_keep_their_places() -> None:
    """What a frozen body makes of all samples, once, serves the same episodes."""
    made = more(source_of((20, 4), "float32"), "reverse")
    samples = made.dataset.samples
    everything = samples.read(np.arange(len(samples)))
    features = made.on(ArraySamples("features", everything.reshape(len(everything), -1)))
    for part in ("train", "test"):
        raw, kept = (each.episode(part, SIZE, 0, 5) for each in (made, features))
        assert np.array_equal(raw.query_x.reshape(len(raw.query_x), -1), kept.query_x)
        assert np.array_equal(raw.query_y, kept.query_y)
    assert len(samples) == 90 + 54  # the training part alone is changed
    assert set(made.rows["train"]) == set(np.concatenate(made.pools("train")[0].samples))


def test_what_was_looked_up_before_is_of_the_source_alone() -> None:
    source = source_of((20, 4), "float32")
    training(source)
    assert max(training(more(source, "reverse"))[1]) >= 15
    assert max(training(source)[1]) < 15


def test_auto_takes_what_suits() -> None:
    assert len(more(source_of((8, 8), "uint8"), "auto").classes("train")) == 36
    assert len(more(source_of((20, 4), "float32"), "auto").classes("train")) == 18
    for source in (
        source_of((8, 9), "uint8"),  # a turned picture would have another shape
        source_of((7,), "float32"),
        source_of((20, 4), "float32", by="subject"),  # the classes of a test task are not new
        source_of((8, 8), "uint8", classes=2 * MANY),
        fixed(),
        open_tasks("glyphs"),
        open_tasks("sinusoid"),
    ):
        assert with_more_classes(source, ["auto"]) is source
    assert with_more_classes(source_of((8, 8), "uint8"), ["none"]).name == "arrays"


@pytest.mark.parametrize(
    ("source", "name", "message"),
    [
        (source_of((8, 9), "uint8"), "turns", r"no turns of arrays: got images of shape \(8, 9\)"),
        (source_of((20, 4), "float32"), "turns", "got series, expected reverse or none"),
        (source_of((8, 8), "uint8"), "reverse", "got images without a time"),
        (open_tasks("sinusoid"), "reverse", "got regression"),
        (open_tasks("glyphs"), "turns", "got a source that makes its classes, expected none"),
        (fixed(), "reverse", "got labels that keep their meaning, expected none"),
        (source_of((7,), "float32"), "turn", "unknown more_classes: .*did you mean 'turns'"),
    ],
)
def test_what_does_not_fit_is_one_line(source: TaskSource, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        with_more_classes(source, [name])
    assert "\n" not in str(caught.value)
