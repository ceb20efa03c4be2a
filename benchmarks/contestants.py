"""Ways to adapt a case: PyTorch eager and compiled, edgemeta, and a peer in its own process."""

from __future__ import annotations

import json
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, Self, cast

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.models import Case
from benchmarks.timing import Round, local
from edgemeta import Runner, bundle
from edgemeta.measure.bench import measure_cold_start, timed
from edgemeta_export import GraphForm, export_bundle
from edgemeta_export.form import USUAL_FORM
from edgemeta_export.quiet import quiet

LR = 0.01
STEPS = 5
Params = dict[str, Tensor]


@dataclass(frozen=True)
class Adapted:
    """What an adaptation led to: the adapted parameters, and the loss with them."""

    params: dict[str, NDArray[Any]]
    loss: float


class Contestant(Protocol):
    """Adapts a case from its init, again at each call."""

    def run(self, calls: int) -> list[float]:
        """Adapt so many times; return the seconds of each."""

    def result(self) -> Adapted:
        """Adapt once, and return what came of it."""


class Eager:
    """The functional loop as one writes it in PyTorch.

    Args:
        case: what to adapt.
        dtype: float64 for the reference.
        keep_features: run the frozen parts once per adaptation, not at each step.
    """

    def __init__(
        self, case: Case, dtype: torch.dtype = torch.float32, *, keep_features: bool = False
    ) -> None:
        model = case.model().to(dtype)
        x, y = case.support()
        self.x, self.y = torch.from_numpy(x).to(dtype), torch.from_numpy(y)
        first = case.frozen if keep_features else 0
        self.body = cast(nn.Sequential, model[:first])
        self.tail = cast(nn.Sequential, model[first:])
        tensors = dict(self.tail.named_parameters())
        self.init = {n: p.detach() for n, p in tensors.items() if p.requires_grad}
        self.frozen = {n: p.detach() for n, p in tensors.items() if not p.requires_grad}
        self.run: Round = local(self.adapt)

    def loss(self, params: Params, x: Tensor) -> Tensor:
        """Return the mean loss () on the support set."""
        output = functional_call(self.tail, {**self.frozen, **params}, (x,))
        return nn.functional.cross_entropy(output, self.y)

    def step(self, params: Params, x: Tensor) -> Params:
        """Take one step of gradient descent."""
        params = {name: p.detach().requires_grad_() for name, p in params.items()}
        grads = torch.autograd.grad(self.loss(params, x), tuple(params.values()))
        return {n: p.detach() - LR * g for (n, p), g in zip(params.items(), grads, strict=True)}

    def features(self) -> Tensor:
        """Return what the frozen parts make of the support set, where they run once."""
        with torch.no_grad():
            features: Tensor = self.body(self.x)
        return features

    def adapt(self) -> Params:
        """Take all steps from the init."""
        x, params = self.features(), self.init
        for _ in range(STEPS):
            params = self.step(params, x)
        return params

    def result(self) -> Adapted:
        """See `Contestant`."""
        params = self.adapt()
        with torch.no_grad():
            loss = float(self.loss(params, self.features()))
        return Adapted({name: p.numpy() for name, p in params.items()}, loss)


class Compiled(Eager):
    """The same, with the step through torch.compile; the frozen parts run once."""

    def __init__(self, case: Case) -> None:
        super().__init__(case, keep_features=True)
        torch._dynamo.reset()
        torch._dynamo.config.allow_rnn = True
        self._compiled: Callable[[Params, Tensor], Params] = torch.compile(self._step)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # compiling says much that is of no use here
            self._compiled(self.init, self.features())

    def _step(self, params: Params, x: Tensor) -> Params:
        grads = torch.func.grad(self.loss)(params, x)
        return {name: p - LR * grads[name] for name, p in params.items()}

    def step(self, params: Params, x: Tensor) -> Params:
        """Take one step of gradient descent."""
        with torch.no_grad():  # torch.func.grad makes its own
            return self._compiled(params, x)


class Edgemeta:
    """A bundle of the case, on onnxruntime.

    Args:
        case: what to adapt.
        threads: of onnxruntime.
        folder: where the bundle goes.
    """

    def __init__(self, case: Case, threads: int, folder: Path) -> None:
        self.x, self.y = case.support()
        path, self.export_s = timed(lambda: compile_case(case, folder / case.name))
        self.runner = Runner(path, threads=threads)
        self.names = [n for n, p in case.model().named_parameters() if p.requires_grad]
        self.run: Round = local(self.adapt)

    def adapt(self) -> Any:
        """Adapt once."""
        return self.runner.adapt(self.x, self.y, STEPS, guard=False)

    def result(self) -> Adapted:
        """See `Contestant`."""
        learner = self.adapt()
        state = learner.state_dict()
        return Adapted({name: state[name] for name in self.names}, float(learner.losses[-1]))

    def around(self, threads: int) -> dict[str, float | None]:
        """Return what else a bundle costs: seconds to export, bytes, and a fresh process."""
        cold = measure_cold_start(self.runner, shots=1, steps=STEPS, threads=threads)
        files = self.runner.manifest.files
        sizes = {name: record.size for name, record in files.items()}
        return {
            "export_s": self.export_s,
            "weights_kb": sizes[bundle.INIT] / 1e3,
            "rest_kb": sum(size for name, size in sizes.items() if name != bundle.INIT) / 1e3,
            "first_adaptation_ms": cold.import_ms + cold.load_ms + cold.adapt_ms,
            "peak_mb": cold.peak_mb,
        }

    def overhead_us(self, calls: int) -> float:
        """Return the median of what `Runner.adapt` adds to the session's own run, microseconds."""
        adapting = self.runner._model.adapting
        own = adapting._session
        adapting._session = session = _Clock(own)
        try:
            whole = self.run(calls)
        finally:
            adapting._session = own
        return float(np.median(np.array(whole) - np.array(session.seconds))) * 1e6


class _Clock:
    """A session that keeps how long its runs took."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session = session
        self.seconds: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def run(self, *args: Any) -> Any:
        """Run, and keep the time."""
        found, seconds = timed(lambda: self.session.run(*args))
        self.seconds.append(seconds)
        return found


def compile_case(case: Case, path: Path, form: GraphForm = USUAL_FORM) -> Path:
    """Export a case as a bundle, unless that was done."""
    if not path.exists():
        x, y = case.support()
        export_bundle(
            case.model(),
            path,
            x,
            inner_lr=LR,
            inner_steps=STEPS,
            adapt=case.adapt,
            example_y=y,
            form=form,
        )
    return path


class Forward:
    """A part of a model on the support set, as inference with constant weights on onnxruntime."""

    def __init__(self, model: nn.Module, x: Tensor, threads: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            with quiet():
                torch.onnx.export(model, (x,), path, dynamo=True, verbose=False)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        inputs = {session.get_inputs()[0].name: x.numpy()}
        self.run: Round = local(lambda: session.run(None, inputs))


class PeerProcess:
    """Another system, in a process of its own that speaks JSON lines; see `benchmarks/peers`.

    Args:
        name: of the peer: `benchmarks/peers/NAME_peer.py` is run.
        python: the interpreter that has its packages.
        threads: how many cores the process may use.
        arrays: what the peer is to work on, in a file that it is told.
        request: of the case, in the peer's own words.

    Attributes:
        packages: versions of the peer's packages.

    Raises:
        ValueError: the peer cannot do this case.
    """

    def __init__(
        self,
        name: str,
        python: str,
        threads: int,
        arrays: Mapping[str, NDArray[Any]],
        **request: Any,
    ) -> None:
        script = Path(__file__).parent / "peers" / f"{name}_peer.py"
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [python, str(script), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._requests = cast(IO[str], self._process.stdin)
        self._answers = cast(IO[str], self._process.stdout)
        path = Path(self._folder.name) / "case.npz"
        np.savez(path, allow_pickle=False, **arrays)
        self.packages: dict[str, str] = self._ask(arrays=str(path), **request)["packages"]

    def run(self, calls: int) -> list[float]:
        """See `Contestant`."""
        return list(self._ask(calls=calls)["seconds"])

    def result(self) -> Adapted:
        """See `Contestant`."""
        path = Path(self._folder.name) / "result.npz"
        loss = self._ask(result=str(path))["loss"]
        with np.load(path) as arrays:
            return Adapted(dict(arrays), float(loss))

    def _ask(self, **request: Any) -> dict[str, Any]:
        print(json.dumps(request), file=self._requests, flush=True)
        line = self._answers.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the peer ended"}
        if "error" in answer:
            self.__exit__()
            raise ValueError(answer["error"])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.close()  # the peer ends with its input
        self._answers.close()
        self._process.wait()
        self._folder.cleanup()


class Peer(PeerProcess):
    """A peer that adapts a case; see `PeerProcess`."""

    def __init__(self, name: str, python: str, case: Case, threads: int) -> None:
        x, y = case.support()
        model = case.model()
        params = {f"p:{n}": p.detach().numpy() for n, p in model.named_parameters()}
        super().__init__(
            name,
            python,
            threads,
            {"x": x, "y": y, **params},
            case=case.name,
            adapted=[n for n, p in model.named_parameters() if p.requires_grad],
            steps=STEPS,
            lr=LR,
        )
