"""A regressor that learns a function from a few of its values."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from edgemeta.device.inputs import check_targets
from edgemeta.device.runner import Runner
from edgemeta.errors import InputError
from edgemeta.estimators._base import Bundle, FewShot
from edgemeta.estimators._saved import Notes, Saved


class FewShotRegressor(FewShot):
    """Learns a function from a few samples of it.

    Args:
        bundle: the path of a bundle, the name of a packaged one, or a runner.
        steps: inner steps; None for the bundle's own number.
        lr_scale: multiplies the inner learning rate.
        threads: of onnxruntime; None for one per core.
        keep_support: whether to keep the samples, here and in the file that `save` writes. Then
            `partial_fit` gives what `fit` would on all samples.

    Attributes:
        n_features_in_: numbers in one sample.
        runner_: of the bundle.

    Example:
        >>> import edgemeta
        >>> import numpy as np
        >>> x = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
        >>> regressor = edgemeta.FewShotRegressor("sines").fit(x, np.sin(x))
        >>> regressor.predict(x).shape
        (5, 1)
    """

    _task = "regression"
    _flat: bool  # whether the targets came without an axis for the one target

    def __init__(
        self,
        bundle: Bundle,
        *,
        steps: int | None = None,
        lr_scale: float = 1.0,
        threads: int | None = None,
        keep_support: bool = False,
    ) -> None:
        self.bundle = bundle
        self.steps = steps
        self.lr_scale = lr_scale
        self.threads = threads
        self.keep_support = keep_support

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Learn from these samples, and from nothing before.

        Args:
            X: (S, *input_shape) samples as the bundle was trained on them, or rows (S, features).
            y: (S, *target_shape) targets; (S,) also where there is one target.

        Raises:
            InputError: something cannot be used.
            BundleError: the bundle cannot be opened.
        """
        runner = self._open()
        x = self._samples_of(runner, X)
        targets, flat = _as_targets(runner, y, len(x))
        self._learn(runner, x, targets)
        self._flat = flat
        return self

    def partial_fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Learn from these samples too.

        With the kept support set, from it and these samples together, as `fit` would. Without it,
        the present state adapts to these samples. Arguments and errors are those of `fit`.
        """
        if not self._is_fitted():
            return self.fit(X, y)
        x = self._samples_of(self.runner_, X)
        targets, flat = _as_targets(self.runner_, y, len(x))
        if self.keep_support:
            kept_x, kept_y = self._kept()
            self._learn(
                self.runner_, np.concatenate([kept_x, x]), np.concatenate([kept_y, targets])
            )
        else:
            learner = self.runner_.adapt(
                x, targets, steps=self.steps, lr_scale=self.lr_scale, state=self._learner
            )
            self._set(self.runner_, learner, self._samples + len(x), None)
        self._flat = flat
        return self

    def predict(self, X: Any) -> NDArray[np.float32]:  # noqa: N803
        """Return the outputs (Q, *target_shape), or (Q,) where the targets came like that.

        Args:
            X: (Q, *input_shape) samples, or rows (Q, features).

        Raises:
            NotFittedError: nothing was learned yet.
            InputError: the samples cannot be used.
        """
        self._check_fitted()
        output = self._learner.predict_logits(self._samples_of(self.runner_, X))
        return output[:, 0] if self._flat else output

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the coefficient of determination R², its mean over targets; 1 is perfect.

        A target that is the same in all samples counts as 1 if it is predicted right, else as 0.

        Args:
            X: (Q, *input_shape) samples, or rows (Q, features).
            y: (Q, *target_shape) targets, or (Q,).

        Raises:
            NotFittedError: nothing was learned yet.
            InputError: something cannot be used.
        """
        found = self.predict(X).astype(np.float64)
        wanted = _as_targets(self.runner_, y, len(found))[0].astype(np.float64)
        found, wanted = found.reshape(len(found), -1), wanted.reshape(len(wanted), -1)
        error = ((found - wanted) ** 2).sum(0)
        spread = ((wanted - wanted.mean(0)) ** 2).sum(0)
        constant = np.where(error == 0, 1.0, 0.0)
        return float(
            np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), constant).mean()
        )

    def __sklearn_tags__(self) -> Any:
        # Only scikit-learn calls this.
        from sklearn.utils import RegressorTags, Tags, TargetTags

        return Tags(
            estimator_type="regressor",
            target_tags=TargetTags(required=True),
            regressor_tags=RegressorTags(),
            input_tags=self._input_tags(),
        )

    def _to_save(self) -> Saved:
        notes = Notes(
            labels=None, temperature=None, samples=self._samples.tolist(), flat=self._flat
        )
        return Saved(self._learner, notes, None, self._support if self.keep_support else None)

    def _take(self, runner: Runner, found: Saved) -> None:
        self._set(runner, found.learner, np.array(found.notes.samples), found.support)
        self._flat = found.notes.flat

    def _learn(self, runner: Runner, x: NDArray[Any], y: NDArray[Any]) -> None:
        self._set(runner, self._adapted(runner, x, y), np.array([len(x)]), (x, y))


def _as_targets(runner: Runner, y: Any, samples: int) -> tuple[NDArray[Any], bool]:
    """Return targets (samples, *target_shape), and whether they came without that shape's axis."""
    if y is None:
        raise InputError("this estimator requires y to be passed, but the target y is None")
    spec = runner.manifest.target
    try:
        array = np.asarray(y)
        array = array.astype(np.float64) if array.dtype == object else array
    except (ValueError, TypeError) as error:
        raise InputError("y is no array of numbers", got=error) from error
    flat = spec.shape == (1,) and array.ndim == 1
    return check_targets("y", array[:, None] if flat else array, samples, spec), flat
