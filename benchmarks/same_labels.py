"""Count how many predicted labels two evaluations of the same episodes share.

python benchmarks/same_labels.py torch.npz onnxruntime.npz

The files are those of `edgemeta eval --predictions`. Exits with 1 below 99.99 %.
"""

from __future__ import annotations

import sys

import numpy as np

WANTED = 0.9999


def main(left: str, right: str) -> None:
    """Compare two files."""
    one, other = (np.load(path)["predictions"] for path in (left, right))
    if one.shape != other.shape:
        raise SystemExit(f"not the same episodes: {one.shape} and {other.shape}")
    share = float(np.mean(one == other))
    print(f"{(one == other).sum()} of {one.size} labels are the same ({share:.4%})")
    if share < WANTED:
        raise SystemExit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
