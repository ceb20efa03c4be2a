"""Bad input: one clear line, exit code 2, nothing written."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgemeta.bundle import INIT, MANIFEST
from edgemeta.meta.outer.trainer import Trainer
from tests.cases import CASE
from tests.cli.conftest import Call, Outcome

X, Y = CASE["mlp-classes"].samples(5, seed=1)


def assert_refused(done: Outcome, *words: str) -> None:
    assert done.code == 2, done
    assert done.out == ""
    assert done.err.startswith("Error: ")
    assert done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err, done.err


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": X[:, :14], "y": Y}, ["wrong shape", "(5, 14, 28)", "(n, 28, 28)"]),
        ({"x": X / 255, "y": Y}, ["wrong dtype", "float64", "uint8"]),
        ({"x": X, "y": Y + 1}, ["outside the task's classes", "1..5", "0..4"]),
        ({"x": X, "y": Y[:3]}, ["support_y has the wrong shape"]),
        ({"x": X[:0], "y": Y[:0]}, ["support_x is empty"]),
        ({"x": X}, ["has no array 'y'"]),
        ({"y": Y}, ["has no array 'x'"]),
        ({"x": np.array([None] * 5), "y": Y}, ["holds Python objects"]),
    ],
)
def test_support_sets(
    call: Call, bundle_path: Path, tmp_path: Path, arrays: dict[str, object], words: list[str]
) -> None:
    np.savez(tmp_path / "support.npz", **arrays)  # type: ignore[arg-type]
    out = tmp_path / "state.safetensors"
    done = call("adapt", bundle_path, tmp_path / "support.npz", "--out", out)
    assert_refused(done, *words)
    assert [path.name for path in tmp_path.iterdir()] == ["support.npz"]


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + bytes(40)])
@pytest.mark.parametrize("name", ["support.npz", "support.npy"])
def test_files_that_are_no_arrays(
    call: Call, bundle_path: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(call("predict", bundle_path, tmp_path / name), name)
    out = tmp_path / "state.safetensors"
    assert_refused(call("adapt", bundle_path, tmp_path / name, "--out", out), name)
    assert not out.exists()


def test_a_damaged_npz(call: Call, bundle_path: Path, support: Path, tmp_path: Path) -> None:
    content = bytearray(support.read_bytes())
    content[200] ^= 0xFF
    support.write_bytes(content)
    out = tmp_path / "state.safetensors"
    assert_refused(call("adapt", bundle_path, support, "--out", out), "cannot be read")
    assert not out.exists()


@pytest.mark.parametrize("command", ["adapt", "predict", "eval", "verify", "inspect", "bench"])
def test_a_missing_a_damaged_and_an_unknown_bundle(
    call: Call, bundle_path: Path, support: Path, tmp_path: Path, command: str
) -> None:
    options: dict[str, list[object]] = {
        "adapt": [support, "--out", tmp_path / "state.safetensors"],
        "predict": [support],
        "eval": ["glyphs", "--episodes", 2],
    }
    others = options.get(command, [])
    assert_refused(call(command, tmp_path / "nowhere", *others), "nowhere")

    damaged = Path(shutil.copytree(bundle_path, tmp_path / "damaged"))
    (damaged / INIT).write_bytes((damaged / INIT).read_bytes()[:-4])
    assert_refused(call(command, damaged, *others), INIT, "damaged", "copy the bundle again")

    unknown = Path(shutil.copytree(bundle_path, tmp_path / "unknown"))
    text = (unknown / MANIFEST).read_text()
    (unknown / MANIFEST).write_text(text.replace('"format_version": 1', '"format_version": 99'))
    assert_refused(call(command, unknown, *others), "unknown format_version", "99")
    assert not (tmp_path / "state.safetensors").exists()


def test_states(call: Call, bundle_path: Path, support: Path, tmp_path: Path) -> None:
    missing = call("predict", bundle_path, support, "--state", tmp_path / "none")
    assert_refused(missing, "no readable state file")
    (tmp_path / "text").write_text("hello")
    assert_refused(call("predict", bundle_path, support, "--state", tmp_path / "text"), "text")


@pytest.mark.parametrize("out", ["nowhere/state.safetensors", "."])
def test_places_that_cannot_be_written(
    call: Call, bundle_path: Path, support: Path, tmp_path: Path, out: str
) -> None:
    done = call("adapt", bundle_path, support, "--out", tmp_path / out)
    assert_refused(done, "cannot write")


def test_labels_that_do_not_fit_the_queries(call: Call, bundle_path: Path, tmp_path: Path) -> None:
    for y in (Y[:, None], Y[:3], np.array(["a", "b"])):
        np.savez(tmp_path / "query.npz", x=X, y=y)
        assert_refused(call("predict", bundle_path, tmp_path / "query.npz"), "y does not fit")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["no such command: trian", "did you mean 'train'?"]),
        (["data", "chek"], ["no such command: chek", "did you mean 'check'?"]),
        (["nonsense"], ["there are data, train, export"]),
        (["inspect", "omniglott"], ["omniglott is no bundle", "did you mean 'omniglot'?"]),
        (["bench", "b", "--repeat", "2"], ["--repeat;", "did you mean '--repeats'?"]),
        (["adapt"], ["Missing argument 'BUNDLE'; see edgemeta adapt --help"]),
        (["train", "glyphs"], ["--out"]),
        (["train", "glyfs", "--out", "{}"], ["unknown tasks", "did you mean 'glyphs'?"]),
        (["train", "--out", "{}"], ["no TASKS given"]),
        (["train", "omniglot", "--out", "{}"], ["needs --root, the place of its data", "--root"]),
        (["train", "missing.npz", "--out", "{}"], ["no such data file"]),
        (["train", "glyphs", "--out", "{}", "--shots", "0"], ["shots is too small"]),
        (["train", "glyphs", "--out", "{}", "--inner-lr", "nan"], ["inner_lr must be positive"]),
        (["train", "glyphs", "--out", "{}", "--model", "vgg"], ["'vgg'", "conv4"]),
        (["train", "glyphs", "--out", "{}", "--hidden", "4,x"], ["not a list of widths"]),
        (["train", "glyphs", "--out", "{}", "--config", "none.toml"], ["none.toml"]),
        (["train", "sinusoid", "--out", "{}"], ["conv4"]),
        (["train", "--resume", "--out", "{}"], ["no run to resume"]),
        (["export", "nowhere", "--out", "{}"], ["nowhere"]),
        (["eval", "nowhere", "glyphs"], ["neither a run nor a bundle"]),
    ],
)
def test_usage(call: Call, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    out = tmp_path / "out"
    done = call(*(argument.replace("{}", str(out)) for argument in arguments))
    assert_refused(done, *words)
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = call("train", "glyphs", "--out", tmp_path / "run", "--device", "cuda")
    assert_refused(done, "no CUDA device")
    assert not list(tmp_path.iterdir())


def test_export_does_not_replace_what_is_no_bundle(
    call: Call, run_path: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    assert_refused(call("export", run_path, "--out", tmp_path), "exists and is no bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_eval_of_tasks_that_do_not_fit(call: Call, bundle_path: Path) -> None:
    assert_refused(call("eval", bundle_path, "sinusoid"), "kind of task do not fit")
    assert_refused(call("eval", bundle_path, "glyphs", "--ways", 6), "more ways than the model")
    assert_refused(call("eval", bundle_path, "glyphs", "--episodes", 1), "too few episodes")
    assert_refused(call("eval", bundle_path, "glyphs", "--steps", -1), "steps is out of range")


def test_without_the_desk_packages(tmp_path: Path) -> None:
    """As on a device: the commands that need torch say how to get it."""
    script = """
import sys
sys.modules["torch"] = None  # makes the import fail as if it were not installed
from edgemeta.cli import main
main(sys.argv[1:])
"""
    for arguments in (["train", "glyphs"], ["export", "run"]):
        command = [sys.executable, "-c", script, *arguments, "--out", str(tmp_path / "out")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert_refused(
            Outcome(done.returncode, done.stdout, done.stderr), "torch", "edgemeta[desk]"
        )


def test_an_interrupted_training_says_how_to_go_on(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Trainer) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "outer_step", interrupt)
    done = call("train", "sinusoid", "--model", "mlp", "--out", tmp_path / "run")
    assert done.code == 130
    assert f"stopped at outer step 0; continue with `edgemeta train --resume --out {tmp_path}" in (
        done.err
    )


def test_an_interruption_is_no_traceback(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edgemeta.cli.group.main", interrupt)
    done = call("bench")
    assert done.code == 130
    assert done.err == "Error: interrupted\n"
