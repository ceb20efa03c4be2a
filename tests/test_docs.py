"""The documents tell the truth: their Python runs, their files and commands exist."""

from __future__ import annotations

import json
import re
import shutil
import wave
from pathlib import Path
from typing import Any

import click
import numpy as np
import onnx
import pytest
import torch

import edgemeta
from edgemeta import Runner
from edgemeta.cli import COMMANDS, group
from edgemeta.device import packaged
from edgemeta.meta.augment.table import NAMES as AUGMENTATIONS
from tests.cases import CASE, Compile
from tests.named import NAMES, drawings
from tests.onnx_files import perceptron, samples

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
README, NOTES = ((ROOT / name).read_text() for name in ("README.md", "cpp_runtime_notes.md"))
PAGES = {
    "README.md": README,
    "cpp_runtime_notes.md": NOTES,
    **{f"docs/{path.name}": path.read_text() for path in sorted(DOCS.glob("*.md"))},
}


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def names(compiled: Compile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the blocks find already defined, in a directory where the demo has run."""
    made = compiled(CASE["mlp-classes"])
    shutil.copytree(made.runner.path, tmp_path / "demo-out" / "bundle")
    monkeypatch.chdir(tmp_path)
    x, y = made.case.samples(5, seed=1)
    query, _ = made.case.samples(4, seed=2)
    return {
        "bundle": "demo-out/bundle",
        "support_x": x,
        "support_y": y,
        "query_x": query,
    }


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 120


def test_the_readmes_code(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = python_blocks(README)
    exec(code, {})  # noqa: S102  # our own document
    assert capsys.readouterr().out == "[0 1]\n"


def test_the_readme_names_what_a_newcomer_needs() -> None:
    for bundle in packaged.names():
        assert f"`{bundle}`" in README
    glossary = README.split("\n## Words\n")[1]
    for word in (
        "support",
        "query",
        "ways",
        "shots",
        "episode",
        "head",
        "init",
        "bundle",
        "inner step",
    ):
        assert re.search(rf"^\|[^|]*\b{word}\b[^|]*\|", glossary, flags=re.MULTILINE), word
    assert "make demo " in README
    assert "make test " in README


def test_the_device_code(names: dict[str, Any]) -> None:
    device, *_ = python_blocks(PAGES["docs/python.md"])
    exec(device, names)  # noqa: S102  # our own document
    assert names["labels"].shape == (4,)


def test_the_code_for_named_classes(
    named: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(named.path, tmp_path / "gestures")
    monkeypatch.chdir(tmp_path)
    (x, y), (query, truth) = drawings(2, seed=1), drawings(1, seed=2)
    _, code, *_ = python_blocks(PAGES["docs/python.md"])
    given = {"support_x": x[y > 2], "support_y": y[y > 2], "query_x": query[3:]}
    exec(code, given)  # noqa: S102  # our own document
    assert given["label"] == NAMES[truth[3]]


def test_the_code_for_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("recordings/stop/1", "recordings/stop/2", "recordings/go/1", "new/a"):
        write_tone(tmp_path / f"{path}.wav", 400 if "stop" in path or "new" in path else 2000)
    _, _, files, *_ = python_blocks(PAGES["docs/python.md"])
    exec(files, {})  # noqa: S102  # our own document
    assert capsys.readouterr().out == "a.wav stop\n"


def write_tone(path: Path, hertz: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 8000 * np.sin(2 * np.pi * hertz * np.arange(16000) / 16000)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(samples.astype("<i2").tobytes())


def test_the_estimators_code(names: dict[str, Any]) -> None:
    *_, estimator, _ = python_blocks(PAGES["docs/python.md"])
    exec(estimator, names)  # noqa: S102  # our own document
    loaded = edgemeta.FewShotClassifier("omniglot").load("mine.safetensors")
    assert loaded.classes_.tolist() == [*(("letter", k) for k in range(1, 5)), "new"]


def test_the_code_that_trains_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    *_, training = python_blocks(PAGES["docs/python.md"])
    names: dict[str, Any] = {}
    exec(training, names)  # noqa: S102  # our own document
    runner = Runner("bundles/mine")
    assert runner.manifest.ways == 2
    x, y = names["x"], names["y"]
    task = np.isin(y, (0, 1))
    assert runner.adapt(x[task], y[task]).predict(x[task]).shape == (40,)


def test_the_augmentation_code() -> None:
    names: dict[str, Any] = {}
    (code,) = python_blocks(PAGES["docs/augmentation.md"])
    exec(code, names)  # noqa: S102  # our own document
    assert names["copies"].shape == names["x"].shape == (75, 28, 28)


def test_the_page_on_augmentation_lists_what_there_is() -> None:
    rows = [
        [set(re.findall(r"`([a-z][a-z-]*)`", cell)) for cell in line.split("|")]
        for line in PAGES["docs/augmentation.md"].splitlines()
    ]
    kinds = [cells[3] | cells[4] for cells in rows if len(cells) == 6]
    strengths = [cells[1] for cells in rows if len(cells) == 4]
    assert set().union(*kinds) - {"auto"} == set(AUGMENTATIONS)
    assert set(AUGMENTATIONS) <= set().union(*strengths)


def test_the_export_code(names: dict[str, Any]) -> None:
    _, export = python_blocks(PAGES["docs/networks.md"])
    exec(export, names)  # noqa: S102  # our own document
    assert Runner("bundle").manifest.ways == 4


def test_the_notes_code_does_what_the_runner_does(names: dict[str, Any]) -> None:
    (code,) = python_blocks(NOTES)
    exec(code, names)  # noqa: S102  # our own document
    runner = Runner(names["bundle"])
    learner = runner.adapt(names["support_x"], names["support_y"])
    assert np.array_equal(names["labels"], learner.predict(names["query_x"]))
    further = runner.adapt(names["support_x"], names["support_y"], state=learner)
    np.testing.assert_allclose(names["losses"], further.losses, rtol=1e-5)  # other thread counts


def test_the_page_on_the_command_line_lists_every_command() -> None:
    commands = re.findall(r"^\| `edgemeta (\w+)", PAGES["docs/cli.md"], flags=re.MULTILINE)
    assert set(commands) == set(COMMANDS)


def test_the_options_that_documents_name_exist() -> None:
    """In lines that call `edgemeta COMMAND`, each option is one of that command."""
    context = click.Context(group)
    data = group.get_command(context, "data")
    assert isinstance(data, click.Group)
    for name, text in PAGES.items():
        for command, rest in re.findall(
            r"^edgemeta (?:data )?(\w+) (.*)", text, flags=re.MULTILINE
        ):
            words = rest.split("#")[0]
            found = data.commands.get(command) or group.get_command(context, command)
            assert found is not None, (name, command)
            known = {option for parameter in found.params for option in parameter.opts}
            assert set(re.findall(r"--[\w-]+", words)) <= known, (name, command, rest)


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_exist(page: str) -> None:
    text, folder = PAGES[page], (ROOT / page).parent
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text)
    for path, anchor in links:
        target = folder / path if path else ROOT / page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target.read_text()), (path, anchor)
    paths = re.findall(r"`((?:edgemeta|export|tests|benchmarks)/[\w./]*)`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def anchors(text: str) -> set[str]:
    """Return what links may name: the headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_names_every_page() -> None:
    index = PAGES["docs/README.md"]
    pages = {path.name for path in DOCS.glob("*.md")} - {"README.md"}
    assert [page for page in sorted(pages) if f"]({page})" not in index] == []


def test_the_page_on_security_names_what_exists_and_what_was_measured() -> None:
    page = (ROOT / "SECURITY.md").read_text()
    tests = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    assert set(re.findall(r"(test_\w+\.py)", page)) <= set(tests)
    functions = re.findall(r"`(test_\w+)`", page)
    assert functions
    assert all(f"def {name}(" in "".join(tests.values()) for name in functions)
    paths = re.findall(r"`((?:edgemeta|tests|benchmarks)/[\w./]*)`", page)
    assert all((ROOT / path).exists() for path in paths)
    fuzzed = json.loads((ROOT / "benchmarks" / "results" / "fuzz.json").read_text())
    sessions = fuzzed["targets"]["session"]
    assert f"{fuzzed['inputs'] - sessions['inputs']:,} inputs, guided by coverage" in page
    assert f"at most {fuzzed['longest_ms']:.0f} ms" in page
    assert f"refused {sessions['refused_by_reader']:,};" in page
    assert f"refused {sessions['refused_by_onnxruntime']} and loaded {sessions['loaded']}," in page
    languages = json.loads((ROOT / "benchmarks" / "results" / "fuzz_languages.json").read_text())
    inputs = {each["inputs"] for each in languages["languages"].values()}
    assert [f"{count:,} damaged ones for each" in page for count in inputs] == [True]


def test_the_readme_names_each_extra() -> None:
    for extras in ("audio", "desk", "desk,speech", "desk,vision", "images", "sign", "dev"):
        assert f"'.[{extras}]'" in README


def test_the_page_on_meta_training_is_the_scripts() -> None:
    from benchmarks.pages.meta_training import TARGET, page

    assert TARGET.read_text() == page(), "run `python -m benchmarks.pages.meta_training`"


def test_the_page_on_what_can_be_compiled_is_the_scripts() -> None:
    from benchmarks.pages.support import TARGET, page

    assert TARGET.read_text() == page(), "write it anew: python -m benchmarks.pages.support"


def test_the_rules_page_works_as_it_says() -> None:
    """Its example is the rule that stands in the code, but for types."""
    text = (ROOT / "docs" / "adding-a-rule.md").read_text()
    code, _ = python_blocks(text)
    source = (ROOT / "export/edgemeta_export/rules/activation.py").read_text()
    body = code.split('onnxruntime."""\n')[1].strip()
    assert body in source


def test_the_performance_page_is_the_scripts() -> None:
    from benchmarks.pages.performance import TARGET, page

    assert TARGET.read_text() == page(), "write it anew: python -m benchmarks.pages.performance"


def test_the_page_on_estimators_is_the_scripts() -> None:
    from benchmarks.pages.estimators import TARGET, page

    assert TARGET.read_text() == page(), "write it anew: python -m benchmarks.pages.estimators"


def test_the_page_on_parity_is_the_scripts() -> None:
    from benchmarks.pages.parity import TARGET, page

    assert TARGET.read_text() == page(), "write it anew: python -m benchmarks.pages.parity"


def test_the_page_on_targets_is_the_scripts() -> None:
    from benchmarks.pages.targets import TARGET, page

    assert TARGET.read_text() == page(), "write it anew: python -m benchmarks.pages.targets"


def test_the_code_for_an_onnx_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(perceptron(), "body.onnx")
    code, _ = python_blocks(PAGES["docs/networks.md"])
    found = {"training_x": torch.tensor(samples(50)), "example_x": samples(6)}
    exec(code, found)  # noqa: S102
    x, y = samples(6), np.arange(6) % 3
    assert Runner("objects").adapt(x, y).predict(x).shape == (6,)


def test_the_figures_of_pre_trained_networks_are_the_logs() -> None:
    log = (ROOT / "benchmarks" / "results" / "pretrained.txt").read_text()
    page = (ROOT / "docs" / "networks.md").read_text()
    figures = re.findall(r"\d+\.\d ± \d\.\d", page)
    assert len(figures) > 12
    # Bundles print shares of one, their peers percent.
    shares = re.findall(r"accuracy (0\.\d+) ± (0\.\d+)", log)
    known = {f"{100 * float(a):.1f} ± {100 * float(b):.1f}" for a, b in shares}
    known |= set(re.findall(r"\d+\.\d ± \d\.\d", log))
    assert set(figures) <= known
