"""A classifier for labels of any type, which can reject samples that are like no class."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgemeta.device.familiarity import familiarity
from edgemeta.device.probabilities import softmax
from edgemeta.device.runner import Runner
from edgemeta.errors import InputError, did_you_mean
from edgemeta.estimators import _merging as merging
from edgemeta.estimators._base import Bundle, FewShot
from edgemeta.estimators._calibration import find_temperature, folds
from edgemeta.estimators._familiarity import compared, for_all, own_lead
from edgemeta.estimators._labels import as_array, as_label, as_labels, classes_of
from edgemeta.estimators._saved import Notes, Saved


class FewShotClassifier(FewShot):
    """Learns classes from a few labelled samples each.

    A bundle that names its classes (`manifest.labels`) knows them already: labels are then these
    names, all of its classes are there from the start, and those without samples are predicted as
    the bundle does.

    Args:
        bundle: the path of a bundle, the name of a packaged one ("omniglot"), or a runner.
        steps: inner steps; None for the bundle's own number.
        lr_scale: multiplies the inner learning rate.
        threads: of onnxruntime; None for one per core.
        keep_support: whether to keep the samples, here and in the file that `save` writes. Then
            `partial_fit` and `forget` give what `fit` would on all samples that count.
        calibrate: whether to find a temperature for the probabilities; this takes up to 5 more
            adaptations.
        reject: samples less familiar than this are unknown; see `familiarity`. None: no sample is.
        unknown_label: what `predict` calls it.

    Attributes:
        classes_: (C,) labels, ascending if they have an order; later ones are at the end. Those of
            the bundle, in its order, where it names them.
        calibrated_: whether the probabilities are calibrated. That needs two classes or more, two
            samples or more of each, all of them in the last call of `fit`; where the bundle names
            the classes, of each that has samples.
        temperature_: what the logits are divided by; 1 where they are not calibrated.
        n_features_in_: numbers in one sample.
        runner_: of the bundle.

    Example:
        >>> import edgemeta
        >>> import numpy as np
        >>> drawings = np.zeros((2, 28, 28), np.uint8)
        >>> drawings[0, 4:24, 13:16] = drawings[1, 13:16, 4:24] = 255  # two bars
        >>> classifier = edgemeta.FewShotClassifier("omniglot")
        >>> classifier.fit(drawings, ["upright", "flat"]).predict(drawings).tolist()
        ['upright', 'flat']
        >>> corner = np.maximum(*drawings)
        >>> classifier.partial_fit(corner[None], ["cross"]).classes_.tolist()
        ['flat', 'upright', 'cross']
    """

    _task = "classification"
    classes_: NDArray[Any]
    calibrated_: bool
    temperature_: float
    _labels: list[Hashable]
    # (C,) float32: how far each class's own samples are above the reference; 0 without samples,
    # but for a class that the bundle names.
    _lead: NDArray[np.float32]

    def __init__(
        self,
        bundle: Bundle,
        *,
        steps: int | None = None,
        lr_scale: float = 1.0,
        threads: int | None = None,
        keep_support: bool = False,
        calibrate: bool = True,
        reject: float | None = None,
        unknown_label: Hashable = "unknown",
    ) -> None:
        self.bundle = bundle
        self.steps = steps
        self.lr_scale = lr_scale
        self.threads = threads
        self.keep_support = keep_support
        self.calibrate = calibrate
        self.reject = reject
        self.unknown_label = unknown_label

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Learn from these samples, and from nothing before.

        Args:
            X: (S, *input_shape) samples as the bundle was trained on them, or rows (S, features).
            y: (S,) labels of any hashable type; numbers have to be whole.

        Raises:
            InputError: something cannot be used, or there are more classes than the head has, or
                others than the bundle names.
            BundleError: the bundle cannot be opened.
        """
        runner = self._open()
        x = self._samples_of(runner, X)
        labels = as_labels(y, len(x))
        self._learn(runner, classes_of(labels, runner.manifest.labels), x, labels)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Sequence[Hashable] | None = None) -> Self:  # noqa: N803
        """Learn from these samples too; labels that are new are new classes.

        With a kept support set, this learns from it and these samples together, like `fit`. Without
        one, it adapts to these samples alone and averages the result with the present state; the
        module `_merging` says how exact that is. The probabilities are then not calibrated.

        Args:
            X: (S, *input_shape) samples, or rows (S, features).
            y: (S,) labels of any hashable type.
            classes: labels of further classes, of which there may be no samples yet.

        Raises:
            InputError: something cannot be used, or there are more classes than the head has, or
                others than the bundle names.
        """
        first = not self._is_fitted()
        runner = self._open() if first else self.runner_
        x = self._samples_of(runner, X)
        labels = as_labels(y, len(x))
        said = [*labels, *map(as_label, () if classes is None else classes)]
        named = classes_of(said, runner.manifest.labels)
        if first:
            self._learn(runner, named, x, labels)
            return self
        known = list(dict.fromkeys([*self._labels, *named]))
        if self.keep_support:
            kept_x, kept_y = self._kept()
            before = [self._labels[k] for k in kept_y]
            self._learn(runner, known, np.concatenate([kept_x, x]), [*before, *labels])
        else:
            self._learn_more(runner, known, x, labels)
        return self

    def forget(self, label: Hashable) -> Self:
        """Unlearn a class.

        With a kept support set, the samples of the class are dropped and the others are learned
        anew: nothing of the class is left. Without one, its row of the shared head is dropped and
        the other rows stay. Other layers that adapt keep what they learned from this class.

        A class that the bundle names stays in `classes_`: what is forgotten are its samples.

        Raises:
            NotFittedError: nothing was learned yet.
            InputError: there is no such class, or no other one, or neither a shared head nor a kept
                support set.
        """
        self._check_fitted()
        if label not in self._labels:
            names = [name for name in self._labels if isinstance(name, str)]
            raise InputError(
                "there is no such class",
                got=repr(label),
                hint=did_you_mean(str(label), names) or "classes_ has all",
            )
        place = self._labels.index(label)
        others = [*self._labels[:place], *self._labels[place + 1 :]]
        if self.runner_.manifest.labels is not None:
            others = self._labels
        if self.keep_support:
            x, y = self._kept()
            stay = y != place
            if not stay.any():
                raise InputError("no other class has samples", got=repr(label), hint="fit again")
            self._learn(self.runner_, others, x[stay], [self._labels[k] for k in y[stay]])
            return self
        if not self.runner_.manifest.any_ways:
            raise InputError(
                "a head of fixed width cannot forget a single class",
                hint="set keep_support and fit again, or export with --head shared",
            )
        if not others:
            raise InputError("this is the only class", got=repr(label), hint="fit again")
        # The logits of the others grow, and with them what they are divided by.
        classes = int(np.sum(self._samples > 0))
        scale = classes / max(classes - 1, 1) if self._samples[place] else 1.0
        learner = merging.forgotten(self.runner_, self._learner, place, scale)
        # The support set, if there is one, is of a time when it was to be kept.
        self._set(self.runner_, learner, np.delete(self._samples, place), None)
        temperature = self.temperature_ * scale if self.calibrated_ else None
        lead = np.delete(self._lead, place) * np.float32(scale)
        self._set_classes(others, lead, temperature)
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Return the label of each sample, (Q,); `unknown_label` for what is rejected.

        Args:
            X: (Q, *input_shape) samples, or rows (Q, features).

        Raises:
            NotFittedError: nothing was learned yet.
            InputError: the samples cannot be used.
        """
        threshold = self._threshold()
        logits, reference = self._logits(X)
        winners = logits.argmax(1)
        if threshold is None:
            found: NDArray[Any] = self.classes_[winners]
            return found
        winners[familiarity(logits, reference, self._lead) < threshold] = -1
        found = as_array([*self._labels, self.unknown_label])[winners]
        return found

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class, (Q, C), given that it is one of them.

        They are calibrated where `calibrated_` says so. Arguments and errors are those of
        `predict`.
        """
        logits, _ = self._logits(X)
        return softmax(logits / self.temperature_)

    def familiarity(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Return how familiar samples are, (Q,): 1 is as familiar as the samples learned from.

        `edgemeta.device.familiarity` says how it is found. Arguments and errors are those of
        `predict`.
        """
        return familiarity(*self._logits(X), self._lead)

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the share of samples that get the right label.

        Args:
            X: (Q, *input_shape) samples, or rows (Q, features).
            y: (Q,) labels; `unknown_label` is right for what should be rejected.

        Raises:
            NotFittedError: nothing was learned yet.
            InputError: something cannot be used.
        """
        found = self.predict(X).tolist()
        right = [got == want for got, want in zip(found, as_labels(y, len(found)), strict=True)]
        return float(np.mean(right))

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn calls this.
        from sklearn.utils import ClassifierTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=self._input_tags(),
        )

    def _to_save(self) -> Saved:
        notes = Notes(
            labels=self._labels,
            temperature=self.temperature_ if self.calibrated_ else None,
            samples=self._samples.tolist(),
            flat=True,
        )
        support = self._support if self.keep_support else None
        return Saved(self._learner, notes, self._lead, support)

    def _take(self, runner: Runner, found: Saved) -> None:
        self._set(runner, found.learner, np.array(found.notes.samples), found.support)
        assert found.lead is not None and found.notes.labels is not None  # noqa: S101, PT018
        self._set_classes(found.notes.labels, found.lead, found.notes.temperature)

    def _learn(
        self, runner: Runner, known: list[Hashable], x: NDArray[Any], labels: list[Hashable]
    ) -> None:
        """Adapt the init to all there is to learn from."""
        y = self._numbered(runner, known, labels)
        learner = self._adapted(runner, x, y, len(known))
        lead = own_lead(runner, learner, x, y, len(known))
        temperature = self._find_temperature(runner, x, y, len(known))
        self._set(runner, learner, np.bincount(y, minlength=len(known)), (x, y))
        self._set_classes(known, lead, temperature)

    def _learn_more(
        self, runner: Runner, known: list[Hashable], x: NDArray[Any], labels: list[Hashable]
    ) -> None:
        """Adapt to further samples and take the average with what was before."""
        y = self._numbered(runner, known, labels)
        apart = self._adapted(runner, x, y, len(known))
        new = np.bincount(y, minlength=len(known))
        learner = merging.merge(runner, self._learner, self._samples, apart, new)
        samples = np.pad(self._samples, (0, len(known) - len(self._samples)))
        before = np.pad(self._lead, (0, len(known) - len(self._lead)))
        if runner.manifest.labels is None:
            # Of a class without new samples, what it scored on the old counts less among more
            # classes. Rows of a head that were trained do not come from the samples alone.
            before *= np.float32(np.sum(samples > 0) / np.sum(samples + new > 0))
        lead = np.where(new > 0, own_lead(runner, learner, x, y, len(known)), before)
        self._set(runner, learner, samples + new, None)
        self._set_classes(known, lead, None)

    def _set_classes(
        self, labels: list[Hashable], lead: NDArray[np.float32], temperature: float | None
    ) -> None:
        if self.runner_.manifest.labels is not None:
            lead = for_all(lead, self._samples)
        self._labels, self.classes_, self._lead = labels, as_array(labels), lead
        self.calibrated_ = temperature is not None
        self.temperature_ = 1.0 if temperature is None else temperature

    def _numbered(
        self, runner: Runner, known: list[Hashable], labels: list[Hashable]
    ) -> NDArray[np.int64]:
        """Return the place (S,) of each label among the known ones.

        Raises:
            InputError: the head has no room for so many.
        """
        most = (runner.manifest.most_ways or 0) - runner.manifest.any_ways  # one is the spare
        if len(known) > most:
            raise InputError(
                "y has more classes than the bundle can tell apart",
                got=len(known),
                expected=f"at most {most}",
                hint="a bundle of `edgemeta train --head shared` takes any number",
            )
        place = {label: k for k, label in enumerate(known)}
        return np.array([place[label] for label in labels], np.int64)

    def _find_temperature(
        self, runner: Runner, x: NDArray[Any], y: NDArray[np.int64], classes: int
    ) -> float | None:
        """Return the temperature by held-out samples; None where it should or can not be found."""
        counts = np.bincount(y, minlength=classes)
        if runner.manifest.labels is not None:  # it predicts a class without samples as well
            counts = counts[counts > 0]
        if not self.calibrate or len(counts) < 2 or counts.min() < 2:
            return None
        logits, labels = [], []
        for held_out in folds(y):
            learner = self._adapted(runner, x[~held_out], y[~held_out], classes)
            logits.append(compared(runner, learner, x[held_out], classes)[0])
            labels.append(y[held_out])
        return find_temperature(np.concatenate(logits), np.concatenate(labels))

    def _logits(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:  # noqa: N803
        self._check_fitted()
        x = self._samples_of(self.runner_, X)
        return compared(self.runner_, self._learner, x, len(self._labels))

    def _threshold(self) -> float | None:
        if self.reject is None or (
            isinstance(self.reject, int | float | np.number) and 0 <= self.reject < np.inf
        ):
            return self.reject
        raise InputError(
            "reject is out of range", got=repr(self.reject), expected="None, or a number >= 0"
        )
