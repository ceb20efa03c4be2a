"""One training of the recipe in a process of its own: `python -m edgemeta.meta.recipe._worker RUN`.

It goes on with the run that is there. It stops, and keeps its last checkpoint, as soon as its input
is closed: so it ends with the recipe, whatever ends that.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
from pathlib import Path

from edgemeta.errors import EdgemetaError
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.run import Run

INTERRUPTED = 130


def main() -> int:
    """Train; return the exit code. What fails is said on the output, in one line."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=_stop_with_input, daemon=True).start()
    run = Run(Path(sys.argv[1]))
    try:
        Trainer(run.config(), run.path, resume=True).train()
    except EdgemetaError as error:
        sys.stdout.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _stop_with_input() -> None:
    os.read(sys.stdin.fileno(), 1)
    _thread.interrupt_main()


if __name__ == "__main__":
    sys.exit(main())
