"""Write one test episode as the files that `edgemeta adapt` and `edgemeta predict` read.

python benchmarks/sample_episode.py glyphs demo-out
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgemeta.tasks import EpisodeSize, open_tasks


def main(tasks: str, out: Path) -> None:
    """Write support.npz and query.npz (x and y each) to `out`."""
    episode = open_tasks(tasks).episode("test", EpisodeSize(ways=5, shots=1, queries=2), 0, 0)
    np.savez(out / "support.npz", x=episode.support_x, y=episode.support_y)
    np.savez(out / "query.npz", x=episode.query_x, y=episode.query_y)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
