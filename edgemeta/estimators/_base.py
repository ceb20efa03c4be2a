"""What the estimators share: the bundle, the samples, the file, scikit-learn's interface.

    classifier = edgemeta.FewShotClassifier("bundle").fit(X, y)
    classifier.predict(X)

They work in scikit-learn's pipelines, searches and cross-validation, and do not need it.
"""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgemeta.bundle import TensorSpec
from edgemeta.device import packaged
from edgemeta.device.inputs import check_samples
from edgemeta.device.runner import Learner, Runner
from edgemeta.errors import InputError, NotFittedError
from edgemeta.estimators import _merging as merging
from edgemeta.estimators import _saved as saved
from edgemeta.estimators._parameters import Parameters

Bundle = str | os.PathLike[str] | Runner


class FewShot(Parameters, ABC):
    """What classifier and regressor share: the bundle, the samples, the file."""

    bundle: Bundle
    steps: int | None
    lr_scale: float
    threads: int | None
    keep_support: bool
    _task: str
    # Of what was learned; absent before.
    runner_: Runner
    n_features_in_: int
    _learner: Learner
    _samples: NDArray[np.int64]  # of each class; of a regression in all
    _support: tuple[NDArray[Any], NDArray[Any]] | None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was learned to a `.safetensors` file, whole or not at all.

        `Runner.load` reads it too, as a plain learner. The parameters are not in it.

        Raises:
            NotFittedError: nothing was learned yet.
            InputError: a label has no equal in JSON.
            EdgemetaError: the file cannot be written.
        """
        self._check_fitted()
        saved.write(path, self.runner_, self._to_save())

    def load(self, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote, in place of `fit`.

        Raises:
            BundleError: the file is missing, damaged, or of another bundle.
            InputError: the parameter `keep_support` is set, and the file has no support set.
        """
        runner = self._open()
        found = saved.read(path, runner)
        if self.keep_support and found.support is None:
            raise InputError(
                f"{path} has no support set",
                expected="one, as keep_support is set",
                hint="set keep_support to False, or fit again",
            )
        self._take(runner, found)
        return self

    @abstractmethod
    def _to_save(self) -> saved.Saved:
        """Return what was learned."""

    @abstractmethod
    def _take(self, runner: Runner, found: saved.Saved) -> None:
        """Take over what was read from a file."""

    def _set(
        self,
        runner: Runner,
        learner: Learner,
        samples: NDArray[np.int64],
        support: tuple[NDArray[Any], NDArray[Any]] | None,
    ) -> None:
        """Store what was learned; keep the support set if `keep_support` is set."""
        self.runner_, self._learner, self._samples = runner, learner, samples
        self.n_features_in_ = math.prod(runner.manifest.input.shape)
        self._support = support if self.keep_support else None

    def _adapted(
        self, runner: Runner, x: NDArray[Any], y: NDArray[Any], classes: int | None = None
    ) -> Learner:
        return merging.adapt(runner, x, y, classes, self.steps, self.lr_scale)

    def _open(self) -> Runner:
        """Return the bundle's runner."""
        if isinstance(self.bundle, Runner):
            if self.threads is not None:
                raise InputError("threads are a runner's own", hint="omit threads")
            runner = self.bundle
        elif self.bundle in packaged.names():
            runner = packaged.load(str(self.bundle), threads=self.threads)
        else:
            runner = Runner(self.bundle, threads=self.threads)
        if runner.manifest.task != self._task:
            raise InputError(
                f"{type(self).__name__} needs another bundle",
                got=f"one for {runner.manifest.task}",
                expected=f"one for {self._task}",
            )
        return runner

    def _is_fitted(self) -> bool:
        return hasattr(self, "runner_")

    def _check_fitted(self) -> None:
        if not self._is_fitted():
            raise NotFittedError(
                f"this {type(self).__name__} is not fitted yet", hint="call fit or load first"
            )

    def _kept(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the kept support set.

        Raises:
            InputError: it was not kept.
        """
        if self._support is None:
            raise InputError(
                "keep_support was not set when this was fitted", hint="fit again, or leave it out"
            )
        return self._support

    def _input_tags(self) -> Any:
        from sklearn.utils import InputTags

        return InputTags(three_d_array=True)

    def _samples_of(self, runner: Runner, X: Any) -> NDArray[Any]:  # noqa: N803  # theirs
        return as_samples(X, runner.manifest.input, type(self).__name__)


def as_samples(x: Any, spec: TensorSpec, who: str) -> NDArray[Any]:
    """Check the X of an estimator.

    Args:
        x: (n, *input_shape) samples, or rows (n, features) of them.
        spec: of one sample.
        who: the estimator's name.

    Returns:
        (n, *input_shape) of the bundle's dtype.

    Raises:
        InputError: it cannot be used.
    """
    shape, features = spec.shape, math.prod(spec.shape)
    if hasattr(x, "toarray"):
        raise InputError("X is sparse", hint="X.toarray() is not")
    try:
        x = np.asarray(x)
        x = x.astype(np.float64) if x.dtype == object else x
    except (ValueError, TypeError) as error:
        raise InputError("X is no array of numbers", got=error) from error
    if x.dtype.kind == "c":
        raise InputError("X is complex", hint="Complex data not supported")
    if x.shape == shape or x.ndim == 1:
        raise InputError(
            "X is no batch of samples",
            got=f"shape {x.shape}",
            expected=f"(n, {', '.join(map(str, shape))})",
            hint="Reshape your data: X[None] is one sample, X[:, None] are samples of one number",
        )
    if x.ndim == 2 and x.shape[1] == 0:
        raise InputError(f"X has 0 feature(s) (shape={x.shape}) while a minimum of 1 is required.")
    if x.ndim == 2 and x.shape[1] != features:
        raise InputError(
            f"X has {x.shape[1]} features, but {who} is expecting {features} features as input",
            hint="samples have to be as the bundle was trained on",
        )
    if x.dtype.kind == "f" and not np.isfinite(x).all():
        raise InputError("X holds NaN or infinity", hint="drop or repair these samples")
    x = x.reshape(-1, *shape) if x.ndim == 2 else x
    return check_samples("X", x, spec)
