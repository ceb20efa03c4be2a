"""`edgemeta report`: one page about a run."""

from __future__ import annotations

from pathlib import Path

import click

from edgemeta.cli._data_options import root_option
from edgemeta.cli._files import check_out
from edgemeta.cli._options import json_option, say_json
from edgemeta.meta.report.page import make_page
from edgemeta.util.files import write_atomically


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The page. [default: RUN/report.html]")
@click.option("--tasks", help="Where the run's data lies now. [default: as trained]")
@root_option
@click.option(
    "--episodes",
    type=click.IntRange(min=2),
    default=100,
    show_default=True,
    help="Test episodes for the figures that are measured for the page.",
)
@click.option("--seed", default=0, show_default=True, help="Of the episodes.")
@json_option
def report(
    run: Path,
    out: Path | None,
    tasks: str | None,
    root: Path | None,
    episodes: int,
    seed: int,
    as_json: bool,
) -> None:
    """Write one self-contained HTML page about RUN.

    It shows what was trained, the result, the curves, what each inner step gains, the errors,
    sample episodes with their predictions, and the baselines if `edgemeta baselines` has been run.

    \b
    Example:
      edgemeta report runs/glyphs --out glyphs.html
    """
    if out is None:
        out = run / "report.html"
    if run.is_dir() or out.parent != run:
        check_out(out)
    page = make_page(run, tasks=tasks, root=root, episodes=episodes, seed=seed)
    write_atomically(out, page.encode())
    if as_json:
        say_json({"report": str(out), "bytes": len(page.encode())})
        return
    click.echo(f"{out}: {len(page.encode()) / 1e6:.1f} MB, self-contained")
