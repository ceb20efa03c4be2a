from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError
from edgemeta.meta.inner.loop import InnerLoop
from edgemeta.meta.inner.losses import LOSSES
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.report import _episodes as episodes
from edgemeta.meta.report._markup import image, table
from edgemeta.meta.report._measure import Measured, confusion_counts, hardest_pairs, measure
from edgemeta.meta.report.page import make_page
from edgemeta.meta.runs.adapter import TorchAdapter, run_adapter
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import DataOptions, Episode, EpisodeSize, open_tasks

GLYPHS = TrainConfig(
    tasks="glyphs",
    model="mlp",
    hidden=(8,),
    queries=2,
    meta_batch=2,
    iterations=2,
    validate_every=1,
    validation_episodes=2,
    test_episodes=3,
    evaluation_queries=2,
    threads=1,
)
VOID = {"meta", "img", "source", "br"}


class Page(HTMLParser):
    """Reads a page, and holds it to what every page must be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.headings: list[str] = []
        self.alts: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()
        assert self.open == []
        assert self.tags["h1"] == 1
        assert self.tags["caption"] == self.tags["table"]
        assert self.tags["script"] == self.tags["link"] == 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag not in VOID and tag != "polyline":
            self.open.append(tag)
        known = dict(attrs)
        for name in ("src", "srcset", "href"):
            assert (known.get(name) or "data:").startswith("data:")
        if tag == "img":
            assert known["alt"]
            self.alts.append(known["alt"])
        if tag == "svg":
            assert known["role"] == "img"
            assert known["aria-label"]
            self.alts.append(known["aria-label"])

    def handle_endtag(self, tag: str) -> None:
        if tag != "polyline":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("h1", "h2", "h3", "h4"):
            self.headings.append(data)
        if "style" not in self.open:
            self.words += data.replace("\N{NO-BREAK SPACE}", " ")


def trained(config: TrainConfig, path: Path) -> Path:
    Trainer(config, path).train()
    return path


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(GLYPHS, tmp_path_factory.mktemp("runs") / "<glyphs>")


def test_a_page_needs_nothing_and_says_what_was_trained(glyphs: Path) -> None:
    html = make_page(glyphs, episodes=3)
    page = Page(html)
    assert page.headings[0] == "Run <glyphs>"
    result = Run(glyphs).result()
    assert result is not None
    assert f"accuracy {result['mean']:.4f} ± {result['ci95']:.4f}" in page.words
    assert "Inductive" in page.words
    assert "have no names" in page.words  # glyphs' classes: hence no confusion matrix
    assert "edgemeta baselines" in page.words
    changed, same = page.words.index("hidden"), page.words.index("have their defaults")
    assert changed < same < page.words.index("meta_lr")
    # 5 support samples and 2 queries of each of 5 classes in each of 3 episodes.
    assert sum(alt.startswith("support sample of") for alt in page.alts) == 3 * 5
    assert sum(alt.startswith("query of") for alt in page.alts) == 3 * 10
    assert "http" not in html.replace("http-equiv", "")
    assert html == make_page(glyphs, episodes=3)


def test_what_is_marked_right_is_right(glyphs: Path) -> None:
    html = make_page(glyphs, episodes=3)
    adapter, source, size = run_adapter(glyphs), open_tasks("glyphs"), EpisodeSize(5, 1, 2)
    right = 0
    for index in range(3):
        episode = source.episode("test", size, 0, index)
        right += int(np.sum(adapter.adapt_and_predict(episode).argmax(1) == episode.query_y))
    assert html.count('<figure class="right">') == html.count(": right") == right
    assert html.count('<figure class="wrong">') == 3 * 10 - right


def test_each_number_of_steps_is_measured(glyphs: Path) -> None:
    adapter, source = run_adapter(glyphs), open_tasks("glyphs")
    found = measure(adapter, source, EpisodeSize(5, 1, 2), episodes=3, seed=0)
    assert list(found.by_step) == list(range(11))
    result = Run(glyphs).result()
    assert result is not None
    assert found.by_step[1].mean == result["mean"]  # the same episodes as the training's test
    assert sum(found.confused.values()) == 3 * 10
    adapter.inner_steps = 7
    further = measure(adapter, source, EpisodeSize(5, 1, 2), episodes=2, seed=0)
    assert len(further.by_step) == 15
    assert len(further.shown) == 2


NAMES = ("<script>alert(1)</script>", "sit & stand", 'a "b"', "down")


@pytest.fixture(scope="module")
def people(write_npz: Callable[..., Path]) -> Path:
    """Four classes with difficult names, shown by six people, as arrays (8, 3)."""
    rng = np.random.default_rng(0)
    y = np.tile(np.repeat(NAMES, 6), 6)
    x = rng.normal(size=(len(y), 8, 3)).astype(np.float32)
    return write_npz(x=x, y=y, subject=np.arange(6).repeat(24))


def test_fixed_classes_have_a_confusion_matrix(people: Path, tmp_path: Path) -> None:
    config = replace(GLYPHS, tasks=str(people), by="subject", ways=4)
    html = make_page(trained(config, tmp_path / "run"), episodes=4)
    page = Page(html)
    assert "<script>" not in html
    assert NAMES[0] in page.words
    assert any(alt.startswith("Confusion matrix of 4 classes") for alt in page.alts)
    assert "in tasks that had both" in page.words
    assert page.tags["svg"] == 3 * (4 + 8)  # samples that are no images are lines
    assert page.tags["polyline"] == 3 * page.tags["svg"]
    assert str(people.parent) not in html  # a page may be shown to others


def test_new_classes_with_names_have_hard_pairs(
    tmp_path: Path, write_npz: Callable[..., Path]
) -> None:
    names = np.array([f"sign {k}" for k in range(12)])
    x = np.random.default_rng(0).integers(0, 255, (72, 8, 8, 3), np.uint8)
    config = replace(GLYPHS, tasks=str(write_npz(x=x, y=names.repeat(6))), ways=2)
    page = Page(make_page(trained(config, tmp_path / "run"), episodes=4))
    assert "instead of a confusion matrix" in page.words
    assert re.search(r"sign \d+sign \d+\d of \d+", page.words)
    assert not any("Confusion" in alt for alt in page.alts)
    assert page.tags["svg"] == 0  # they are images


def test_regression_shows_curves(tmp_path: Path) -> None:
    config = replace(GLYPHS, tasks="sinusoid", shots=5, queries=5, inner_lr=0.01)
    page = Page(make_page(trained(config, tmp_path / "run"), episodes=3))
    assert "Mean squared error by inner step" in page.headings
    assert "Errors" not in page.headings
    assert page.alts.count("Predictions before and after adapting to 5 support samples") == 3


def test_regression_of_several_variables_shows_the_agreement() -> None:
    model = torch.nn.Linear(3, 2)
    adapter = TorchAdapter(
        InnerLoop(model, LOSSES["regression"]),
        input=TensorSpec((3,), "float32"),
        ways=None,
        inner_steps=1,
        inner_lr=0.1,
    )
    x, y = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)
    episode = Episode(x, y, x, y)
    found = Measured(shown=[(episode, adapter.predict_after(episode, (0, 1)))])
    assert "Predicted over true targets of 8 values" in episodes.regressed(adapter, found)


def test_a_table_of_regression_tasks(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        f"{house},{a:.3f},{b:.3f},{a - b:.3f}"
        for house in range(8)
        for a, b in rng.normal(size=(8, 2))
    ]
    (tmp_path / "t.csv").write_text("\n".join(["house,a,b,target", *rows]))
    config = replace(GLYPHS, tasks=str(tmp_path / "t.csv"), data=DataOptions(task="house"), shots=2)
    page = Page(make_page(trained(config, tmp_path / "run"), episodes=2))
    assert "task house" in page.words
    assert "Predicted over true targets of 4 values" in page.alts


def test_baselines_are_shown_if_they_are_there(glyphs: Path, tmp_path: Path) -> None:
    run = Run(trained(replace(GLYPHS, iterations=1), tmp_path / "run"))
    entry = {"init": "random", "method": "all weights", "weights": "", "steps": 5, "inner_lr": 0.1}
    record = {
        "metric": "accuracy",
        "statistics": "inductive",
        "setting": {"episodes": 7},
        "grid": {"episodes": 6, "steps": [1, 5], "inner_lr": [0.1]},
        "contestants": [
            entry | {"mean": 0.5, "ci95": 0.25},
            entry | {"init": "pretrained", "mean": None, "ci95": None},
            entry,
        ],
    }
    run.write_baselines(record)
    page = Page(make_page(run.path, episodes=2))
    assert "random, all weights50.10.5000 ± 0.2500" in page.words.replace("\n", "")
    assert "pretrained, all weights50.1diverged" in page.words
    assert "the best of 2 on 6 validation episodes. 1 are not measured yet" in page.words
    assert not any("shots" in alt for alt in page.alts)


def test_accuracy_against_shots_is_shown_if_it_is_there(glyphs: Path, tmp_path: Path) -> None:
    run = Run(shutil.copytree(glyphs, tmp_path / "run"))
    points = [{"shots": k, "mean": 0.1 * k, "ci95": 0.01} for k in (5, 1)]
    entry = {"init": "pretrained", "method": "prototype", "mean": 0.5, "ci95": 0.25}
    record: dict[str, Any] = {
        "metric": "accuracy",
        "statistics": "inductive",
        "setting": {"episodes": 7, "shots": 1},
        "grid": {"episodes": 6, "steps": [1, 5], "inner_lr": [0.1], "C": [1.0]},
        "curve": {"episodes": 4, "shots": [1, 5]},
        "contestants": [
            entry | {"method": "as trained", "curve": points},
            entry | {"method": "logistic regression", "C": 10.0, "curve": points[:1]},
            entry | {"method": "head", "curve": [{"shots": 5, "mean": None, "ci95": None}]},
            {"init": "random", "method": "all weights"},
        ],
    }
    run.write_baselines(record)
    page = Page(make_page(run.path, episodes=2))
    words = page.words.replace("\n", "")
    assert "pretrained, logistic regression-C 100.5000 ± 0.2500" in words
    assert "pretrained, as trained0.1000 ± 0.01000.5000 ± 0.0100" in words
    assert "pretrained, headdiverged" in words
    assert "on 4 test episodes each" in words
    (alt,) = (alt for alt in page.alts if "shots" in alt)
    assert alt.startswith("Test accuracy of pretrained, as trained: 0.1 with 1 shots, 0.5 with 5")
    assert alt.endswith("2 baselines beside it")


def test_evaluations_on_other_tasks_are_shown(tmp_path: Path) -> None:
    run = Run(trained(replace(GLYPHS, iterations=1), tmp_path / "run"))
    assert "On these and other tasks" not in make_page(run.path, episodes=2)
    setting = {"tasks": "omniglot", "split": "test", "ways": 5, "shots": 1, "steps": None}
    found = {"metric": "accuracy", "mean": 0.5, "ci95": 0.25}
    run.note_evaluation(setting | {"episodes": 9}, found | {"mean": 0.1})
    run.note_evaluation(setting | {"episodes": 7}, found)
    run.note_evaluation(setting | {"episodes": 9}, found)
    words = Page(make_page(run.path, episodes=2)).words.replace("\n", "")
    assert words.count("omniglot, test5-way 1-shotas trained") == 2
    assert "7accuracy 0.5000" in words
    assert "0.1000 ± 0.2500" not in words
    assert "unknown" not in words
    at = [
        {"false_alarms": 0.01, "threshold": 0.9, "mean": 0.25, "ci95": 0.125},
        {"false_alarms": 0.05, "threshold": 0.8, "mean": 0.75, "ci95": 0.125},
    ]
    unknown = {"classes": 3, "area": 0.875, "at": at}
    run.note_evaluation(setting | {"episodes": 5, "unknown": 3}, found | {"unknown": unknown})
    words = Page(make_page(run.path, episodes=2)).words.replace("\n", "")
    assert "with unknown classes" in words
    assert "3 unknown: area 0.8750; 0.2500 ± 0.1250 right at 1 % false alarms; 0.75" in words


def test_a_run_that_has_not_ended(tmp_path: Path) -> None:
    run = Run(trained(GLYPHS, tmp_path / "run"))
    run.result_path.unlink()
    assert "The training has not ended" in Page(make_page(run.path, episodes=2)).words
    run.checkpoint_path("best").unlink()
    with pytest.raises(InputError, match="does not exist"):
        make_page(run.path)
    with pytest.raises(InputError, match=r"config\.toml"):
        make_page(tmp_path / "nowhere")


def test_pairs_and_counts() -> None:
    found = Measured(
        confused=Counter({(3, 3): 5, (3, 7): 2, (7, 3): 2, (7, 9): 3, (9, 9): 4}),
        together=Counter({(3, 7): 7, (7, 3): 5, (7, 9): 5, (9, 7): 4}),
    )
    assert hardest_pairs(found, 5) == [(3, 7, 4, 12), (7, 9, 3, 9)]
    assert hardest_pairs(found, 1) == [(3, 7, 4, 12)]
    ids, counts = confusion_counts(found)
    assert ids == [3, 7, 9]
    assert counts.tolist() == [[5, 2, 0], [2, 0, 3], [0, 0, 4]]


@pytest.mark.parametrize(
    ("shape", "dtype", "mark"),
    [
        ((28, 28), "uint8", "<img"),
        ((8, 9, 3), "uint8", "<img"),
        ((3, 8, 9), "uint8", "<img"),
        ((8, 9, 1), "uint8", "<img"),
        ((8, 9, 5), "uint8", "<svg"),
        ((4, 4), "uint8", "<svg"),
        ((28, 28), "float32", "<svg"),
        ((5,), "float32", "<svg"),
        ((), "float32", "<svg"),
    ],
)
def test_samples_of_any_shape(shape: tuple[int, ...], dtype: str, mark: str) -> None:
    assert episodes.sample(np.ones(shape, dtype), "a <b>").startswith(mark)


def test_whatever_comes_from_data_is_escaped() -> None:
    evil = "<i onload='x'>&\""
    assert evil not in table(evil, (evil,), [(evil, evil)]) + image(b"", "png", evil)
    assert table("c", ("h",), [(evil,)]).count(escape(evil)) == 1
