"""Proof that a device needs neither torch nor onnx: run by `make device` in a venv without them.

Takes the bundle that `make demo` left under demo-out/, adapts it and predicts, in Python and by the
command line. A script, not a pytest module: the device's venv has no pytest either.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np

import edgemeta
from edgemeta.measure.verify import verify
from edgemeta.tasks import EpisodeSize, open_tasks

OUT = Path("demo-out")
DIRECT = {"edgemeta", "click", "numpy", "onnxruntime", "safetensors"}


def main() -> None:
    """Adapt, predict, and run the device's commands."""
    for name in ("torch", "onnx", "onnxscript", "onnx_ir", "sklearn"):
        if importlib.util.find_spec(name):
            raise SystemExit(f"{name} is installed here: this proves nothing")
    required = {
        requirement.split(">")[0].strip()
        for requirement in importlib.metadata.requires("edgemeta") or []
        if "extra ==" not in requirement
    }
    if required != DIRECT - {"edgemeta"}:
        raise SystemExit(f"edgemeta requires {sorted(required)}")

    runner = edgemeta.Runner(OUT / "bundle")
    episode = open_tasks("glyphs").episode("test", EpisodeSize(5, 1, 15), seed=1, index=0)
    learner = runner.adapt(episode.support_x, episode.support_y)
    accuracy = float(np.mean(learner.predict(episode.query_x) == episode.query_y))
    if not learner.losses[-1] < learner.losses[0]:
        raise SystemExit(f"adapting did not lower the support loss: {learner.losses}")
    print(f"adapted without torch: {accuracy:.0%} of one episode's queries right (chance 20%)")

    packaged = edgemeta.load("omniglot")
    verify(packaged)
    # Glyphs are 28 x 28 pixels too.
    learner = packaged.adapt(episode.support_x, episode.support_y)
    frozen, plain = (one.predict_logits(episode.query_x) for one in (learner.freeze(), learner))
    if np.abs(frozen - plain).max() > 1e-5 * np.abs(plain).max():  # products in another order
        raise SystemExit("a frozen learner predicts something else")
    classifier = edgemeta.FewShotClassifier(packaged).fit(episode.support_x, list("abcde"))
    if classifier.predict(episode.query_x).shape != episode.query_y.shape:
        raise SystemExit("the classifier does not label all queries")

    command = [sys.executable, "-m", "edgemeta"]
    for line in (
        "verify demo-out/bundle",
        "verify omniglot",
        "inspect demo-out/bundle",
        "eval demo-out/bundle glyphs --episodes 50",
        "adapt demo-out/bundle demo-out/support.npz --out demo-out/device.safetensors",
        "predict demo-out/bundle demo-out/query.npz --state demo-out/device.safetensors",
        "bench demo-out/bundle",
    ):
        subprocess.run([*command, *line.split()], check=True)
    # The desk's commands say what is missing instead of showing a traceback.
    found = subprocess.run(
        [*command, "export", "demo-out/run", "--out", "demo-out/never"],
        capture_output=True,
        text=True,
    )
    if found.returncode != 2 or "edgemeta[desk]" not in found.stderr or "Traceback" in found.stderr:
        raise SystemExit(f"edgemeta export without the desk packages: {found}")
    if "torch" in sys.modules:
        raise SystemExit("something imported torch")
    print("the device side works without torch and onnx")


if __name__ == "__main__":
    main()
