"""A run whose labels keep their meaning becomes a bundle that names its classes."""

from __future__ import annotations

import numpy as np
import pytest

from edgemeta import InputError, Runner
from edgemeta.measure.evaluate import BundleAdapter, evaluate
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.run import Run
from edgemeta.tasks import EpisodeSize
from edgemeta_export import export_run
from tests.meta.test_fixed_labels import NAMES, people, train

SIZE = EpisodeSize(len(NAMES), 2, 5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tmp_path_factory.mktemp("fixed") / "run", algorithm="pretrain")


@pytest.fixture(scope="module")
def runner(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(export_run(trained, tmp_path_factory.mktemp("fixed") / "bundle"), threads=1)


def test_the_bundle_has_the_names_of_the_run(trained: Run, runner: Runner) -> None:
    assert runner.manifest.labels == trained.best().statistics.labels == NAMES
    assert runner.init.labels == NAMES


@pytest.mark.parametrize("steps", [0, None])
def test_it_predicts_what_the_run_does(trained: Run, runner: Runner, steps: int | None) -> None:
    source, settings = trained.open_tasks(), {"episodes": 20, "seed": 0, "steps": steps}
    found, want = (
        evaluate(adapter, source, SIZE, **settings)  # type: ignore[arg-type]
        for adapter in (BundleAdapter(runner), run_adapter(trained))
    )
    assert found.mean == want.mean > 0.9
    assert np.array_equal(found.predictions, want.predictions)


def test_a_support_set_without_the_last_class_leaves_it_in_reach(
    trained: Run, runner: Runner
) -> None:
    episode = trained.open_tasks().episode("test", SIZE, seed=0, index=0)
    few = episode.support_y < 2
    lacking = episode._replace(support_x=episode.support_x[few], support_y=episode.support_y[few])
    output = BundleAdapter(runner).adapt_and_predict(lacking)
    assert output.shape[1] == len(NAMES)
    assert set(output.argmax(1)) == set(range(len(NAMES)))


def test_data_that_number_their_classes_anew_are_refused(runner: Runner) -> None:
    others = people(names=("a", "b", "c", "d"))
    with pytest.raises(InputError, match="labels do not fit"):
        evaluate(BundleAdapter(runner), others, SIZE, episodes=2, seed=0)
