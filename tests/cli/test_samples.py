"""What people have becomes what a bundle takes, as it did in training; classes keep their names."""

from __future__ import annotations

import doctest
import json
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import edgemeta
from edgemeta.bundle import Manifest, TensorSpec, TrainingRecord, TrainingResult
from edgemeta.data._images import read_image_folders
from edgemeta.data._series import read_series_csv
from edgemeta.data._wav import read_wav_folders
from edgemeta.data.dataset import Dataset
from edgemeta.data.labels import number_classes
from edgemeta.data.samples import read_samples, read_support
from edgemeta.data.table import read_table
from edgemeta.errors import BundleError, InputError
from edgemeta.tasks import DataOptions, EpisodeSize, open_tasks
from tests.cli.conftest import Call
from tests.cli.test_bad_input import assert_refused

OMNIGLOT = edgemeta.load("omniglot", threads=1)
CLASSES = ("قف", "alef", "ba")


class Opened(NamedTuple):
    """As much of a runner as reading needs."""

    manifest: Manifest


def trained(data: Dataset, config: dict[str, Any] | None = None, **others: Any) -> Opened:
    """A bundle as if it was trained on such data."""
    record = {"config": config or {}, "result": {"preprocessing": dict(data.preprocessing)}}
    record = json.loads(json.dumps(record))  # as it comes back from a file
    spec = TensorSpec(data.samples.shape, data.samples.dtype.name)
    made = TrainingRecord.of(record, "training")
    return Opened(replace(OMNIGLOT.manifest, input=spec, training=made, **others))


def said(opened: Opened) -> dict[str, Any]:
    """What the record says of preprocessing, to be changed."""
    found = opened.manifest.trained.preprocessing
    assert isinstance(found, dict)
    return found


def all_of(data: Dataset) -> tuple[np.ndarray[Any, Any], list[str]]:
    x = data.samples.read(np.arange(len(data.samples)))
    return x, [data.class_names[k] for k in data.y]


@pytest.fixture
def drawings(tmp_path: Path) -> Path:
    """Three glyphs, three drawings of each, dark ink on light paper, in colour and 56 x 56."""
    episode = open_tasks("glyphs").episode("test", EpisodeSize(3, 3, 1), seed=3, index=0)
    for k, name in enumerate(CLASSES):
        folder = tmp_path / "drawings" / name
        folder.mkdir(parents=True)
        for n, x in enumerate(episode.support_x[episode.support_y == k]):
            Image.fromarray(255 - x).resize((56, 56)).convert("RGB").save(folder / f"{n}.png")
    return tmp_path / "drawings"


def test_a_folder_is_adapted_to_and_predicted_by_name(
    call: Call, drawings: Path, tmp_path: Path
) -> None:
    state = tmp_path / "mine.safetensors"
    done = call("adapt", "omniglot", drawings, "--out", state)
    assert done.code == 0, done.err
    assert done.out.splitlines()[2].split() == ["alef", "3", "3"]
    assert "support loss 1.0986 █▁ " in done.out
    assert edgemeta.load("omniglot").load(state).labels == tuple(sorted(CLASSES))

    shown = call("predict", "omniglot", drawings, "--state", state)
    assert shown.code == 0, shown.err
    assert shown.out.splitlines()[0].split() == ["sample", "label", "confidence", "truth"]
    first = shown.out.splitlines()[2].split()
    assert (first[0], first[1], first[3]) == ("alef/0.png", "alef", "alef")
    assert "accuracy 1.0000 on 9 samples" in shown.out

    record = json.loads(call("predict", "omniglot", drawings, "--state", state, "--json").out)
    assert record["classes"] == sorted(CLASSES)
    assert record["labels"] == [sorted(CLASSES)[k] for k in record["predictions"]]
    assert record["files"][0] == "alef/0.png"
    for unlabelled in (drawings / "ba", drawings / "ba" / "1.png"):
        found = json.loads(call("predict", "omniglot", unlabelled, "--state", state, "--json").out)
        assert set(found["labels"]) == {"ba"}
        assert "accuracy" not in found
    assert "1.png   ba" in call("predict", "omniglot", unlabelled, "--state", state).out


def same(call: Call, runner: edgemeta.Runner, support: Path, samples: Path, out: Path) -> None:
    """Check that a script with the two functions comes to what the two commands do, to the bit."""
    done = call("adapt", runner.path, support, "--out", out)
    assert done.code == 0, done.err
    shown = json.loads(call("predict", runner.path, samples, "--state", out, "--json").out)

    found = edgemeta.read_support(support, runner)
    learner = runner.adapt(found.x, found.y, ways=found.ways)
    learner.save(out.with_name("script.safetensors"), found.labels)
    mine, theirs = (runner.load(out.with_name(name)) for name in ("script.safetensors", out.name))
    assert (mine.labels, mine.ways) == (theirs.labels, theirs.ways)
    for name, tensor in theirs.state_dict().items():
        assert np.array_equal(mine.state_dict()[name], tensor)
    queries = edgemeta.read_samples(samples, runner)
    assert learner.predict(queries.x).tolist() == shown["predictions"]
    assert list(queries.names or []) == shown.get("files", [])
    if found.labels is not None:
        assert [found.labels[k] for k in learner.predict(queries.x)] == shown["labels"]


def test_a_script_reads_pictures_as_the_commands_do(
    call: Call, drawings: Path, tmp_path: Path
) -> None:
    for samples in (drawings, drawings / "ba", drawings / "ba" / "1.png"):
        same(call, OMNIGLOT, drawings, samples, tmp_path / "mine.safetensors")
    found = edgemeta.read_support(str(drawings), OMNIGLOT)
    assert found.labels == tuple(sorted(CLASSES))
    assert found.ways == 3
    classifier = edgemeta.FewShotClassifier(OMNIGLOT).fit(found.x, found.named)
    ba = edgemeta.read_samples(drawings / "ba", OMNIGLOT)
    assert set(classifier.predict(ba.x).tolist()) == {"ba"}


@pytest.mark.parametrize("function", [edgemeta.read_support, edgemeta.read_samples])
def test_the_examples_in_their_docstrings(function: Any, tmp_path: Path) -> None:
    for k, name in enumerate(("alef", "ba")):
        (tmp_path / "drawings" / name).mkdir(parents=True)
        for n in (1, 2):
            image = Image.fromarray(np.roll(np.tri(28, dtype=np.uint8) * 255, n + 9 * k, axis=1))
            image.save(tmp_path / "drawings" / name / f"{n}.png")
    names = {"drawings": tmp_path / "drawings", function.__name__: function}
    (example,) = doctest.DocTestFinder(recurse=False).find(function, globs=names)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_a_script_reads_recordings_as_the_commands_do(
    call: Call, recordings: Path, tmp_path: Path
) -> None:
    words = edgemeta.load("words", threads=1)
    for path in recordings.rglob("*.wav"):  # the bundle's own rate
        _write_wav(path, 16_000, int(path.stem))
    for samples in (recordings, recordings / "yes"):
        same(call, words, recordings, samples, tmp_path / "mine.safetensors")


def test_a_script_reads_tables_and_arrays_as_the_commands_do(call: Call, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (6, 28, 28), np.uint8)
    rows = [",".join(map(str, (f"c{k % 3}", *each.ravel()))) for k, each in enumerate(x)]
    header = ",".join(["label", *(f"p{k}" for k in range(784))])
    (tmp_path / "rows.csv").write_text("\n".join([header, *rows]) + "\n")
    np.savez(tmp_path / "named.npz", x=x, y=[f"c{k % 3}" for k in range(6)])
    np.savez(tmp_path / "plain.npz", x=x, y=np.arange(6) % 3)
    np.save(tmp_path / "x.npy", x)
    for name in ("rows.csv", "named.npz", "plain.npz"):
        for samples in (name, "x.npy"):
            out = tmp_path / "mine.safetensors"
            same(call, OMNIGLOT, tmp_path / name, tmp_path / samples, out)
        found = edgemeta.read_support(tmp_path / name, OMNIGLOT)
        plain = name == "plain.npz"
        assert found.labels == (None if plain else ("c0", "c1", "c2"))
        assert found.y.tolist() == [0, 1, 2] * 2
        assert found.ways == (None if plain else 3)


def test_classes_of_a_state_keep_their_numbers(drawings: Path, tmp_path: Path) -> None:
    x = np.zeros((2, 28, 28), np.uint8)
    OMNIGLOT.adapt(x, [0, 1]).save(tmp_path / "mine.safetensors", ["zebra", "ba"])
    state = OMNIGLOT.load(tmp_path / "mine.safetensors")
    found = edgemeta.read_support(drawings, OMNIGLOT, state)
    assert found.labels == ("zebra", "ba", "alef", "قف")
    assert found.ways == 4
    assert set(found.named[found.y == 1]) == {"ba"}


def test_another_class_is_added_to_a_state(call: Call, drawings: Path, tmp_path: Path) -> None:
    state, more = tmp_path / "mine.safetensors", tmp_path / "more.safetensors"
    two = tmp_path / "two"
    two.mkdir()
    for name in ("alef", "ba"):
        (drawings / name).rename(two / name)
    alone = call("adapt", "omniglot", drawings, "--out", state)
    assert_refused(alone, "wrong number of classes", "got 1: قف", "--state")
    assert call("adapt", "omniglot", two, "--out", state).code == 0
    forgotten = call("adapt", "omniglot", drawings, "--state", state, "--out", more)
    assert forgotten.code == 0, forgotten.err
    assert "no samples of alef, ba, which may be forgotten" in forgotten.err
    assert edgemeta.load("omniglot").load(more).labels == ("alef", "ba", "قف")
    (two / "alef").rename(drawings / "alef")
    (two / "ba").rename(drawings / "ba")
    gently = ("--steps", 20, "--lr-scale", 0.1)
    all_three = call("adapt", "omniglot", drawings, "--state", state, "--out", more, *gently)
    assert all_three.err == ""
    shown = call("predict", "omniglot", drawings, "--state", more)
    assert "accuracy 1.0000" in shown.out
    strange = call("predict", "omniglot", drawings, "--state", state)
    assert strange.err == "note: not adapted to, hence wrong: قف\n"
    assert "accuracy 0.6667" in strange.out
    unnamed = call("predict", "omniglot", drawings)
    assert "truth" in unnamed.out
    assert "accuracy" not in unnamed.out


def test_a_head_of_fixed_width(
    call: Call, bundle_path: Path, drawings: Path, tmp_path: Path
) -> None:
    """Of a head of five, three classes leave two out of reach; six are refused."""
    state = tmp_path / "mine.safetensors"
    done = call("adapt", bundle_path, drawings, "--out", state, "--json")
    assert json.loads(done.out)["classes"] == sorted(CLASSES)
    assert edgemeta.Runner(bundle_path).load(state).ways == 3
    for k in range(3):
        (drawings / f"c{k}").mkdir()
        Image.new("L", (28, 28)).save(drawings / f"c{k}" / "0.png")
    refused = call("adapt", bundle_path, drawings, "--out", tmp_path / "six")
    assert_refused(refused, "wrong number of classes", "got 6: alef, ba", "expected 2..5")


def test_names_in_arrays(call: Call, tmp_path: Path) -> None:
    episode = open_tasks("glyphs").episode("test", EpisodeSize(3, 1, 1), seed=3, index=0)
    x, y = episode.support_x, episode.support_y
    state = tmp_path / "mine.safetensors"
    for arrays in (
        {"x": x, "y": np.array(CLASSES)[y]},
        {"x": x, "y": y + 1, "class_names": np.array(["none", *CLASSES, "never"])},
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        assert call("adapt", "omniglot", tmp_path / "a.npz", "--out", state).code == 0
        record = json.loads(
            call("predict", "omniglot", tmp_path / "a.npz", "--state", state, "--json").out
        )
        assert record["labels"] == [CLASSES[k] for k in y]
        assert record["accuracy"] == 1
    np.savez(tmp_path / "a.npz", x=x, y=y, class_names=np.array(["one"]))
    refused = call("adapt", "omniglot", tmp_path / "a.npz", "--out", state)
    assert_refused(refused, "class_names does not fit y")


def test_images_are_read_as_in_training(drawings: Path) -> None:
    data = read_image_folders(drawings, DataOptions(image_size=28, color="gray"))
    x, y = all_of(data)
    found = read_support(drawings, trained(data))
    assert np.array_equal(found.x, x)
    assert found.named.tolist() == y
    rgb = read_image_folders(drawings, DataOptions(image_size=20))
    assert rgb.samples.shape == (20, 20, 3)
    assert np.array_equal(read_support(drawings, trained(rgb)).x, all_of(rgb)[0])
    # Omniglot's ink is 255; inverting and resampling commute but for rounding: 1 in 255.
    dark = read_support(drawings, OMNIGLOT).x
    assert np.abs(255 - x.astype(int) - dark).max() <= 1


def test_images_are_cropped_as_in_training(drawings: Path) -> None:
    for path in drawings.glob("*/*.png"):
        Image.open(path).resize((80, 56)).save(path)
    cropped = read_image_folders(drawings, DataOptions(image_size=28, fit="crop"))
    manifest = trained(cropped)
    assert np.array_equal(read_support(drawings, manifest).x, all_of(cropped)[0])
    squashed = read_image_folders(drawings, DataOptions(image_size=28))
    assert not np.array_equal(all_of(squashed)[0], all_of(cropped)[0])
    record = said(manifest)
    del record["fit"]  # as in older records
    assert np.array_equal(read_support(drawings, manifest).x, all_of(squashed)[0])
    record["fit"] = ["\n"]
    with pytest.raises(BundleError, match="does not fit images as the bundle's training did"):
        read_support(drawings, manifest)


def _write_wav(path: Path, rate: int, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(-9000, 9000, rate // 2, np.int16)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(noise.tobytes())


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Two words, two recordings of each, at two sample rates."""
    for k in range(4):
        path = tmp_path / "recordings" / ("yes", "no")[k % 2] / f"{k}.wav"
        _write_wav(path, 8000 if k else 4000, k)
    return tmp_path / "recordings"


@pytest.mark.parametrize(
    "options",
    [
        DataOptions(seconds=0.5),
        DataOptions(features="logmel", mels=12, window=50, hop=25, sample_rate=6000),
        DataOptions(features="wave"),
        DataOptions(features="wave", seconds=0.2, sample_rate=8000),
    ],
)
def test_recordings_are_read_as_in_training(recordings: Path, options: DataOptions) -> None:
    data = read_wav_folders(recordings, options)
    x, y = all_of(data)
    found = read_support(recordings, trained(data))
    assert np.array_equal(found.x, x)
    assert found.named.tolist() == y
    one = read_samples(recordings / "yes" / "2.wav", trained(data))
    assert one.names == ("2.wav",)
    assert np.array_equal(one.x[0], x[y.index("yes") + 1])


@pytest.mark.parametrize(
    "change",
    [
        {"coefficients": 11},
        {"surprise": 1},
        {"hop_ms": 0},
        {"taper": "hamming"},
        {"seconds": 1e18},
        {"mels": "many"},
        {"window_ms": None},
    ],
)
def test_features_that_are_not_computed_here(recordings: Path, change: dict[str, Any]) -> None:
    manifest = trained(read_wav_folders(recordings, DataOptions()))
    said(manifest).update(change)
    with pytest.raises(BundleError, match="does not compute the features"):
        read_support(recordings, manifest)


@pytest.mark.parametrize(
    "change",
    [
        {"align": "left"},
        {"seconds": 1e18},
        {"seconds": 1.27},
        {"seconds": -1.28, "sample_rate": -16_000},
        {"seconds": float("nan")},
        {"sample_rate": "16000"},
        {"sample_rate": 0},
        {"sample_rate": None},
        {"resampler": ["soxr"]},
        {"features": "waves"},
        {"features": ["wave"]},
    ],
)
def test_waveforms_that_are_not_computed_here(recordings: Path, change: dict[str, Any]) -> None:
    manifest = trained(read_wav_folders(recordings, DataOptions(features="wave")))
    preprocessing = said(manifest)
    result = TrainingResult(preprocessing=preprocessing | change)
    for damaged in (
        Opened(replace(manifest.manifest, training=TrainingRecord(result=result))),
        Opened(replace(manifest.manifest, input=TensorSpec((20_480,), "float32"))),
    ):
        with pytest.raises(BundleError, match="does not compute the features") as caught:
            read_support(recordings, damaged)
        assert "\n" not in str(caught.value)
    del preprocessing["resampler"]
    with pytest.raises(BundleError, match="got 'resampler'"):
        read_support(recordings, manifest)


def test_a_recording_of_any_kind_is_predicted(recordings: Path, tmp_path: Path) -> None:
    """What was trained on .wav takes what a telephone records."""
    manifest = trained(read_wav_folders(recordings, DataOptions(features="wave")))
    clip, rate = soundfile.read(recordings / "yes" / "2.wav")
    (tmp_path / "new").mkdir()
    soundfile.write(tmp_path / "new" / "2.FLAC", clip, rate, format="FLAC")
    soundfile.write(tmp_path / "new" / "2.mp3", clip, rate)
    found = read_samples(tmp_path / "new", manifest)
    assert found.names == ("2.FLAC", "2.mp3")
    as_wav = read_samples(recordings / "yes" / "2.wav", manifest).x
    assert np.array_equal(found.x[:1], as_wav)
    assert found.x.dtype == np.int16


@pytest.fixture
def steps(tmp_path: Path) -> Path:
    """A time series of three activities by two people, with a column that is not used."""
    rng = np.random.default_rng(0)
    rows = [
        f"{t},{a:.3f},{b:.3f},{t // 20 % 3},p{t // 60}"
        for t, (a, b) in enumerate(rng.random((120, 2)))
    ]
    (tmp_path / "steps.csv").write_text("\n".join(["t,ax,ay,what,subject", *rows]) + "\n")
    return tmp_path / "steps.csv"


def test_time_series_are_cut_as_in_training(steps: Path) -> None:
    options = DataOptions(window=8, hop=4, columns=("ay", "ax"), label="what")
    data = read_series_csv(steps, options)
    x, y = all_of(data)
    manifest = trained(data, {"data": {"label": "what"}})
    support = read_support(steps, manifest)
    assert np.array_equal(support.x, x)
    assert support.named.tolist() == y
    unlabelled = steps.with_name("new.csv")
    unlabelled.write_text("ay,ax\n" + "\n".join(f"{t},{-t}" for t in range(16)) + "\n")
    found = read_samples(unlabelled, manifest)
    assert found.y is None
    assert found.x.shape == (3, 8, 2)
    assert found.x[1, 0].tolist() == [4, -4]
    with pytest.raises(InputError, match="no column 'what'"):
        read_support(unlabelled, manifest)
    for name, value in {"hop": 4.0, "channels": "ax", "window": "8"}.items():
        said(manifest)[name] = value
        with pytest.raises(BundleError, match="training record is damaged"):
            read_support(steps, manifest)


def test_a_row_per_sample(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("label,a,b,c,d\n10,1,2,3,4\n9,5,6,7,8\n")
    manifest = Opened(replace(OMNIGLOT.manifest, input=TensorSpec((2, 2), "uint8")))
    support = read_support(path, manifest)
    assert support.x.tolist() == [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
    assert support.named.tolist() == ["10", "9"]
    assert (support.labels, support.y.tolist(), support.ways) == (("9", "10"), [1, 0], 2)
    inputs = read_samples(path, manifest)
    assert inputs.y is not None
    path.write_text("a,b,c,d\n1,2,3,4\n")
    assert read_samples(path, manifest).y is None
    with pytest.raises(InputError, match="no column 'label'"):
        read_support(path, manifest)
    path.write_text("a,b,subject,c,d\n1,2,me,3,4\n")
    assert read_samples(path, manifest).x.tolist() == [[[1, 2], [3, 4]]]
    path.write_text("label,a,b\nx,1,2\n")
    with pytest.raises(InputError, match=r"wrong number of input columns: got 2 .* expected 4"):
        read_support(path, manifest)


def test_regression_tables(tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    path.write_text("town,rooms,price,area\na,1,10,3\na,2,20,4\nb,3,30,5\n")
    data = read_table(path, DataOptions(task="town", target=("price",)))
    manifest = trained(data, task="regression", ways=None, target=TensorSpec((1,), "float32"))
    support = read_support(path, manifest)
    assert np.array_equal(support.x, all_of(data)[0])
    assert support.y.tolist() == support.named.tolist() == [[10], [20], [30]]
    assert (support.labels, support.ways) == (None, None)
    path.write_text("area,rooms\n3,1\n")  # columns go by name
    found = read_samples(path, manifest)
    assert found.x.tolist() == [[1, 3]]
    assert found.y is None
    own = Opened(replace(manifest.manifest, training=None))
    path.write_text("a,target,b\n1,2,3\n")
    support = read_support(path, own)
    assert (support.x.tolist(), support.y.tolist()) == ([[1, 3]], [[2]])
    path.write_text("a,b\n1,3\n")
    with pytest.raises(InputError, match="no target column"):
        read_support(path, own)


def test_what_does_not_fit_is_refused(
    call: Call, drawings: Path, recordings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "state.safetensors"
    for support, *words in (
        (recordings, "no has no file to read", ".png"),
        (drawings / "ba", "has no folders", "a folder of images for each class"),
        (drawings / "ba" / "0.png", "has a format that cannot be read"),
        (tmp_path / "nowhere", "no such data file", "folder of files per class"),
    ):
        assert_refused(call("adapt", "omniglot", support, "--out", out), *map(str, words))
    assert_refused(call("predict", "omniglot", recordings / "yes"), "has no images to predict")
    assert_refused(call("predict", "omniglot", recordings / "yes" / "0.wav"), "has a format that")
    (drawings / "ba" / "0.png").write_bytes(b"broken")
    assert_refused(call("adapt", "omniglot", drawings, "--out", out), "ba/0.png cannot be read")
    floats = replace(OMNIGLOT.manifest, input=TensorSpec((28, 28), "float32"))
    with pytest.raises(InputError, match=r"got input \(n, 28, 28\) float32, .* in an \.npz"):
        read_support(drawings, Opened(floats))
    with pytest.raises(InputError, match=r"takes no files: .* pass a \.csv"):
        read_support(drawings, Opened(replace(floats, task="regression", ways=None)))
    assert not out.exists()


def test_without_pillow(call: Call, drawings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    assert_refused(call("predict", "omniglot", drawings), 'pip install "edgemeta[images]"')


# numpy drops zeros at the end of a string
NAME = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=3)


@given(st.lists(NAME, min_size=1), st.lists(st.integers(0, 20) | NAME, unique_by=str))
def test_numbering_keeps_what_is_known(found: list[str], known: list[str | int]) -> None:
    array = np.array(found)
    classes, y = number_classes(array, known)
    assert list(classes[: len(known)]) == known
    assert [str(classes[k]) for k in y] == array.tolist()
    assert len(set(map(str, classes))) == len(classes)
