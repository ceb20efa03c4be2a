"""Classifiers with names, on an adapter and in Python: the same labels, numbers and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from edgemeta.bundle.state import Label
from tests.named import NAMES
from tests.parity.adapters.python import Replayer
from tests.parity.replay import DisagreementError

# Shares of the largest number: float32 logits of two runtimes, which a familiarity divides by one
# another; largest seen 1.5e-6
TOLERANCE = 1e-4
QUERIES = 12
NUMBERS = ("probabilities", "familiarity", "temperature")

Answer = dict[str, Any]
Ask = Callable[..., Answer]
Draw = Callable[[int, np.random.Generator], NDArray[Any]]


@dataclass(frozen=True)
class Options:
    """What a classifier is made with; see `FewShotClassifier`."""

    steps: int | None = None
    lr_scale: float = 1.0
    calibrate: bool = True
    reject: float | None = None
    unknown: Label = "unknown"
    keep_support: bool = False


@dataclass(frozen=True)
class Question:
    """What a classifier learns, and how.

    Attributes:
        names: of the classes, as the labels count them.
        samples: of each class.
        options: of the classifier.
    """

    names: tuple[Label, ...]
    samples: int
    options: Options


QUESTIONS = {
    "texts": Question(("ba", "\U0001d4b3", "\uff21"), 3, Options()),
    "numbers": Question((10, 9, -3), 2, Options(steps=2, lr_scale=0.5, keep_support=True)),
    "mixed": Question(("b", 2, "a"), 1, Options(unknown=0)),
    "two": Question(("no", "yes"), 6, Options(calibrate=False)),
}
"""Texts of which UTF-16 and code points have another order, numbers, both; enough samples to
calibrate, and not; kept and not."""


NAMED_QUESTIONS = {
    "some": Question(("tee", "box", "bar"), 3, Options()),
    "one": Question(("slope",), 2, Options(keep_support=True)),
    "one of each": Question(NAMES, 1, Options(steps=2)),
    "all": Question(NAMES, 2, Options(keep_support=True)),
}
"""For the bundle of `tests.named`: classes in another order than its own, and without samples."""


def classify_all(
    ask: Ask,
    samples: Draw,
    bundle: Path,
    folder: Path,
    questions: Mapping[str, Question] = QUESTIONS,
) -> float:
    """Ask an adapter all questions, and have it exchange files with Python.

    Args:
        ask: of a running adapter, such as `Adapter.ask`.
        samples: draws (count, *shape) samples for the bundle.
        bundle: the directory, of a classification.
        folder: an empty one.
        questions: what to ask; a bundle that names its classes has no others.

    Returns:
        The largest difference from Python, in shares of its limit.

    Raises:
        DisagreementError: a difference exceeds its limit, or labels differ.
    """
    python = Replayer()
    shares = []
    for name, question in questions.items():
        episode = folder / f"{name}.safetensors"
        save_file(_episode(samples, question), episode)
        request = {"bundle": str(bundle), "episode": str(episode), "names": list(question.names)}
        plain = python.classify({**request, **_files(), "options": asdict(question.options)})
        options = asdict(question.options) | {"reject": _between(plain["familiarity"])}
        theirs, own = folder / f"{name}-theirs", folder / f"{name}-own"
        want = python.classify({**request, **_files(save=own), "options": options})
        for case, asked, files in (
            ("fitted", ask, _files(save=theirs)),
            ("reads Python's", ask, _files(load=own)),
            ("is read by Python", _of(python), _files(load=theirs)),
        ):
            got = asked(op="classify", **request, **files, options=options)
            shares.append(compare(got, want, f"{bundle.name}, {name}, {case}"))
    return max(shares)


def compare(got: Answer, want: Answer, where: str) -> float:
    """Return the largest difference of an answer from Python's, in shares of its limit.

    Raises:
        DisagreementError: it exceeds the limit, or what is no number is not the same.
    """
    for name in ("labels", "classes"):
        if got.get(name) != want[name]:
            raise DisagreementError(f"{where}: {name} {got.get(name)}, expected {want[name]}")
    shares = []
    for name in NUMBERS:
        wanted, found = _numbers(want[name]), _numbers(got.get(name))
        limit = TOLERANCE * np.abs(wanted).max(initial=0)
        fits = found.shape == wanted.shape
        apart = np.abs(found - wanted).max(initial=0) if fits else np.inf
        if not apart <= limit:
            raise DisagreementError(
                f"{where}: {name} differs from Python by {apart:.3g}, expected at most {limit:.3g}"
            )
        shares.append(float(apart / limit) if limit else 0.0)
    return max(shares)


def _numbers(value: Any) -> NDArray[np.float64]:
    """Return numbers as an array, of length 0 where there are none."""
    return np.array([] if value is None else value, np.float64)


def _episode(samples: Draw, question: Question) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(0)
    y = rng.permutation(np.arange(len(question.names)).repeat(question.samples))
    x = samples(len(y), rng)
    # Some of the queries are samples that were learned from.
    query = np.concatenate([x[: QUERIES // 4], samples(QUERIES - QUERIES // 4, rng)])
    return {"x": x, "y": y.astype(np.int64), "query": query}


def _files(load: Path | None = None, save: Path | None = None) -> dict[str, str | None]:
    paths = {"load": load, "save": save}
    return {name: None if path is None else str(path) for name, path in paths.items()}


def _between(familiarity: list[float]) -> float:
    """Return a threshold that is far from all of them, so that rounding does not matter."""
    found = np.sort(np.maximum(familiarity, 0))
    place = int(np.diff(found).argmax())
    return float((found[place] + found[place + 1]) / 2)


def _of(python: Replayer) -> Ask:
    return lambda op, **request: python.classify(request)
