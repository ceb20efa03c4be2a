"""What bundles have beside their weights, in bytes, and how long their exports take.

python -m benchmarks.bundle_size [--out FILE]

The bound is 5 % of the weights and 100 kB; the exit code is 1 where a bundle is above it. Times
are of the whole export, with PyTorch's replays and the check on onnxruntime: of the processor, and
as the clock shows them, which on a machine with other work is longer.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import torch

from benchmarks.models import CASES, Case, conv4
from edgemeta import bundle
from edgemeta.measure.bench_record import machine
from edgemeta.util.files import write_atomically
from edgemeta_export import export_bundle

RESULT = Path(__file__).parent / "results" / "bundle_size.md"
SMALL = Case("conv4-128-bn", partial(conv4, 128, norm=True), (1, 28, 28), 5, 5)
NAMES = ("mobilenet-v2", "resnet12", "ds-cnn", "conv4-64-bn", "transformer")
# The first one also pays for imports, which take longest beside a small network.
MEASURED = (CASES["mlp"], SMALL, *(CASES[name] for name in NAMES))

SHARE, ROOM = 0.05, 100_000
INNER_STEPS, INNER_LR = 5, 0.01


@dataclass(frozen=True)
class Size:
    """What a bundle takes.

    Attributes:
        weights: bytes of the model's parameters and buffers, each of them once.
        files: bytes of each file.
        cpu_s: seconds of the processor that the export took, all threads together.
        wall_s: seconds by the clock.
    """

    weights: int
    files: dict[str, int]
    cpu_s: float
    wall_s: float

    @property
    def beside(self) -> int:
        """Bytes of everything else."""
        return sum(self.files.values()) - self.weights

    @property
    def limit(self) -> int:
        """The most that `beside` may be."""
        return int(SHARE * self.weights) + ROOM


def exported(case: Case, folder: Path) -> Size:
    """Export a case into a folder of its own, and measure."""
    x, y = case.support()
    began, spent = time.perf_counter(), time.process_time()
    path = export_bundle(
        case.model(),
        folder / case.name,
        x,
        inner_lr=INNER_LR,
        inner_steps=INNER_STEPS,
        adapt=case.adapt,
        example_y=y,
    )
    spent, wall = time.process_time() - spent, time.perf_counter() - began
    weights = sum(tensor.nbytes for tensor in case.model().state_dict().values())
    return Size(weights, {each.name: each.stat().st_size for each in path.iterdir()}, spent, wall)


def table(found: dict[str, Size]) -> str:
    """Return the sizes in kB as a Markdown table."""
    columns = (bundle.ADAPT, bundle.PREDICT, bundle.SELFTEST, bundle.MANIFEST)
    rows = [
        ["", "weights", "tables", *columns, "beside", "limit", "export, CPU s", "by the clock, s"],
        ["---"] + ["---:"] * (len(columns) + 6),
    ]
    for name, size in found.items():
        tables = size.files[bundle.INIT] - size.weights
        files = [size.files[file] for file in columns]
        kb = (size.weights, tables, *files, size.beside, size.limit)
        rows.append(
            [
                name,
                *(f"{number / 1e3:.0f}" for number in kb),
                f"{size.cpu_s:.0f}",
                f"{size.wall_s:.0f}",
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@click.command(help="Export some networks and print what their bundles have beside the weights.")
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, help="The result file.")
def main(out: Path) -> None:
    """Measure, print, and write."""
    with tempfile.TemporaryDirectory() as folder:
        found = {each.name: exported(each, Path(folder)) for each in MEASURED}
    text = (
        "# What a bundle has beside its weights\n\n"
        f"In kB; the limit is {SHARE:.0%} of the weights and {ROOM // 1000} kB. "
        f"`{bundle.INIT}` has the weights, and tables of indices once for both graphs. "
        f"Made by `python -m benchmarks.bundle_size` with torch {torch.__version__} and "
        f"{torch.get_num_threads()} threads on {machine()}. On mobilenet-v2 the head and the last "
        f"layers adapt, on the others all weights.\n\n{table(found)}\n"
    )
    click.echo(text, nl=False)
    write_atomically(out, text.encode())
    above = [each.name for each in MEASURED if found[each.name].beside > found[each.name].limit]
    if above:
        click.echo(f"Error: above the limit: {', '.join(above)}", err=True)
    sys.exit(bool(above))


if __name__ == "__main__":
    main()
