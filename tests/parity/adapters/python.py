"""The Python runner as a runtime of the suite; docs/parity.md has the protocol.

python -m tests.parity.adapters.python
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from safetensors.numpy import load_file, save

from edgemeta import FewShotClassifier, Runner, bundle
from edgemeta.bundle.selftest import parse_selftest
from edgemeta.errors import EdgemetaError, InputError
from edgemeta.measure.bench import timed
from edgemeta.util.files import write_atomically


class Replayer:
    """Answers requests; it keeps the bundle that was loaded last.

    Args:
        threads: of onnxruntime; None for one per core.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads
        self.runner: Runner | None = None

    def answer(self, line: str) -> dict[str, Any]:
        """Answer one line; what goes wrong becomes the answer."""
        try:
            request = json.loads(line)
            if request["op"] == "load":
                return self.load(request["bundle"])
            if request["op"] == "replay":
                return self.replay(request)
            if request["op"] == "classify":
                return self.classify(request)
            raise InputError("unknown op", got=request["op"], expected="load, replay or classify")
        except (EdgemetaError, OSError, ValueError, KeyError, TypeError) as error:
            return {"error": " ".join(f"{type(error).__name__}: {error}".split())}

    def load(self, path: str) -> dict[str, str]:
        """Load a bundle."""
        self.runner = Runner(path, threads=self.threads)
        return {"runtime": "onnxruntime", "version": onnxruntime.__version__}

    def replay(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Adapt to an episode and predict, several times; write what came of it."""
        if self.runner is None:
            raise InputError("no bundle", hint="load one first")
        runner = self.runner
        episode = parse_selftest(Path(request["episode"]).read_bytes(), runner.manifest)
        support = (episode.support_x, episode.support_y, episode.steps, episode.lr_scale)
        seconds: dict[str, list[float]] = {"adapt": [], "predict": []}
        for _ in range(request["repeats"]):
            learner, taken = timed(lambda: runner.adapt(*support, guard=False))
            seconds["adapt"].append(taken)
        for _ in range(request["repeats"]):
            prediction, taken = timed(lambda: learner.predict_logits(episode.query_x))
            seconds["predict"].append(taken)
        results = {bundle.next_name(name): t for name, t in learner.state_dict().items()} | {
            bundle.LOSSES: learner.losses,
            bundle.prediction_name(runner.manifest.task): prediction,
        }
        write_atomically(Path(request["out"]), save(results))
        return {"ms": {name: [1e3 * s for s in each] for name, each in seconds.items()}}

    def classify(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Fit a classifier to an episode, or read it from a file, and predict."""
        options = request["options"]
        classifier = FewShotClassifier(
            Runner(request["bundle"], threads=self.threads),
            steps=options["steps"],
            lr_scale=options["lr_scale"],
            calibrate=options["calibrate"],
            reject=options["reject"],
            unknown_label=options["unknown"],
            keep_support=options["keep_support"],
        )
        episode = load_file(request["episode"])
        if request["load"] is None:
            classifier.fit(episode["x"], [request["names"][k] for k in episode["y"]])
        else:
            classifier.load(request["load"])
        if request["save"] is not None:
            classifier.save(request["save"])
        query = episode["query"]
        return {
            "labels": classifier.predict(query).tolist(),
            "probabilities": classifier.predict_proba(query).tolist(),
            "familiarity": classifier.familiarity(query).tolist(),
            "temperature": classifier.temperature_ if classifier.calibrated_ else None,
            "classes": classifier.classes_.tolist(),
        }


def main() -> None:
    """Answer each line of standard input."""
    replayer = Replayer(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    for line in sys.stdin:
        print(json.dumps(replayer.answer(line)), flush=True)


if __name__ == "__main__":
    main()
