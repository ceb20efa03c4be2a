"""Makes a run like any other of the candidate that won."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tqdm import tqdm

from edgemeta.measure.evaluate import Evaluation, evaluate
from edgemeta.meta.models.features import FeatureCache
from edgemeta.meta.recipe._adapting import adapting
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.meta.runs.building import state_of, trained_names
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.curve import draw_curve
from edgemeta.meta.runs.results import training_result
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize
from edgemeta.tasks.classes import ClassSource


def write_winner(
    run: Run, theirs: Run, config: TrainConfig, source: ClassSource, steps: int
) -> dict[str, Any]:
    """Write the run that the winner makes, and test it: once, and nothing else is tested.

    Args:
        run: to be written.
        theirs: the candidate's.
        config: of the run: the candidate's, but for what adapts and how.
        source: of the tasks.
        steps: outer steps of all candidates.

    Returns:
        The result, as written to result.json.
    """
    adapter, model = adapting(theirs, config, FeatureCache(source))
    before = Checkpoint.from_file(theirs.checkpoint_path("best"))
    kept = replace(before, model=state_of(model, trained_names(model, config.trained)))
    run.create(config, cooked=True)
    run.rewind_metrics(-1)
    # Of as many classes as the run has: a candidate may have been trained on larger tasks.
    size = EpisodeSize(config.ways, config.shots, config.queries)
    run.save_example(source.episode("train", size, config.seed, 0))
    for line in theirs.metrics():
        run.log(line)
    draw_curve(run.metrics(), run.curve_path)
    for which in ("best", "last"):
        run.save(kept, which)
    found = _tested(adapter, config, source) if config.test_episodes else None
    result = training_result(config, kept, steps, source.preprocessing, found)
    run.write_result(result)
    return result


def _tested(adapter: TorchAdapter, config: TrainConfig, source: ClassSource) -> Evaluation:
    size = EpisodeSize(config.ways, config.shots, config.evaluation_queries)
    episodes = config.test_episodes
    here, shown = adapter.on_features(source, size, episodes)
    with tqdm(total=episodes, unit="task", desc="test", disable=None) as progress:
        return evaluate(here, shown, size, episodes=episodes, seed=0, tick=progress.update)
