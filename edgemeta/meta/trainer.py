"""The outer loop: meta-train an init, validate, keep the best, resume."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from edgemeta.bundle import TensorSpec
from edgemeta.errors import InputError, TrainingError
from edgemeta.evaluate import Evaluation, evaluate
from edgemeta.meta.config import TrainConfig
from edgemeta.meta.curve import draw_curve
from edgemeta.meta.evaluate import TorchAdapter, outer_loss
from edgemeta.meta.inner import LOSSES, InnerLoop
from edgemeta.meta.run import Checkpoint, DataFacts, Run, head_ways, make_model
from edgemeta.tasks import EpisodeSize, Split, TaskSource, open_tasks

STATISTICS_EPISODES = 100  # enough samples for a mean and a standard deviation
MAX_GRADIENT_NORM = 10.0  # a rare task with a huge second-order term must not undo the others


class Trainer:
    """Meta-trains one run.

    Args:
        config: what to do.
        path: the run's directory.
        resume: continue the run that is there.

    Raises:
        InputError: the tasks cannot be opened, do not fit the model, or the directory is taken.
    """

    def __init__(self, config: TrainConfig, path: Path, *, resume: bool = False) -> None:
        self.config = config
        self.run = Run(path)
        self.device = _device(config.device)
        self.source = open_tasks(
            config.tasks, Path(config.root) if config.root else None, by=config.by
        )
        self.size = EpisodeSize(config.ways, config.shots, config.queries)
        self.best: float | None = None
        self.best_iteration = 0
        self.iteration = 0
        self.validation: float | None = None
        checkpoint = Checkpoint.from_file(self.run.checkpoint_path("last")) if resume else None
        self.facts = checkpoint.facts if checkpoint else data_facts(self.source, self.size)
        torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        model = make_model(config, self.facts).to(self.device)
        self.loop = InnerLoop(model, LOSSES[self.facts.kind])
        self.optimizer = torch.optim.Adam(model.parameters(), config.meta_lr)
        if checkpoint:
            self._restore(checkpoint)
        else:
            self._probe_parts()
            self.run.create(config)
            self.run.save_example(self.source.episode("train", self.size, config.seed, 0))
            self.run.save(self._checkpoint(), "last")  # so that any later moment can be resumed

    @property
    def metric(self) -> str:
        """What validation measures: "accuracy" (higher is better) or "mse" (lower is)."""
        return "accuracy" if self.facts.kind == "classification" else "mse"

    def train(self) -> dict[str, Any]:
        """Run the outer loop to its end, then evaluate the best checkpoint on the test part.

        Interrupting it (KeyboardInterrupt) writes the last checkpoint first.

        Returns:
            The result, as written to result.json.

        Raises:
            TrainingError: the loss is not finite.
        """
        config = self.config
        losses: list[float] = []
        started, done_before = time.perf_counter(), self.iteration
        progress = tqdm(
            total=config.iterations * config.meta_batch,
            initial=self.iteration * config.meta_batch,
            unit="task",
            disable=None,  # quiet when not on a terminal
            smoothing=0.05,
        )
        try:
            while self.iteration < config.iterations:
                losses.append(self.outer_step())
                progress.update(config.meta_batch)
                progress.set_postfix(self._postfix(losses[-1]), refresh=False)
                if self.iteration % config.validate_every == 0 or self._at_end():
                    seconds = time.perf_counter() - started
                    rate = (self.iteration - done_before) * config.meta_batch / seconds
                    self._validate(float(np.mean(losses)), rate)
                    losses.clear()
        except KeyboardInterrupt:
            self.run.save(self._checkpoint(), "last")
            raise
        finally:
            progress.close()
        return self._finish()

    def outer_step(self) -> float:
        """Take one outer step over `meta_batch` tasks.

        Returns:
            The mean query loss before the step.
        """
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = scheduled_lr(config, self.iteration)
        self.optimizer.zero_grad()
        init = self.loop.init()
        total = 0.0
        for k in range(config.meta_batch):
            index = self.iteration * config.meta_batch + k
            loss = outer_loss(
                self.loop,
                init,
                self.source.episode("train", self.size, config.seed, index),
                steps=config.inner_steps,
                lr=config.inner_lr,
                order=2 if config.algorithm == "maml" else 1,
            )
            (loss / config.meta_batch).backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        mean = total / config.meta_batch
        norm = nn.utils.clip_grad_norm_(self.loop.model.parameters(), MAX_GRADIENT_NORM)
        if not math.isfinite(mean) or not torch.isfinite(norm):
            raise TrainingError(
                f"the loss is not finite at outer step {self.iteration}",
                got=mean,
                hint=f"lower --inner-lr or --meta-lr; {self.run.checkpoint_path('best')} is the "
                "last good checkpoint",
            )
        self.optimizer.step()
        self.iteration += 1
        return mean

    def evaluate(self, split: Split, episodes: int) -> Evaluation:
        """Evaluate the present init on a part of the tasks, always the same episodes."""
        adapter = TorchAdapter.of(self.loop, self.config, self.facts)
        size = replace(self.size, queries=self.config.evaluation_queries)
        return evaluate(adapter, self.source, size, episodes=episodes, seed=0, split=split)

    def _validate(self, loss: float, tasks_per_second: float) -> None:
        """Validate, log, and write the checkpoints and the curve."""
        found = self.evaluate("val", self.config.validation_episodes)
        self.validation = found.mean
        sign = 1 if self.metric == "accuracy" else -1
        improved = self.best is None or sign * found.mean > sign * self.best
        if improved:
            self.best, self.best_iteration = found.mean, self.iteration
        self.run.log(
            {
                "iteration": self.iteration,
                "loss": loss,
                "validation": found.mean,
                "validation_ci95": found.ci95,
                "metric": self.metric,
                "meta_lr": scheduled_lr(self.config, self.iteration - 1),
                "tasks_per_second": round(tasks_per_second, 2),
            }
        )
        # The checkpoint names the log's length by its iteration, so it comes after the log: what a
        # crash between the two leaves behind is rewound on resume.
        if improved:
            self.run.save(self._checkpoint(), "best")
        self.run.save(self._checkpoint(), "last")
        draw_curve(self.run.metrics(), self.run.curve_path)

    def _finish(self) -> dict[str, Any]:
        best = Checkpoint.from_file(self.run.checkpoint_path("best"))
        self.loop.model.load_state_dict(best.model)
        found = self.evaluate("test", self.config.test_episodes)
        result = {
            "tasks": self.config.tasks,
            "split": "test",
            "metric": found.metric,
            "mean": found.mean,
            "ci95": found.ci95,
            "episodes": found.episodes,
            "ways": head_ways(self.config, self.facts),
            "shots": self.config.shots,
            "inner_steps": self.config.inner_steps,
            "statistics": "inductive" if self.config.inductive else "transductive",
            "iterations": self.config.iterations,
            "best_iteration": best.best_iteration,
            "validation": best.validation,
        }
        self.run.write_result(result)
        return result

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            iteration=self.iteration,
            model=self.loop.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            facts=self.facts,
            validation=self.validation,
            best=self.best,
            best_iteration=self.best_iteration,
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        self.loop.model.load_state_dict(checkpoint.model)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.iteration = checkpoint.iteration
        self.validation = checkpoint.validation
        self.best, self.best_iteration = checkpoint.best, checkpoint.best_iteration
        self.run.rewind_metrics(checkpoint.iteration)

    def _probe_parts(self) -> None:
        """Draw from each part once: a part that is too small is said now, not after an hour."""
        evaluation = replace(self.size, queries=self.config.evaluation_queries)
        self.source.episode("train", self.size, 0, 0)
        self.source.episode("val", evaluation, 0, 0)
        self.source.episode("test", evaluation, 0, 0)

    def _postfix(self, loss: float) -> dict[str, str]:
        shown = {"loss": f"{loss:.3f}"}
        if self.validation is not None:
            shown[f"val {self.metric}"] = f"{self.validation:.3f}"
        return shown

    def _at_end(self) -> bool:
        return self.iteration == self.config.iterations


def scheduled_lr(config: TrainConfig, iteration: int) -> float:
    """Return the outer learning rate of an outer step: half a cosine from meta_lr to zero."""
    return config.meta_lr * 0.5 * (1 + math.cos(math.pi * iteration / config.iterations))


def data_facts(source: TaskSource, size: EpisodeSize) -> DataFacts:
    """Measure what the model's preprocessing needs, on meta-training tasks alone.

    Images (uint8) are scaled to 0..1. Other classification data are standardised along the last
    axis. Regression inputs stay as they are, as in the papers.
    """
    mean, std = (0.0,), (1.0,)
    if source.input_dtype == np.uint8:
        std = (255.0,)
    elif source.kind == "classification":
        drawn = (source.episode("train", size, 0, k) for k in range(STATISTICS_EPISODES))
        x = np.concatenate([episode.support_x for episode in drawn]).astype(np.float64)
        rows = x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x[:, None]
        mean = tuple(rows.mean(0).tolist())
        std = tuple(np.maximum(rows.std(0), 1e-6).tolist())
    return DataFacts(
        kind=source.kind,
        input=TensorSpec(source.input_shape, source.input_dtype.name),
        target_shape=source.target_shape,
        mean=mean,
        std=std,
    )


def resumed_config(run: Run, given: dict[str, Any]) -> TrainConfig:
    """Return the config of a run that is to be continued.

    Args:
        run: the run.
        given: options that the caller set explicitly.

    Raises:
        InputError: there is no run, or an option differs from the run's.
    """
    if not run.config_path.exists():
        raise InputError(f"{run.path} holds no run to resume", hint="leave out --resume")
    config = run.config()
    for name, value in given.items():
        if asdict(config)[name] != value:
            raise InputError(
                f"--{name.replace('_', '-')} differs from the run's",
                got=value,
                expected=asdict(config)[name],
                hint="a resumed run keeps its config; start another with --out",
            )
    return config


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda", got="no CUDA device", hint="use --device cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)
