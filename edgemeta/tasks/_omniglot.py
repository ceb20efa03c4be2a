"""Omniglot: 1623 handwritten characters, 20 drawings each, under the two usual protocols."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgemeta.data.omniglot_files import SIDE, Drawings, read_drawings
from edgemeta.errors import InputError
from edgemeta.tasks.classes import ClassSource, Pool, group_rows
from edgemeta.tasks.source import SPLITS, Split

Protocol = Literal["omniglot", "omniglot-vinyals"]
Manifest = Mapping[Split, Sequence[str]]

TURNS = 4


class OmniglotSource(ClassSource):
    """Classify Omniglot characters: uint8 (28, 28), ink = 255.

    `omniglot`, as in Finn et al., "Model-Agnostic Meta-Learning", 2017: 1100 / 100 / 423
    characters, shuffled once. A class is a character; each class of an episode is turned as a
    whole by 0, 90, 180 or 270 degrees at random.

    `omniglot-vinyals`, as in Vinyals et al., "Matching Networks for One Shot Learning", 2016:
    1028 / 172 / 423 characters, divided by alphabet. Each turn of a character is a class of its
    own, which makes 4112 / 688 / 1692.

    Turns are counter-clockwise. Data: Lake, Salakhutdinov, Tenenbaum, "Human-level concept
    learning through probabilistic program induction", Science 2015.

    Args:
        drawings: the drawings; characters that the manifest does not list are left out.
        manifest: the characters of each part.
        protocol: what a class is.

    Attributes:
        characters: all names of the manifest, sorted. Character k is class k in `omniglot`, and the
            classes 4 k + turns in `omniglot-vinyals`.

    Raises:
        InputError: characters of the manifest are missing.
    """

    input_shape = (SIDE, SIDE)
    input_dtype = np.dtype(np.uint8)

    def __init__(self, drawings: Drawings, manifest: Manifest, protocol: Protocol) -> None:
        self.name = protocol
        self.characters = tuple(sorted(name for part in SPLITS for name in manifest[part]))
        missing = sorted(set(self.characters) - set(drawings.names))
        if missing:
            raise InputError(
                "the Omniglot data is not complete",
                got=f"{len(missing)} of {len(self.characters)} characters missing, "
                f"the first {missing[0]}",
                expected="the characters of both images_background and images_evaluation",
                hint="unpack the data again",
            )
        self._x = drawings.x
        self._turns_are_classes = protocol == "omniglot-vinyals"
        rows = group_rows(drawings.y, np.arange(len(drawings.y)))
        by_name = {name: rows[k] for k, name in enumerate(drawings.names) if k in rows}
        number = {name: k for k, name in enumerate(self.characters)}
        classes_each = TURNS if self._turns_are_classes else 1
        self._pools = {
            part: Pool.of(
                {
                    number[name] * classes_each + turn: by_name[name]
                    for name in manifest[part]
                    for turn in range(classes_each)
                }
            )
            for part in SPLITS
        }

    def pools(self, split: Split) -> Sequence[Pool]:
        """Return the one pool of the part."""
        return (self._pools[split],)

    def class_name(self, class_id: int) -> str:
        """Return the character's name, and how far it is turned where that makes a class."""
        if not self._turns_are_classes:
            return self.characters[class_id]
        character, turn = divmod(class_id, TURNS)
        return f"{self.characters[character]}, turned by {90 * turn}°"

    def _load(
        self, class_id: int, samples: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[Any]:
        turn = class_id % TURNS if self._turns_are_classes else int(rng.integers(TURNS))
        return np.rot90(self._x[samples], turn, axes=(1, 2))


def open_omniglot(protocol: Protocol, root: Path) -> OmniglotSource:
    """Open Omniglot under one of its protocols; `root` as for `read_drawings`.

    Raises:
        InputError: the data is missing, damaged or not complete.
    """
    return OmniglotSource(read_drawings(root), read_manifest(protocol), protocol)


def read_manifest(protocol: Protocol) -> dict[Split, tuple[str, ...]]:
    """Return the characters of each part, as "Alphabet/characterNN", sorted.

    `splits/omniglot.json` is a shuffle of the 1623 names (`make_maml_manifest` of its test):
    the paper gives the numbers, its authors' code a shuffle of its own. In
    `splits/omniglot-vinyals.json` are the lists that the field uses under this name, by alphabet
    but for Gurmukhi, whose last four characters are in the test part; the file names its sources.
    """
    text = (
        resources.files("edgemeta.tasks")
        .joinpath("splits", f"{protocol}.json")
        .read_text(encoding="utf-8")
    )
    content = json.loads(text)
    return {part: tuple(content[part]) for part in SPLITS}
