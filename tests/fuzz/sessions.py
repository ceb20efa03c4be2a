"""What onnxruntime makes of mutated graphs: a native crash must not go unnoticed.

The graphs that our reader accepts become sessions in a child process, which may die. Those that
it refuses never reach onnxruntime, on a device as little as here.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edgemeta.bundle import ADAPT, INIT, PREDICT
from edgemeta.bundle.loading import LoadedGraph
from edgemeta.errors import BundleError
from tests.fuzz.targets import BUNDLE, TARGETS, graph_of

MOST_SECONDS = 1.0  # of processor time, for one session
MOST_MEMORY = 4 << 30  # bytes of address space: a graph may ask for all there is
LENGTH_BYTES = 8
PROVIDERS = ["CPUExecutionProvider"]


def run_sessions(inputs: int, seed: int) -> dict[str, Any]:
    """Mutate graphs and hand those that our reader accepts to a child process.

    Args:
        inputs: mutated graphs.
        seed: of the mutations.

    Returns:
        How many were made, refused by our reader, refused by onnxruntime, and loaded; how many
        times the child died, or took more than a second of processor time.
    """
    target, rng = TARGETS["graph"], random.Random(seed)  # noqa: S311
    seeds = [(BUNDLE / name).read_bytes() for name in (ADAPT, PREDICT)]
    found = {"inputs": inputs, "refused_by_reader": 0, "refused_by_onnxruntime": 0, "loaded": 0}
    found |= {"crashes": 0, "hangs": 0}
    longest, began, child = 0.0, time.monotonic(), _start()
    for _ in range(inputs):
        content = target.mutated(rng.choice(seeds), rng)
        if not target.accepts(content):
            found["refused_by_reader"] += 1
            continue
        answer = _ask(child, content)
        if answer is None:
            found["crashes"] += 1
            kept = Path(tempfile.mkdtemp(prefix="fuzz-session-")) / "graph.onnx"
            kept.write_bytes(content)
            print(f"onnxruntime died of {kept}", file=sys.stderr)
            child.communicate()
            child = _start()
            continue
        found["loaded" if answer["loaded"] else "refused_by_onnxruntime"] += 1
        longest = max(longest, answer["seconds"])
        found["hangs"] += answer["seconds"] > MOST_SECONDS
    child.communicate()  # closes its input, which ends it
    seconds = round(time.monotonic() - began, 1)
    return {**found, "longest_ms": round(longest * 1e3, 1), "seconds": seconds}


def _start() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.fuzz.sessions"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _ask(child: subprocess.Popen[bytes], content: bytes) -> dict[str, Any] | None:
    """Return what the child says of a graph; None if it died."""
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(len(content).to_bytes(LENGTH_BYTES, "little") + content)
        child.stdin.flush()
    except BrokenPipeError:
        return None
    line = child.stdout.readline()
    answer: dict[str, Any] | None = json.loads(line) if line else None
    return answer


def serve() -> None:
    """Make sessions of the graphs that come in, until there are no more."""
    from edgemeta.device.sessions import open_graph

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    init = (BUNDLE / INIT).read_bytes()
    while size := int.from_bytes(sys.stdin.buffer.read(LENGTH_BYTES), "little"):
        content = sys.stdin.buffer.read(size)
        start = time.process_time()
        loaded = True
        try:
            tensors = found.external() if (found := graph_of(content)) else {}
            external = {key: tensor.inside(init) for key, tensor in tensors.items()}
            graph = LoadedGraph(Path(ADAPT), content, external)
            open_graph(graph, 1, PROVIDERS, inputs=set(), outputs=set())
        except BundleError as error:
            # Which names the graph has is checked last, when there is a session.
            loaded = "does not fit its manifest" in str(error)
        spent = time.process_time() - start
        print(json.dumps({"loaded": loaded, "seconds": spent}), flush=True)


if __name__ == "__main__":
    serve()
