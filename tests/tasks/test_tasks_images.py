"""Images: folders per class, lists as CSV; decoded on demand."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgemeta.data.file_samples import FileSamples
from edgemeta.errors import InputError
from edgemeta.tasks import DataOptions, EpisodeSize, open_tasks
from edgemeta.tasks.classes import ClassSource
from edgemeta.tasks.source import SPLITS


def _write(path: Path, value: int, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    color: Any = (value, 0, 255 - value) if mode == "RGB" else value
    Image.new(mode, size, color).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten classes of four images; class k has red = 10 k + number."""
    for k in range(10):
        for n in range(4):
            _write(tmp_path / "data" / f"class{k}" / f"{n}.png", 10 * k + n)
    (tmp_path / "data" / "class0" / "Thumbs.db").write_bytes(b"no image")
    _write(tmp_path / "data" / "_other" / "0.png", 0)
    return tmp_path / "data"


def _open(path: Path, **options: Any) -> ClassSource:
    source = open_tasks(str(path), options=DataOptions(**options))
    assert isinstance(source, ClassSource)
    return source


def test_a_folder_per_class(folder: Path) -> None:
    source = _open(folder)
    assert source.input_shape == (4, 6, 3)
    assert source.input_dtype == np.uint8
    assert [len(source.classes(s)) for s in ("train", "val", "test")] == [6, 2, 2]
    episode = source.episode("train", EpisodeSize(3, 1, 3), 0, 0)
    red = np.concatenate([episode.support_x, episode.query_x])[:, 0, 0, 0]
    labels = np.concatenate([episode.support_y, episode.query_y])
    assert len(set(red.tolist())) == 12
    for label in range(3):
        assert len(set((red[labels == label] // 10).tolist())) == 1
    assert (episode.support_x[..., 2] == 255 - episode.support_x[..., 0]).all()


def test_folders_of_parts_are_kept(tmp_path: Path) -> None:
    for part, names in {"train": "abcde", "val": "fg", "test": "hij"}.items():
        for name in names:
            _write(tmp_path / part / name / "0.jpg", 9)
    source = _open(tmp_path)
    assert [sorted(source.classes(s)) for s in ("train", "val", "test")] == [
        [0, 1, 2, 3, 4],
        [5, 6],
        [7, 8, 9],
    ]


def test_size_and_colour_come_from_options(folder: Path) -> None:
    source = _open(folder, image_size=8, color="gray")
    assert source.input_shape == (8, 8)
    x, _ = source.labelled("train", 3, np.random.default_rng(0))
    assert x.shape == (3, 8, 8)
    assert source.preprocessing == {
        "image_size": [8, 8],
        "color": "gray",
        "resampling": "lanczos",
        "fit": "squash",
    }


def test_the_middle_or_all_of_a_wide_image(tmp_path: Path) -> None:
    """Three stripes: the middle one is all that a crop keeps, and a third of what is squashed."""
    wide = np.repeat(np.repeat(np.array([[0, 100, 200]], np.uint8), 32, axis=1), 32, axis=0)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(wide).save(tmp_path / name / "0.png")
        Image.fromarray(wide.T).save(tmp_path / name / "1.png")
    squashed, cropped = (
        _open(tmp_path, image_size=24, fit=fit, test_only=True) for fit in ("squash", "crop")
    )
    assert squashed.preprocessing["fit"] == "squash"
    assert cropped.preprocessing["fit"] == "crop"
    first = np.array([0])
    x = squashed._load(0, first, np.random.default_rng(0))[0]
    assert x[12, [2, 12, 21]].tolist() == [0, 100, 200]
    for row in (0, 1):
        x = cropped._load(0, np.array([row]), np.random.default_rng(0))[0]
        assert x.shape == (24, 24)
        assert np.abs(x.astype(int) - 100).max() <= 5  # the filter reaches over the edge
    with pytest.raises(InputError, match=r"unknown --fit: got pad, expected squash or crop"):
        _open(tmp_path, fit="pad")


def test_photographs_are_scaled_and_cropped(photographs: Path) -> None:
    """Against the usual way of ImageNet: the shorter side to 96, then the middle."""
    source = _open(photographs, image_size=96, color="rgb", fit="crop")
    assert source.input_shape == (96, 96, 3)
    assert [len(source.classes(part)) for part in SPLITS] == [8, 8, 8]
    samples = source._dataset.samples  # type: ignore[attr-defined]
    assert isinstance(samples, FileSamples)
    rows = np.arange(0, len(samples), 97)
    for x, path in zip(samples.read(rows), (samples.paths[row] for row in rows), strict=True):
        with Image.open(path) as file:
            image = file.convert("RGB")
        assert min(image.size) == 160
        scale = 96 / 160
        size = (round(image.width * scale), round(image.height * scale))
        scaled = image.resize(size, Image.Resampling.LANCZOS)
        left, top = (size[0] - 96) // 2, (size[1] - 96) // 2
        usual = np.asarray(scaled.crop((left, top, left + 96, top + 96)), np.float64)
        # An odd remainder, or a size that was rounded, is half a pixel: felt in fine textures.
        assert np.abs(x - usual).mean() < 10
        assert np.corrcoef(x.ravel(), usual.ravel())[0, 1] > 0.95
        x0, y0 = (image.width - 160) / 2, (image.height - 160) / 2
        box = (x0, y0, x0 + 160, y0 + 160)
        want = image.resize((96, 96), Image.Resampling.LANCZOS, box)
        assert np.array_equal(x, np.asarray(want))


def test_size_and_colour_come_from_the_first_image(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "0.png").write_bytes(b"broken")
    _write(tmp_path / "a" / "1.png", 7, (5, 3), "L")
    _write(tmp_path / "b" / "0.png", 200, (50, 30))  # brought to gray, and to 5 x 3
    source = _open(tmp_path, test_only=True)
    assert source.input_shape == (3, 5)
    assert not source.classes("train")
    assert source.classes("test") == {0, 1}
    b = next(p for p in source.pools("test")).samples[1]
    gray = source._load(1, b, np.random.default_rng(0))
    # ITU-R 601, as pillow documents: 0.299 R + 0.114 B
    assert abs(int(gray[0, 0, 0]) - (0.299 * 200 + 0.114 * 55)) < 1
    with pytest.raises(InputError, match=r"0\.png cannot be read as an image"):
        source.episode("test", EpisodeSize(1, 1, 1), 0, 0)


def test_cameras_are_held_upright(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        image = Image.new("L", (8, 4))
        exif = Image.Exif()
        exif[0x0112] = 6  # orientation: turned by 90 degrees
        image.save(tmp_path / name / "0.jpg", exif=exif)
    assert _open(tmp_path).input_shape == (8, 4)


def _write_lists(
    root: Path, parts: dict[str, Sequence[str]], header: str = "filename,label"
) -> None:
    for part, names in parts.items():
        lines = [header]
        for name in names:
            for n in range(3):
                _write(root / "images" / f"{name}{n}.jpg", 100)
                lines.append(f"{name}{n}.jpg,{name}")
        (root / f"{part}.csv").write_text("\n".join(lines) + "\n")


def test_lists_as_mini_imagenet_has_them(tmp_path: Path) -> None:
    _write_lists(tmp_path, {"train": "abcd", "val": "e", "test": "fgh"})
    source = _open(tmp_path)
    assert [sorted(source.classes(s)) for s in ("train", "val", "test")] == [
        [0, 1, 2, 3],
        [4],
        [5, 6, 7],
    ]
    assert source.episode("test", EpisodeSize(3, 1, 2), 0, 0).query_x.shape == (6, 4, 6, 3)


def test_lists_with_another_label_column(tmp_path: Path) -> None:
    _write_lists(tmp_path, {"train": "ab", "test": "cd"}, header="filename,kind")
    assert len(_open(tmp_path, label="kind").classes("test")) == 2
    with pytest.raises(InputError, match=r"has no column 'label': got filename, kind"):
        _open(tmp_path)
    (tmp_path / "images" / "a0.jpg").unlink()
    with pytest.raises(InputError, match=r"got 1 of 12 missing, the first .*a0\.jpg"):
        _open(tmp_path, label="kind")


def test_what_is_kept_is_bounded() -> None:
    asked: list[str] = []

    def decode(path: Path) -> np.ndarray[Any, Any]:
        asked.append(path.name)
        return np.full((10,), int(path.name), np.uint8)

    samples = FileSamples([Path(str(k)) for k in range(5)], (10,), np.dtype("uint8"), decode, 30)
    assert samples.read(np.array([0, 1, 2, 0]))[:, 0].tolist() == [0, 1, 2, 0]
    samples.read(np.array([3, 0, 2, 1]))  # 1 had to go, 0 was used last
    assert asked == ["0", "1", "2", "3", "1"]


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"a/0.png": b"x", "b/0.png": b"x"}, {}, r"a/0\.png cannot be read as an image"),
        ({"a/0.png": b"x"}, {}, "too few classes in its folders: got 1"),
        ({"a/0.png": b"x", "b/0.wav": b"x"}, {}, "holds both images and recordings"),
        ({"a/0.png": b"x", "b/0.txt": b"x"}, {}, r"b has no file to read"),
        ({"a/0.txt": b"x"}, {}, r"no known layout: got files that end in \.txt"),
        ({"a.png": b"x"}, {}, "no known layout: got no folders with files"),
        ({"train/a/0.png": b"x"}, {}, "names only some of its parts: got train, expected train"),
        ({"a/0.png": b"x"}, {"mels": 3}, "do not apply to a folder of images.*got --mels"),
        ({"images_background/A/b/0.png": b""}, {}, "holds Omniglot; use omniglot with --root"),
        ({"MNIST/raw/t10k-images-idx3-ubyte.gz": b""}, {}, "holds IDX files; name them"),
    ],
)
def test_what_cannot_be_opened(
    tmp_path: Path, files: dict[str, bytes], options: dict[str, Any], message: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        _open(tmp_path, **options)


def test_a_folder_that_may_not_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(InputError, match="cannot be listed: got Permission denied"):
        _open(folder)


def test_deep_images_are_refused(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / name / "0.png")
    with pytest.raises(InputError, match="too many bits per pixel: got pillow's mode I;16"):
        _open(tmp_path)


def test_without_pillow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match=r'pip install "edgemeta\[images\]"'):
        _open(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "--image-size is out of range: got 0"),
        ({"seconds": float("nan")}, "--seconds is out of range"),
        ({"color": "cmyk"}, "unknown --color: got cmyk, expected gray or rgb"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DataOptions(**options)
