"""What `edgemeta bench` runs in a fresh process: import, load, adapt once, predict once.

Prints the milliseconds of each as JSON, and the memory the process came to hold.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

BEGAN = time.perf_counter()

from edgemeta.device.runner import Runner  # noqa: E402
from edgemeta.measure.bench import support_set  # noqa: E402  # the imports are what is measured


def main(request: str) -> None:
    """Do the work that `request` (JSON: bundle, shots, steps, threads) names."""
    wanted = json.loads(request)
    imported, base = time.perf_counter(), peak_mb()
    runner = Runner(wanted["bundle"], threads=wanted["threads"])
    loaded = time.perf_counter()
    x, y = support_set(runner, wanted["shots"])
    ready = time.perf_counter()
    learner = runner.adapt(x, y, wanted["steps"], guard=False)
    adapted = time.perf_counter()
    learner.predict_logits(x[:1])
    predicted = time.perf_counter()
    peak = peak_mb()
    print(
        json.dumps(
            {
                "import_ms": (imported - BEGAN) * 1e3,
                "load_ms": (loaded - imported) * 1e3,
                "adapt_ms": (adapted - ready) * 1e3,
                "predict_ms": (predicted - adapted) * 1e3,
                "peak_mb": peak,
                "bundle_mb": None if peak is None or base is None else peak - base,
            }
        )
    )


def peak_mb() -> float | None:
    """Return the largest resident set so far, in 10^6 bytes; None if the OS does not report it.

    Linux tells it in /proc: what getrusage tells there includes the parent at the time of the fork.
    """
    if Path("/proc/self/status").exists():
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # bytes on macOS


if __name__ == "__main__":
    main(sys.argv[1])
