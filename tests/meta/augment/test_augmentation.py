"""What holds for every augmentation, whatever it changes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemeta.errors import InputError
from edgemeta.meta.augment import FUNCTIONS, Augmentation, auto_names, make_augmentation
from edgemeta.meta.augment.draws import Scale
from edgemeta.meta.augment.table import MATRICES, NAMES
from edgemeta.meta.inner.objective import Tasks
from edgemeta.tasks import TaskSource, from_arrays, open_tasks
from edgemeta.tasks.kinds import KINDS, DataKind

SHAPES: dict[DataKind, tuple[tuple[int, ...], ...]] = {
    "images": ((12, 12), (12, 10, 3), (3, 12, 10)),
    "spectra": ((20, 6),),
    "series": ((20, 6),),
    "waves": ((500,), (1, 500), (500, 1)),
    "vectors": ((7,), (2, 3, 4)),
}
DTYPES = (torch.uint8, torch.int16, torch.int32, torch.float16, torch.float32, torch.float64)


def every(
    kind: DataKind, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> Augmentation:
    """All functions of a kind at once, for samples over the range of their dtype."""
    std = 0.3 if dtype.is_floating_point else 0.3 * torch.iinfo(dtype).max
    scale = Scale(torch.zeros(shape[-1]), torch.full((shape[-1],), std))
    return Augmentation(NAMES, kind, scale)


def samples(shape: tuple[int, ...], dtype: torch.dtype, count: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(count, *shape, generator=generator)
    return (x if dtype.is_floating_point else x * torch.iinfo(dtype).max).to(dtype)


def source_of(shape: tuple[int, ...], dtype: str = "float32", **changes: Any) -> TaskSource:
    x = np.random.default_rng(0).uniform(0, 200, (90, *shape)).astype(dtype)
    return from_arrays(x, np.arange(90) % 15, **changes)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    dtype=st.sampled_from(DTYPES),
    which=st.integers(0, 2),
    seed=st.lists(st.integers(0, 2**40), min_size=1, max_size=3),
)
def test_shape_and_dtype_stay_and_a_seed_decides(
    kind: DataKind, dtype: torch.dtype, which: int, seed: list[int]
) -> None:
    shape = SHAPES[kind][which % len(SHAPES[kind])]
    augmentation, x = every(kind, shape, dtype), samples(shape, dtype)
    before = x.clone()
    state = torch.get_rng_state()
    changed = augmentation(x, seed)
    assert (changed.shape, changed.dtype) == (x.shape, x.dtype)
    assert changed.double().isfinite().all()
    assert torch.equal(changed, augmentation(x, seed))
    assert not torch.equal(changed, augmentation(x, [*seed, 1]))
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_changed_each_by_numbers_of_its_own(kind: DataKind) -> None:
    shape = SHAPES[kind][0]
    x = samples(shape, torch.float32, 1).expand(5, *shape)
    changed = every(kind, shape)(x, [0])
    assert len({tuple(row) for row in changed.flatten(1).tolist()}) == 5


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_integers_keep_to_their_range(dtype: torch.dtype) -> None:
    limits = torch.iinfo(dtype)
    x = torch.tensor([limits.min, limits.max], dtype=dtype).repeat(4, 250)
    changed = Augmentation(["gain"], "waves", Scale(torch.zeros(1), torch.ones(1)))(x, [0])
    louder = changed.double().abs().amax(1) >= limits.max * 0.999
    assert louder.any()  # clipped, not wrapped around:
    assert ((changed.double().sign() - x.double().sign()).abs() <= 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_function_has_an_effect(kind: DataKind) -> None:
    shape = SHAPES[kind][0]
    x = samples(shape, torch.float32)
    scale = Scale(torch.zeros(shape[-1]), torch.ones(shape[-1]))
    for name in (*(MATRICES if kind == "images" else ()), *FUNCTIONS[kind]):
        assert not torch.equal(Augmentation([name], kind, scale)(x, [0]), x), name


def test_layouts_of_an_image_are_the_same_image() -> None:
    last = samples((12, 10, 3), torch.float32)
    scale = Scale(torch.zeros(1), torch.ones(1))
    augmentation = Augmentation(NAMES, "images", scale)
    first = augmentation(last.permute(0, 3, 1, 2), [0])
    torch.testing.assert_close(augmentation(last, [0]), first.permute(0, 2, 3, 1))


def test_tasks_have_support_and_query_changed() -> None:
    x = samples((20, 6), torch.float32, 30).view(3, 10, 20, 6)
    tasks = Tasks(x[:, :4], torch.zeros(3, 4), x[:, 4:], torch.zeros(3, 6))
    augmentation = every("series", (20, 6))
    changed = augmentation.of_tasks(tasks, [5])
    whole = augmentation(x.flatten(0, 1), [5]).view(x.shape)
    assert torch.equal(changed.support_x, whole[:, :4])
    assert torch.equal(changed.query_x, whole[:, 4:])
    assert changed.query_y is tasks.query_y


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (source_of((12, 12), "uint8"), ("move", "turn", "cutout")),
        (source_of((12, 12, 3), "uint8"), ("crop", "turn", "mirror", "light", "cutout")),
        (
            source_of((20, 6)),
            ("rotation", "stretch", "shift", "scale", "offset", "noise", "masks"),
        ),
        (source_of((20, 8)), ("stretch", "shift", "scale", "offset", "noise", "masks")),
        (source_of((400,), "int16"), ("speed", "shift", "gain", "noise")),
        (source_of((7,)), ("noise",)),
        (open_tasks("sinusoid"), ()),
    ],
    ids=["gray", "colour", "threes", "series", "waves", "vectors", "regression"],
)
def test_auto_takes_what_suits_the_kind(source: TaskSource, names: tuple[str, ...]) -> None:
    assert auto_names(source) == names
    made = make_augmentation(["auto"], source)
    assert (made.names if made else ()) == names


def test_none_changes_nothing() -> None:
    assert make_augmentation(["none"], source_of((7,))) is None


def test_the_scale_is_that_of_the_training_part() -> None:
    source = source_of((20, 8), "int16")
    made = make_augmentation(["noise"], source)
    assert made is not None
    # Uniform over 0..200, 54 samples of 20 steps: within 3 standard errors.
    torch.testing.assert_close(made._scale.mean, torch.full((8,), 100.0), atol=5.3, rtol=0)
    torch.testing.assert_close(made._scale.std, torch.full((8,), 57.7), atol=2.4, rtol=0)
    assert made._scale.whole


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["crop"], r"augment does not suit arrays: got crop for series of shape \(20, 8\)"),
        (["noise", "rotation"], "got rotation for series"),
        (["nose"], "unknown augment: got nose, .*did you mean 'noise'"),
        (["auto", "noise"], "no list of names: got auto,noise"),
        ([], "no list of names: got nothing"),
    ],
)
def test_what_does_not_fit_is_one_line(names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make_augmentation(names, source_of((20, 8)))
    assert "\n" not in str(caught.value)
