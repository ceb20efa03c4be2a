from __future__ import annotations

import sys
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgemeta.data.omniglot_files import Drawings, read_drawings
from edgemeta.errors import InputError
from edgemeta.tasks._omniglot import (
    OmniglotSource,
    Protocol,
    open_omniglot,
    read_manifest,
)
from edgemeta.tasks.source import SPLITS, EpisodeSize, Split

PROTOCOLS: list[Protocol] = ["omniglot", "omniglot-vinyals"]
COUNTS = {"omniglot": [1100, 100, 423], "omniglot-vinyals": [1028, 172, 423]}
MAML_SEED = 2017


def make_maml_manifest(names: Iterable[str], seed: int) -> dict[Split, tuple[str, ...]]:
    """Shuffle the characters once: 1100 to train, 100 to val, the rest to test, each sorted.

    Args:
        names: the 1623 names, in any order.
        seed: of the shuffle.
    """
    ordered = sorted(names)
    shuffled = [ordered[k] for k in np.random.default_rng(seed).permutation(len(ordered))]
    parts = shuffled[:1100], shuffled[1100:1200], shuffled[1200:]
    return {part: tuple(sorted(chosen)) for part, chosen in zip(SPLITS, parts, strict=True)}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_manifests_have_each_character_once(protocol: Protocol) -> None:
    manifest = read_manifest(protocol)
    assert [len(manifest[split]) for split in SPLITS] == COUNTS[protocol]
    names = [name for split in SPLITS for name in manifest[split]]
    assert len(set(names)) == 1623
    assert len({name.split("/")[0] for name in names}) == 50


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_manifests_name_the_characters_of_the_data(
    protocol: Protocol, data_file: Callable[[str], Path]
) -> None:
    manifest = read_manifest(protocol)
    with np.load(data_file("omniglot28.npz")) as file:
        assert {n for split in SPLITS for n in manifest[split]} == set(file["class_names"].tolist())


def test_the_shipped_maml_manifest_is_made_by_the_function() -> None:
    shipped = read_manifest("omniglot")
    names = [name for split in SPLITS for name in shipped[split]]
    assert make_maml_manifest(reversed(names), MAML_SEED) == shipped
    assert make_maml_manifest(names, MAML_SEED + 1) != shipped


def test_vinyals_parts_are_alphabets_but_for_gurmukhi() -> None:
    manifest = read_manifest("omniglot-vinyals")
    alphabets = {split: {name.split("/")[0] for name in manifest[split]} for split in SPLITS}
    assert alphabets["val"] == {
        "Armenian",
        "Bengali",
        "Early_Aramaic",
        "Hebrew",
        "Mkhedruli_(Georgian)",
    }
    assert alphabets["train"] & alphabets["test"] == {"Gurmukhi"}
    assert not alphabets["val"] & (alphabets["train"] | alphabets["test"])


def _small(protocol: Protocol) -> tuple[OmniglotSource, Drawings]:
    """Three characters for each part, five noise drawings each."""
    names = tuple(f"A/character{k:02d}" for k in range(9))
    x = np.random.default_rng(0).integers(0, 256, (45, 28, 28), dtype=np.uint8)
    drawings = Drawings(x, np.arange(45) % 9, names)
    manifest: dict[Split, tuple[str, ...]] = {
        "train": names[:3],
        "val": names[3:6],
        "test": names[6:],
    }
    return OmniglotSource(drawings, manifest, protocol), drawings


def _find(image: np.ndarray, drawings: Drawings) -> tuple[int, int, int]:
    """Return which drawing it is, of which character, turned how often counter-clockwise."""
    for turn in range(4):
        turned = np.rot90(drawings.x, turn, axes=(1, 2))
        rows = np.flatnonzero((turned == image).all(axis=(1, 2)))
        if len(rows):
            return int(rows[0]), int(drawings.y[rows[0]]), turn
    raise AssertionError("an image that is no drawing")


def test_maml_turns_each_class_of_an_episode_as_a_whole() -> None:
    source, drawings = _small("omniglot")
    seen = set()
    for index in range(20):
        episode = source.episode("test", EpisodeSize(3, 2, 3), 0, index)
        found: dict[int, list[tuple[int, int, int]]] = {0: [], 1: [], 2: []}
        for x, y in [(episode.support_x, episode.support_y), (episode.query_x, episode.query_y)]:
            for image, label in zip(x, y, strict=True):
                found[int(label)].append(_find(image, drawings))
        for samples in found.values():
            rows, characters, turns = zip(*samples, strict=True)
            assert len(set(rows)) == 5  # support and query share no drawing
            assert len(set(characters)) == len(set(turns)) == 1
            seen.add((characters[0], turns[0]))
    assert seen == {(character, turn) for character in (6, 7, 8) for turn in range(4)}


def test_vinyals_turns_are_classes_of_their_own() -> None:
    source, drawings = _small("omniglot-vinyals")
    assert source.classes("test") == frozenset(range(24, 36))
    episode = source.episode("test", EpisodeSize(12, 1, 4), 0, 0)
    found = [_find(image, drawings)[1:] for image in episode.support_x]
    assert sorted(found) == [(character, turn) for character in (6, 7, 8) for turn in range(4)]
    queries = [_find(image, drawings)[1:] for image in episode.query_x]
    assert queries == [kind for kind in found for _ in range(4)]


def test_class_ids_name_their_character_and_turn() -> None:
    source, drawings = _small("omniglot-vinyals")
    image = source._load(4 * 7 + 3, np.array([7]), np.random.default_rng(0))[0]
    assert source.characters[7] == drawings.names[7]
    assert _find(image, drawings) == (7, 7, 3)


def test_counts_of_vinyals_classes(data_file: Callable[[str], Path]) -> None:
    source = open_omniglot("omniglot-vinyals", data_file("omniglot28.npz").parent)
    assert [len(source.classes(split)) for split in SPLITS] == [4112, 688, 1692]
    assert source.episode("train", EpisodeSize(), 0, 0).query_x.shape == (75, 28, 28)


def _write_character(folder: Path, drawers: int) -> None:
    folder.mkdir(parents=True)
    for drawer in range(drawers):
        image = Image.new("1", (105, 105), 1)  # white paper, a black bar at a place of its own
        image.paste(0, (0, 20 * drawer, 105, 20 * drawer + 20))
        image.save(folder / f"0001_{drawer + 1:02d}.png")


def test_folders_of_png_files(tmp_path: Path) -> None:
    _write_character(tmp_path / "images_background" / "Latin" / "character02", 3)
    _write_character(tmp_path / "images_background" / "Greek" / "character01", 2)
    _write_character(tmp_path / "images_evaluation" / "Atlantean" / "character01", 1)
    drawings = read_drawings(tmp_path)
    assert drawings.names == ("Greek/character01", "Latin/character02", "Atlantean/character01")
    assert drawings.y.tolist() == [0, 0, 1, 1, 1, 2]
    assert drawings.x.shape == (6, 28, 28)
    assert drawings.x.dtype == np.uint8
    assert (drawings.x[0, 1:4] > 250).all()  # ink is bright,
    assert (drawings.x[0, 8:] < 5).all()  # paper dark
    assert (drawings.x[4, 12:15] > 250).all()  # the third drawer's bar is at 40..60 of 105


def test_an_incomplete_folder_is_refused(tmp_path: Path) -> None:
    _write_character(tmp_path / "images_background" / "Latin" / "character01", 1)
    with pytest.raises(InputError, match=r"1622 of 1623 characters missing, the first Alphabet_of"):
        open_omniglot("omniglot", tmp_path)


def test_a_broken_png_is_named(tmp_path: Path) -> None:
    _write_character(tmp_path / "images_background" / "Latin" / "character01", 1)
    broken = tmp_path / "images_background" / "Latin" / "character01" / "0001_02.png"
    broken.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"0001_02\.png cannot be read as an image"):
        read_drawings(tmp_path)


def test_missing_data_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder with images_background"):
        read_drawings(tmp_path)
    with pytest.raises(InputError, match="nowhere, which does not exist"):
        read_drawings(tmp_path / "nowhere")
    (tmp_path / "images_background").mkdir()
    with pytest.raises(InputError, match="has no drawings"):
        read_drawings(tmp_path)


def test_missing_pillow_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_character(tmp_path / "images_background" / "Latin" / "character01", 1)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match=r'pip install "edgemeta\[images\]"'):
        read_drawings(tmp_path)


def test_an_npz_of_something_else_is_refused(write_npz: Callable[..., Path]) -> None:
    path = write_npz(x=np.zeros((4, 28, 28), np.float32), y=np.arange(4))
    with pytest.raises(InputError, match=r"does not hold Omniglot drawings.*float32"):
        read_drawings(path)


@pytest.mark.slow
def test_official_files_decode_to_the_known_images(
    tmp_path: Path, data_file: Callable[[str], Path]
) -> None:
    # In four of the first character's images, resizing before inverting rounds otherwise.
    wanted = ("Malayalam/character13", "Oriya/character46")
    with tarfile.open(data_file("omniglot-raw.tar.gz")) as tar:
        members = [m for m in tar if any(f"/{name}/" in m.name for name in wanted)]
        tar.extractall(tmp_path, members, filter="data")
    drawings = read_drawings(tmp_path)
    known = read_drawings(data_file("omniglot28.npz"))
    assert drawings.names == wanted
    for k, name in enumerate(wanted):
        expected = known.x[known.y == known.names.index(name)]
        assert np.array_equal(drawings.x[drawings.y == k], expected)
