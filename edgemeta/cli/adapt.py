"""`edgemeta adapt`: adapt a bundle to a support set."""

from __future__ import annotations

import time
from pathlib import Path

import click

from edgemeta.cli.files import check_out, read_support
from edgemeta.cli.options import bundle_argument, json_option, say_json, threads_option
from edgemeta.runner import Runner


@click.command()
@bundle_argument
@click.argument("support", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="The .safetensors file to write."
)
@click.option("--steps", type=int, help="Inner steps. [default: the bundle's]")
@click.option("--lr-scale", type=float, default=1.0, help="Multiplies the inner learning rate.")
@click.option(
    "--state", type=click.Path(path_type=Path), help="Continue from this state, not from the init."
)
@click.option(
    "--ways",
    type=int,
    help="Classes of this task. [default: all of the head's; a shared head takes the labels']",
)
@threads_option
@json_option
def adapt(
    bundle: Path,
    support: Path,
    out: Path,
    steps: int | None,
    lr_scale: float,
    state: Path | None,
    ways: int | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Adapt BUNDLE to the arrays x and y of SUPPORT (.npz) and write the state.

    x holds raw samples, as the model was trained on them; y holds labels 0, 1, ... or targets.

    \b
    Example:
      edgemeta adapt bundles/glyphs support.npz --out mine.safetensors
    """
    check_out(out)
    x, y = read_support(support)
    runner = Runner(bundle, threads=threads)
    start = None if state is None else runner.load(state)
    began = time.perf_counter()
    learner = runner.adapt(x, y, steps=steps, lr_scale=lr_scale, state=start, ways=ways)
    milliseconds = (time.perf_counter() - began) * 1e3
    learner.save(out)
    losses = learner.losses.tolist()
    if as_json:
        record = {"state": str(out), "samples": len(x), "steps": len(losses) - 1}
        say_json(record | {"losses": losses, "milliseconds": milliseconds})
        return
    click.echo(
        f"{out}: {len(x)} samples, {len(losses) - 1} steps in {milliseconds:.1f} ms, "
        f"support loss {losses[0]:.4f} -> {losses[-1]:.4f}"
    )
