"""One adapted state of a bundle, which predicts."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.bundle.state import Label, write_state
from edgemeta.device._model import Model, ways_input
from edgemeta.device.events import emit
from edgemeta.device.inputs import check_samples, is_finite
from edgemeta.device.probabilities import softmax
from edgemeta.errors import InputError


class Learner:
    """An adapted state of a bundle; made by `Runner.adapt`, `Runner.load` or `Runner.init`.

    Attributes:
        losses: (steps + 1,) float32, the support loss before each step and after the last; empty
            if the learner was loaded.
        ways: how many classes the task has; None for regression. The init of a shared head has one.
        frozen: whether `freeze` made it.
        labels: names of the first or of all classes, by class index, if the bundle names them, or
            the learner was read from a state file with names or adapted from such a learner; else
            None.

    Example:
        >>> import edgemeta
        >>> import numpy as np
        >>> drawings = np.zeros((2, 28, 28), np.uint8)
        >>> drawings[0, 4:24, 13:16] = drawings[1, 13:16, 4:24] = 255  # two bars
        >>> learner = edgemeta.load("omniglot").adapt(drawings, [0, 1])
        >>> learner.predict_proba(drawings).shape
        (2, 2)
    """

    def __init__(
        self,
        model: Model,
        values: Mapping[str, NDArray[Any]],
        losses: NDArray[np.float32],
        ways: int | None,
        frozen: bool = False,
        labels: tuple[Label, ...] | None = None,
    ) -> None:
        self.ways = ways
        self.labels = labels if labels is None else labels[:ways]
        self.losses = losses
        self.frozen = frozen
        self._model = model
        self._values = dict(values)  # empty: the init, which the graphs hold themselves
        self._session, self._given = model.predicting, self._values
        if not model.manifest.any_ways:
            self._given = self._values | ways_input(ways)
        if frozen:
            self._session, self._given = model.frozen(self._given), {}

    def predict(self, x: Any) -> NDArray[Any]:
        """Predict.

        Args:
            x: (Q, *input_shape) samples.

        Returns:
            (Q,) int64 labels, or (Q, *target_shape) float32 outputs for regression.

        Raises:
            InputError: the samples cannot be used.

        Example:
            >>> import edgemeta
            >>> import numpy as np
            >>> drawings = np.zeros((2, 28, 28), np.uint8)
            >>> drawings[0, 4:24, 13:16] = drawings[1, 13:16, 4:24] = 255  # two bars
            >>> learner = edgemeta.load("omniglot").adapt(drawings, [0, 1])
            >>> learner.predict(np.roll(drawings, 2, axis=2))
            array([0, 1])
        """
        output = self.predict_logits(x)
        return output.argmax(1) if self._model.manifest.task == "classification" else output

    def predict_logits(self, x: Any) -> NDArray[np.float32]:
        """Return (Q, ways) float32 logits, or the outputs (Q, *target_shape) for regression.

        Raises:
            InputError: the samples cannot be used.
        """
        began = time.perf_counter()
        model = self._model
        samples = check_samples(bundle.QUERY_X, x, model.manifest.input)
        output = model.predict(self._session, {bundle.QUERY_X: samples, **self._given})
        emit(model.observe, "predict", model.path, began, len(samples))
        return output if self.ways is None else output[:, : self.ways]

    def predict_proba(self, x: Any) -> NDArray[np.float32]:
        """Return (Q, ways) float32 probabilities: the softmax of the logits, not calibrated.

        Raises:
            InputError: the samples cannot be used, or the task is regression.
        """
        if self._model.manifest.task != "classification":
            raise InputError("predict_proba is for classification", hint="use predict")
        return softmax(self.predict_logits(x))

    def freeze(self) -> Learner:
        """Return a learner that predicts faster, with the state as constants in a graph of its own.

        This takes as long as loading a bundle, some milliseconds, and keeps a second copy of the
        predicting graph in memory. It pays if you predict often with one state. Predictions differ
        from those of this learner by rounding. You can save a frozen learner, and adapt it further,
        which makes a learner that is not frozen.

        Example:
            >>> import edgemeta
            >>> import numpy as np
            >>> drawings = np.zeros((2, 28, 28), np.uint8)
            >>> drawings[0, 4:24, 13:16] = drawings[1, 13:16, 4:24] = 255  # two bars
            >>> learner = edgemeta.load("omniglot").adapt(drawings, [0, 1]).freeze()
            >>> learner.frozen, learner.predict(drawings)
            (True, array([0, 1]))
        """
        if self.frozen:
            return self
        began = time.perf_counter()
        frozen = Learner(self._model, self._state(), self.losses, self.ways, True, self.labels)
        emit(self._model.observe, "freeze", self._model.path, began)
        return frozen

    def state_dict(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of every tensor of the state, by torch name."""
        return {name: value.copy() for name, value in self._state().items()}

    def _state(self) -> Mapping[str, NDArray[np.float32]]:
        if self._values:
            return self._values
        # No steps hand back the init, whatever the support set is.
        manifest = self._model.manifest
        x = np.zeros((1, *manifest.input.shape), manifest.input.dtype)
        y = np.zeros((1, *manifest.target.shape), manifest.target.dtype)
        return self._model.adapt(x, y, 0, 1.0, {}, None).values

    def save(self, path: str | os.PathLike[str], labels: Sequence[Label] | None = None) -> None:
        """Write the state to a `.safetensors` file, whole or not at all.

        Args:
            path: the file.
            labels: names of the classes, by class index; None keeps the attribute `labels`.

        Raises:
            EdgemetaError: the file cannot be written.
            InputError: the labels could not be read back: two are equal, or one is neither a text
                nor a finite number.

        Example:
            >>> import edgemeta
            >>> import numpy as np
            >>> drawings = np.zeros((2, 28, 28), np.uint8)
            >>> drawings[0, 4:24, 13:16] = drawings[1, 13:16, 4:24] = 255  # two bars
            >>> runner = edgemeta.load("omniglot")
            >>> runner.adapt(drawings, [0, 1]).save("bars.safetensors", ["upright", "flat"])
            >>> runner.load("bars.safetensors").labels
            ('upright', 'flat')
        """
        fingerprint = self._model.fingerprint
        labels = self.labels if labels is None else labels
        write_state(Path(path), self.state_dict(), fingerprint, self.ways, labels=labels)

    def _with_state(
        self,
        values: Mapping[str, NDArray[Any]],
        losses: NDArray[np.float32],
        ways: int | None,
    ) -> Learner:
        """Return a learner of the same bundle with another state."""
        return Learner(self._model, values, losses, ways)

    def _loss(self, x: NDArray[Any], y: NDArray[Any]) -> float:
        """Return the bundle's own loss on checked samples."""
        return float(self._model.adapt(x, y, 0, 1.0, self._values, None).losses[0])

    def _is_finite(self) -> bool:
        return all(map(is_finite, self._values.values()))

    def _values_for(self, model: Model) -> dict[str, NDArray[Any]]:
        if model.fingerprint != self._model.fingerprint:
            raise InputError(
                "state belongs to another bundle",
                got=self._model.path,
                expected=model.path,
                hint="adapt this bundle to the support set again",
            )
        return self._values

    def __reduce__(self) -> tuple[Any, ...]:
        settings = (self.losses, self.ways, self.frozen, self.labels)
        return Learner, (self._model, self._values, *settings)
