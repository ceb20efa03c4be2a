from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgemeta.errors import InputError, TrainingError
from edgemeta.meta.outer._optimizer import scheduled_lr
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.adapter import run_adapter
from edgemeta.meta.runs.algorithms import Optimizer
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.resuming import resumed_config
from edgemeta.meta.runs.run import Run

SINUSOID = TrainConfig(
    tasks="sinusoid",
    model="mlp",
    shots=10,
    queries=10,
    inner_steps=1,
    inner_lr=0.01,
    meta_batch=2,
    iterations=6,
    validate_every=2,
    validation_episodes=3,
    test_episodes=4,
)
GLYPHS = replace(
    SINUSOID,
    tasks="glyphs",
    model="conv4",
    width=8,
    pool="stride",
    shots=1,
    queries=2,
    iterations=2,
)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return Checkpoint.from_file(Run(path).checkpoint_path("last")).model


def assert_same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


@pytest.mark.parametrize("algorithm", ["maml", "fomaml"])
@pytest.mark.parametrize("config", [SINUSOID, GLYPHS], ids=lambda c: c.tasks)
def test_a_run_leaves_what_it_promises(tmp_path: Path, config: TrainConfig, algorithm: str) -> None:
    run = Run(tmp_path / "run")
    config = replace(config, algorithm=algorithm)
    result = Trainer(config, run.path).train()
    assert result is not None
    assert run.config() == config
    assert [line["iteration"] for line in run.metrics()] == list(range(2, config.iterations + 1, 2))
    assert run.curve_path.read_bytes().startswith(b"\x89PNG")
    assert json.loads(run.result_path.read_text()) == result
    assert result["episodes"] == 4
    assert result["statistics"] == "inductive"
    assert result["metric"] == ("mse" if config.model == "mlp" else "accuracy")
    assert run_adapter(run.path).inner_steps == config.inner_steps
    assert len(run.example().support_x) == (10 if config.model == "mlp" else 5)


def test_the_outer_step_lowers_the_outer_loss(tmp_path: Path) -> None:
    config = replace(
        SINUSOID,
        meta_batch=8,
        meta_lr=5e-3,
        iterations=150,
        validate_every=150,
        validation_episodes=100,
    )
    trainer = Trainer(config, tmp_path / "run")
    before = trainer.evaluate("val", 100).mean
    trainer.train()
    assert trainer.best is not None
    # Sines of amplitude U[0.1, 5] have a mean square of 4.3; 150 steps reach about 2.5.
    assert trainer.best < 0.8 * before


def test_a_shared_row_does_not_drift(tmp_path: Path) -> None:
    """Its gradient is rounding, of which Adam makes steps."""
    run = Run(tmp_path / "run")
    Trainer(replace(GLYPHS, head="shared", iterations=4), run.path).train()
    rows = {name: w for name, w in weights(run.path).items() if name.startswith("head.")}
    assert rows
    assert not any(row.any() for row in rows.values())
    best = Checkpoint.from_file(run.checkpoint_path("best"))
    drifted = {name: best.model[name] + 9 for name in rows}
    run.save(replace(best, model=best.model | drifted), "best")  # as runs of before are
    assert not any(run.best().model.get_parameter(name).any() for name in rows)


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Trainer(SINUSOID, tmp_path / name).train()
    Trainer(replace(SINUSOID, seed=1), tmp_path / "three").train()
    assert_same(weights(tmp_path / "one"), weights(tmp_path / "two"))
    assert not torch.equal(
        weights(tmp_path / "one")["head.weight"], weights(tmp_path / "three")["head.weight"]
    )


def train_until(trainer: Trainer, iteration: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, and interrupt it after so many outer steps."""
    step = trainer.outer_step

    def stop_at() -> float:
        if trainer.iteration == iteration:
            raise KeyboardInterrupt
        return step()

    monkeypatch.setattr(trainer, "outer_step", stop_at)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()


@pytest.mark.parametrize("stop_after", [1, 2, 3, 5])
def test_an_interrupted_run_resumes_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    Trainer(SINUSOID, tmp_path / "whole").train()
    train_until(Trainer(SINUSOID, tmp_path / "cut"), stop_after, monkeypatch)
    resumed = Trainer(SINUSOID, tmp_path / "cut", resume=True)
    assert resumed.iteration == stop_after
    resumed.train()
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    whole, cut = Run(tmp_path / "whole"), Run(tmp_path / "cut")
    assert whole.result() == cut.result()
    kept = ("iteration", "validation", "meta_lr")
    assert [[line[key] for key in kept] for line in whole.metrics()] == [
        [line[key] for key in kept] for line in cut.metrics()
    ]


def test_a_trainer_writes_nothing_before_it_trains(tmp_path: Path) -> None:
    trainer = Trainer(SINUSOID, tmp_path / "run")
    trainer.outer_step()
    trainer.evaluate("val", 2)
    assert not list(tmp_path.iterdir())
    trainer.create_run()
    trainer.create_run()  # once is enough
    assert Run(tmp_path / "run").config() == SINUSOID


def test_a_crash_right_after_the_start_resumes_from_zero(tmp_path: Path) -> None:
    Trainer(SINUSOID, tmp_path / "run").create_run()
    assert Trainer(SINUSOID, tmp_path / "run", resume=True).iteration == 0


def test_a_directory_that_holds_a_run_is_not_overwritten(tmp_path: Path) -> None:
    Trainer(SINUSOID, tmp_path / "run").create_run()
    with pytest.raises(InputError, match="--resume"):
        Trainer(SINUSOID, tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        Trainer(SINUSOID, tmp_path / "other")


def test_a_resumed_run_keeps_its_config(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    Trainer(SINUSOID, run.path).create_run()
    assert resumed_config(run, {"shots": 10}) == SINUSOID
    with pytest.raises(InputError, match="--inner-lr differs"):
        resumed_config(run, {"inner_lr": 0.5})
    with pytest.raises(InputError, match="no run to resume"):
        resumed_config(Run(tmp_path / "none"), {})


def test_a_loss_that_is_not_finite_stops_with_the_step(tmp_path: Path) -> None:
    config = replace(SINUSOID, inner_lr=1e30, inner_steps=3)
    with pytest.raises(TrainingError, match=r"outer step 0.*lower --inner-lr"):
        Trainer(config, tmp_path / "run").train()


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    Trainer(SINUSOID, tmp_path / "run").create_run()
    path = Run(tmp_path / "run").checkpoint_path("last")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="is no checkpoint") as caught:
        Trainer(SINUSOID, tmp_path / "run", resume=True)
    assert "\n" not in str(caught.value)


def test_a_damaged_result_is_one_clear_line(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    Trainer(SINUSOID, run.path).create_run()
    assert run.result() is None
    run.result_path.write_text('{"mean": 0.')
    with pytest.raises(InputError, match=r"is damaged.*--resume"):
        run.record()


def test_the_outer_learning_rate_falls_along_half_a_cosine() -> None:
    config = replace(SINUSOID, meta_lr=2e-3, iterations=100)
    assert scheduled_lr(config, 0) == 2e-3
    assert scheduled_lr(config, 50) == pytest.approx(1e-3)
    assert 0 < scheduled_lr(config, 99) < 1e-6


def test_patience_stops_a_run_that_no_longer_improves(tmp_path: Path) -> None:
    # An outer rate of next to nothing: the first validation stays the best.
    config = replace(SINUSOID, meta_lr=1e-30, iterations=40, patience=3)
    result = Trainer(config, tmp_path / "run").train()
    assert result is not None
    assert result["best_iteration"] == 2
    assert result["iterations"] == 8
    assert Trainer(config, tmp_path / "run", resume=True).stale == 3


def test_a_training_starts_from_the_weights_of_another(tmp_path: Path) -> None:
    first = Trainer(GLYPHS, tmp_path / "first")
    first.train()
    best = Checkpoint.from_file(first.run.checkpoint_path("best")).model
    same = Trainer(replace(GLYPHS, start=str(first.run.path), seed=1), tmp_path / "same")
    assert_same(same.loop.model.state_dict(), best)
    # A head of another kind, or width, is fresh; the body is theirs.
    for name, other in (
        ("ways", replace(GLYPHS, ways=3)),
        ("head", replace(GLYPHS, head="shared")),
    ):
        config = replace(other, start=str(first.run.path))
        model = Trainer(config, tmp_path / name).loop.model.state_dict()
        body = {name: tensor for name, tensor in model.items() if not name.startswith("head.")}
        assert_same(body, {name: best[name] for name in body})
    with pytest.raises(InputError, match="the network of"):
        Trainer(replace(GLYPHS, width=4, start=str(first.run.path)), tmp_path / "narrow")
    with pytest.raises(InputError, match="does not exist"):
        Trainer(replace(GLYPHS, start=str(tmp_path / "nowhere")), tmp_path / "lost")


def test_a_student_moves_towards_its_teacher(tmp_path: Path) -> None:
    Trainer(replace(SINUSOID, iterations=20, meta_lr=0.01), tmp_path / "teacher").train()
    student = replace(
        SINUSOID,
        hidden=(8,),
        teacher=str(tmp_path / "teacher"),
        distill=1.0,
        iterations=150,
        validate_every=150,
        meta_lr=0.01,
        meta_batch=8,
    )
    trainer = Trainer(student, tmp_path / "student")
    first = trainer.outer_step()
    trainer.train()
    # The loss is the distance to the teacher alone, which is another function than the sine.
    assert Run(tmp_path / "student").metrics()[-1]["loss"] < 0.5 * first


def test_a_teacher_of_classes_softens_the_labels(tmp_path: Path) -> None:
    Trainer(GLYPHS, tmp_path / "teacher").train()
    student = replace(GLYPHS, width=4, teacher=str(tmp_path / "teacher"))
    plain = Trainer(replace(student, teacher=""), tmp_path / "plain")
    taught = Trainer(student, tmp_path / "taught")
    assert taught.outer_step() != plain.outer_step()
    assert plain.outer_step() > 0
    gone = replace(student, teacher=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="cannot read"):
        Trainer(gone, tmp_path / "gone")


@pytest.mark.parametrize("strategy", ["loop", "workers", "vmap", "auto"])
def test_every_strategy_trains_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    monkeypatch.setattr("edgemeta.meta.outer._planning.WORTH_MEASURING", 0)
    monkeypatch.setattr("edgemeta.meta.outer._planning.MEASURING_SECONDS", 0.01)
    Trainer(replace(SINUSOID, threads=1), tmp_path / "one").train()
    config = replace(SINUSOID, threads=2, strategy=strategy)  # type: ignore[arg-type]
    Trainer(config, tmp_path / "other").train()
    for name, tensor in weights(tmp_path / "one").items():
        # float32, six outer steps of Adam; largest seen 3e-6.
        assert torch.allclose(tensor, weights(tmp_path / "other")[name], atol=1e-4), name
    plan = Checkpoint.from_file(Run(tmp_path / "other").checkpoint_path("last")).plan
    resumed = Trainer(config, tmp_path / "other", resume=True)
    assert resumed.engine.plan == plan


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_learned_rates_move_in_proportion_and_do_not_decay(
    tmp_path: Path, optimizer: Optimizer
) -> None:
    config = replace(
        SINUSOID, rates="tensor", optimizer=optimizer, weight_decay=0.5, schedule="constant"
    )
    trainer = Trainer(config, tmp_path / "run")
    trainer.outer_step()
    assert isinstance(trainer.rates, dict)
    for rate in trainer.rates.values():
        moved = float(rate.detach()) / config.inner_lr - 1
        # Adam's first step is the outer rate, whatever the gradient.
        assert abs(moved) == pytest.approx(config.meta_lr, rel=1e-2)


def test_metrics_are_written_for_tensorboard_too(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trainer = Trainer(SINUSOID, tmp_path / "run")
    trainer.train()
    events = EventAccumulator(str(trainer.run.tensorboard_path))
    events.Reload()
    for name in ("loss", "validation", "meta_lr"):
        written = {event.step: event.value for event in events.Scalars(name)}
        assert written == pytest.approx({m["iteration"]: m[name] for m in trainer.run.metrics()})
