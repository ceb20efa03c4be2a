"""What all classification sources share: drawing an episode from classes and their samples."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgemeta.data.options import Unit
from edgemeta.errors import InputError
from edgemeta.tasks.source import (
    SPLITS,
    Episode,
    EpisodeSize,
    Split,
    TaskKind,
    TaskSource,
    episode_rng,
)


@dataclass(frozen=True, eq=False)
class Pool:
    """The classes among which one episode draws, and their samples.

    Attributes:
        classes: (C,) int64 class ids, all different.
        samples: C arrays, each (n,) int64: the ids of that class's samples.
    """

    classes: NDArray[np.int64]
    samples: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, samples: Mapping[int, NDArray[np.int64]]) -> Pool:
        """Make a pool from class id -> sample ids."""
        return cls(np.array(list(samples), dtype=np.int64), tuple(samples.values()))

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(C,) int64: how many samples each class has."""
        return np.array([len(ids) for ids in self.samples], dtype=np.int64)


def group_rows(labels: NDArray[np.int64], rows: NDArray[np.int64]) -> dict[int, NDArray[np.int64]]:
    """Gather `rows` by their label.

    Args:
        labels: (N,) int64 label of every row of the data.
        rows: (n,) int64 rows to gather, ascending.

    Returns:
        Label -> (m,) int64 its rows, ascending; labels ascending, none empty.
    """
    ordered = rows[np.argsort(labels[rows], kind="stable")]
    found, starts = np.unique(labels[ordered], return_index=True)
    groups = np.split(ordered, starts[1:])
    return dict(zip(found.tolist(), groups, strict=True)) if len(found) else {}


class ClassSource(TaskSource):
    """A classification source: episodes of `ways` classes drawn from one pool of its part.

    Attributes:
        unit: what no two parts share: "class" (new classes at test time), "subject" (new people
            at test time, who show the same classes) or "both" (new classes shown by new people).
        fixed: ids of the classes that the labels 0, 1, ... stand for in every episode; () where
            each episode draws its classes. See `edgemeta.tasks.fixed_labels`.
    """

    kind: TaskKind = "classification"
    unit: Unit = "class"
    fixed: tuple[int, ...] = ()
    _complete: Mapping[Split, Sequence[Pool]] = MappingProxyType({})  # those with all of `fixed`
    _lacks = False  # whether support sets lack some of `fixed`
    _of_one_subject = False  # whether each pool is one subject's

    @abstractmethod
    def pools(self, split: Split) -> Sequence[Pool]:
        """Return the pools of a part: one for all its classes, or one for each of its subjects."""

    @abstractmethod
    def _load(
        self, class_id: int, samples: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[Any]:
        """Return the samples (n, *input_shape) of one class; called once per class and episode."""

    def classes(self, split: Split) -> frozenset[int]:
        """Return the ids of the classes that episodes of this part can show."""
        return frozenset(c for pool in self.pools(split) for c in pool.classes.tolist())

    def units(self, split: Split) -> frozenset[int]:
        """Return the ids of this part's units, of which no other part has any; see `unit`."""
        return self.classes(split)

    def sample(self, split: Split, size: EpisodeSize, rng: np.random.Generator) -> Episode:
        """Draw one episode.

        A pool that can fill the episode is drawn first, then its classes, then each class's
        samples, all uniformly and without repetition. Classes with fewer than shots + queries
        samples are left out. Label k stands for the k-th class drawn; support and query are
        ordered class by class. With `fixed` labels, label k stands for class `fixed[k]`, and pools
        that lack a class are left out.

        Returns:
            support_x (ways*shots, *input_shape), support_y (ways*shots,) int64,
            query_x (ways*queries, *input_shape), query_y (ways*queries,) int64.

        Raises:
            InputError: no pool of the part has `ways` classes of shots + queries samples, or
                labels are fixed and their number is not `ways`.
        """
        pool, places = self._draw_classes(split, size, rng)
        shots = np.full(size.ways, size.shots)
        if self._lacks:
            shots = _shots_of_some(size, rng)
        support, queries = [], []
        for place, count in zip(places, shots.tolist(), strict=True):
            samples = pool.samples[place]
            ids = rng.choice(samples, min(count + size.queries, len(samples)), replace=False)
            if len(ids) < count + size.queries:  # few classes share the samples of all
                ids = np.append(np.resize(ids[: -size.queries], count), ids[-size.queries :])
            x = self._load(int(pool.classes[place]), ids, rng)
            support.append(x[:count])
            queries.append(x[count:])
        labels = np.arange(size.ways, dtype=np.int64)
        return Episode(
            support_x=np.concatenate(support),
            support_y=labels.repeat(shots),
            query_x=np.concatenate(queries),
            query_y=labels.repeat(size.queries),
        )

    def with_fixed(self, classes: Sequence[int]) -> Self:
        """Return the same source with labels that keep their meaning: k is `classes[k]`.

        Args:
            classes: ids, all different; other classes of the data are left out.
        """
        made = copy.copy(self)
        made.fixed, made._lacks = tuple(classes), False
        made._complete = {split: _complete(self.pools(split), made.fixed) for split in SPLITS}
        return made

    def with_lacking_support(self) -> Self:
        """Return the same source with support sets that lack some of the fixed classes.

        Each episode draws how many classes its support set shows (at least half of them and at
        least two, not all), and which. These have its ways * shots samples in equal shares; where
        a pool has too few of a class, samples repeat. Queries show all classes. With two classes,
        both are shown.

        Raises:
            InputError: labels are not fixed, so what is not shown has no meaning.
        """
        if not self.fixed:
            raise InputError(f"{self.name}: only fixed labels may be missing in a support set")
        made = copy.copy(self)
        made._lacks = True
        return made

    def episode_classes(
        self, split: Split, size: EpisodeSize, seed: int, index: int
    ) -> NDArray[np.int64]:
        """Return the class ids (ways,) that the labels 0, 1, ... of an episode stand for.

        The arguments are those of `episode`.
        """
        pool, places = self._draw_classes(split, size, episode_rng(split, seed, index))
        return pool.classes[places]

    def episode_units(
        self, split: Split, size: EpisodeSize, seed: int, index: int
    ) -> NDArray[np.int64]:
        """Return what is new at test time behind each label of an episode, (ways,).

        The arguments are those of `episode`. Where people are what is new and each episode is of
        one of them, that is the place of their pool, for all labels alike; else the class ids.
        """
        pool, places = self._draw_classes(split, size, episode_rng(split, seed, index))
        if self.unit != "subject" or not self._of_one_subject:
            return pool.classes[places]
        pools = self._complete[split] if self.fixed else self.pools(split)
        person = next(place for place, each in enumerate(pools) if each is pool)
        return np.full(size.ways, person, np.int64)

    def class_name(self, class_id: int) -> str | None:
        """Return the name of a class; None if classes have no names."""
        return None

    def _draw_classes(
        self, split: Split, size: EpisodeSize, rng: np.random.Generator
    ) -> tuple[Pool, NDArray[np.int64]]:
        """Draw a pool that can fill an episode, then the places (ways,) of classes in it."""
        need = size.shots + size.queries
        if self.fixed:
            return self._draw_person(split, size, rng), np.arange(size.ways)
        pools = self.pools(split)
        usable = [np.flatnonzero(pool.counts >= need) for pool in pools]
        fitting = [i for i, places in enumerate(usable) if len(places) >= size.ways]
        if not fitting:
            raise self._too_small(split, size, max((len(u) for u in usable), default=0))
        drawn = fitting[rng.integers(len(fitting))]
        return pools[drawn], rng.choice(usable[drawn], size.ways, replace=False)

    def _draw_person(self, split: Split, size: EpisodeSize, rng: np.random.Generator) -> Pool:
        """Draw a pool with enough samples of each fixed class, which it has in their order."""
        if size.ways != len(self.fixed):
            raise InputError(
                f"{self.name}: its labels keep their meaning, so every episode has all classes",
                got=f"ways = {size.ways}",
                expected=len(self.fixed),
                hint="leave out --ways, or train with --labels shuffled",
            )
        need = size.shots + size.queries
        fitting = [pool for pool in self._complete[split] if pool.counts.min() >= need]
        if not fitting:
            raise self._nobody(split, need)
        return fitting[rng.integers(len(fitting))]

    def _nobody(self, split: Split, need: int) -> InputError:
        complete = self._complete[split]
        most = max((int(pool.counts.min()) for pool in complete), default=0)
        return InputError(
            f"{self.name}: nobody in the {split} part shows all classes often enough",
            got=f"{len(complete)} of {len(self.pools(split))} show all, the best {most} times each",
            expected=f"shots + queries = {need} samples of each of {len(self.fixed)} classes",
            hint=self._too_small_hint + ", or train with --labels shuffled",
        )

    def labelled(
        self, split: Split, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Draw samples with the class they belong to, as ordinary supervised training wants them.

        Each sample's class is drawn uniformly over all classes of the part, then the sample among
        that class's, whoever shows it: all with replacement, and each with its own turn where the
        source turns at random.

        Args:
            split: the part.
            count: how many.
            rng: where the randomness comes from, and nothing else.

        Returns:
            x (count, *input_shape), and y (count,) int64: y[k] is the place of sample k's class in
            `sorted(self.classes(split))`, or in `fixed`.

        Raises:
            InputError: the part has no classes.
        """
        x, y, _ = self.labelled_with_ids(split, count, rng)
        return x, y

    def labelled_with_ids(
        self, split: Split, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        """Draw what `labelled` draws, and say which samples these are.

        Returns:
            x and y as `labelled`, and (count,) int64 the ids of the samples as `pools` has them: of
            a data set, its rows.

        Raises:
            InputError: the part has no classes.
        """
        classes = self._samples_of_classes[split]
        if self.fixed and classes:
            samples_of = dict(classes)
            classes = [(class_id, samples_of[class_id]) for class_id in self.fixed]
        if not classes:
            raise InputError(f"{self.name}: the {split} part has no classes")
        x = np.empty((count, *self.input_shape), self.input_dtype)
        y, ids = rng.integers(len(classes), size=count), np.empty(count, np.int64)
        for k, (class_id, samples) in enumerate(classes[label] for label in y):
            drawn = samples[rng.integers(len(samples), size=1)]
            x[k], ids[k] = self._load(class_id, drawn, rng)[0], drawn[0]
        return x, y, ids

    @cached_property
    def _samples_of_classes(self) -> dict[Split, list[tuple[int, NDArray[np.int64]]]]:
        """Each part's (class id, (n,) int64 its samples in all pools), class ids ascending."""
        parts: dict[Split, list[tuple[int, NDArray[np.int64]]]] = {}
        for split in SPLITS:
            found: dict[int, list[NDArray[np.int64]]] = {}
            for pool in self.pools(split):
                for class_id, samples in zip(pool.classes.tolist(), pool.samples, strict=True):
                    found.setdefault(class_id, []).append(samples)
            parts[split] = [(c, np.concatenate(found[c])) for c in sorted(found)]
        return parts

    def _too_small(self, split: Split, size: EpisodeSize, most: int) -> InputError:
        need = size.shots + size.queries
        of_one = " of one subject" if self._of_one_subject else ""
        return InputError(
            f"{self.name}: the {split} part is too small for this episode",
            got=f"{most} of {len(self.classes(split))} classes with {need} samples{of_one}",
            expected=f"ways = {size.ways} classes with shots + queries = {need} samples each",
            hint=self._too_small_hint,
        )

    _too_small_hint = "reduce ways, shots or queries, or add data"


def _complete(pools: Sequence[Pool], classes: Sequence[int]) -> tuple[Pool, ...]:
    """Return the pools that have all of these classes, with these alone and in this order."""
    found = (dict(zip(pool.classes.tolist(), pool.samples, strict=True)) for pool in pools)
    return tuple(Pool.of({c: own[c] for c in classes}) for own in found if own.keys() >= {*classes})


def _shots_of_some(size: EpisodeSize, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how many support samples each class has, (ways,): ways * shots in all, some none."""
    least = max(2, -(-size.ways // 2))
    shown = rng.permutation(size.ways)[: rng.integers(least, max(size.ways, least + 1))]
    shots = np.zeros(size.ways, np.int64)
    share, rest = divmod(size.ways * size.shots, len(shown))
    shots[shown] = share
    shots[shown[:rest]] += 1
    return shots
