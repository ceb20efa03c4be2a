"""The outer loop: meta-train an init, validate, keep the best, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from edgemeta.errors import TrainingError
from edgemeta.measure.evaluate import Evaluation, evaluate
from edgemeta.meta.augment.augmentation import AUGMENT_STREAM, make_augmentation
from edgemeta.meta.inner.objective import Tasks
from edgemeta.meta.inner.rates import learned, start_rates
from edgemeta.meta.inner.shared_head import rest_rows
from edgemeta.meta.outer._batches import Batches
from edgemeta.meta.outer._engine import Engine, Plan
from edgemeta.meta.outer._optimizer import make_optimizer, scheduled_lr, set_lr
from edgemeta.meta.outer._planning import ask_of, choose_plan, preferred
from edgemeta.meta.outer._pretrain import Pretraining
from edgemeta.meta.outer._teacher import teacher_of
from edgemeta.meta.outer._tensorboard import TensorBoard
from edgemeta.meta.outer.ranks import Ranks
from edgemeta.meta.outer.work import begin, fit_to_episodes
from edgemeta.meta.runs.adapter import TorchAdapter
from edgemeta.meta.runs.building import load_weights, state_of
from edgemeta.meta.runs.checkpoint import Checkpoint
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.curve import draw_curve
from edgemeta.meta.runs.data_statistics import data_statistics
from edgemeta.meta.runs.devices import choose_device, prepare_gpu
from edgemeta.meta.runs.labelling import settled
from edgemeta.meta.runs.opening import open_run_tasks
from edgemeta.meta.runs.results import training_result
from edgemeta.meta.runs.run import Run
from edgemeta.meta.runs.seeding import OwnRandomness
from edgemeta.tasks import EpisodeSize, Split, TaskSource
from edgemeta.tasks.more_classes import with_more_classes

MAX_GRADIENT_NORM = 10.0  # a rare task with a huge second-order term must not undo the others


class Trainer:
    """Meta-trains one run.

    Args:
        config: what to do.
        path: the run's directory.
        resume: continue the run that is there.
        model: what is trained, where `config.model` is an object of Python; it is copied.
        source: of the tasks; None for those that `config` names.

    Attributes:
        config: as given, and its `labels` and `ways` as they were settled.
        tasks: of the run, with labels as settled.
        memory_estimate: bytes that an outer step needs (see `_memory`), once `train`
            has chosen a plan; None before, for a resumed run, and for a pre-training.

    Raises:
        InputError: the tasks cannot be opened, do not fit the model, or the directory is taken.

    Example:
        result = Trainer(TrainConfig(tasks="glyphs"), Path("runs/glyphs")).train()
    """

    def __init__(
        self,
        config: TrainConfig,
        path: Path,
        *,
        resume: bool = False,
        model: nn.Module | None = None,
        source: TaskSource | None = None,
    ) -> None:
        self.run = Run(path, model=model, source=source)
        self.tensorboard = TensorBoard(self.run.tensorboard_path)
        self.device = choose_device(config.device)
        self.ranks = Ranks(self.device)
        if self.ranks.first and not resume:
            self.run.check_free()
        raw = open_run_tasks(config) if source is None else source
        self.config, self.tasks = config, raw = settled(config, raw)
        self.size = EpisodeSize(config.ways, config.shots, config.queries)
        self.best: float | None = None
        self.best_iteration = self.iteration = self.stale = 0
        self.validation: float | None = None
        self.plan: Plan | None = None
        self.memory_estimate: int | None = None
        checkpoint = Checkpoint.from_file(self.run.checkpoint_path("last")) if resume else None
        self.statistics = (
            checkpoint.statistics if checkpoint else data_statistics(raw, self.size, config.scales)
        )
        self.augmentation = make_augmentation(config.augment, raw)
        torch.set_num_threads(config.cores)
        if self.device.type == "cuda":
            prepare_gpu(self.device, config.precision)
        self.randomness = OwnRandomness(config.seed, self.device)
        with self.randomness:
            self.work = begin(
                config,
                with_more_classes(raw, config.more_classes),
                self.statistics,
                model,
                checkpoint,
                path,
                self.device,
                raw=bool(config.teacher) or self.augmentation is not None,
            )
        self.loop, self.source = self.work.loop, self.work.source
        # To share small products among threads takes longer than the products.
        threads = 1 if self.work.light else config.cores
        torch.set_num_threads(threads)
        self.rates = start_rates(
            config.rates, self.loop.init().params, config.inner_lr, config.inner_steps
        )
        with self.randomness:
            self.pretraining = None
            if config.objective == "classes":
                self.pretraining = Pretraining.of(
                    config, self.work, raw, self.augmentation, self.device
                )
        self.engine = self._make_engine(threads)
        self.leaves = (self.pretraining or self.engine).leaves
        rates = () if self.pretraining else learned(self.rates)
        weights = self.leaves[: len(self.leaves) - len(rates)]
        self.optimizer = make_optimizer(config, weights, rates)
        self.teacher = None
        if config.teacher and self.pretraining is None:
            self.teacher = teacher_of(config, self.statistics, self.device)
        self.batches = self._make_batches()
        self._is_new = checkpoint is None
        self._example = raw.episode("train", self.size, config.seed, 0)
        if checkpoint:
            self._restore(checkpoint)
        else:
            self._probe_parts()

    def create_run(self) -> None:
        """Make the run's directory: config, an example, and a checkpoint of the start.

        `train` does it, so that any later moment can be resumed. A run that is there stays.

        Raises:
            InputError: the directory is taken.
            EdgemetaError: it cannot be written.
        """
        if self._is_new and self.ranks.first:
            self.run.create(self.config)
            self.run.save_example(self._example)
            self.run.save(self._checkpoint(), "last")
        self._is_new = False

    def _make_engine(self, threads: int) -> Engine:
        return Engine(
            self.loop,
            self.rates,
            "displacement" if self.config.objective == "displacement" else "query",
            threads=threads if self.device.type == "cpu" else 0,
            precision=self.config.precision,
            trained=self.work.trained,
        )

    def _make_batches(self) -> Batches:
        return Batches(
            self.source,
            self.size,
            self.config.seed,
            self._own_tasks,
            self.device,
            # A GPU is through with a batch before one process has made the next.
            processes=self.config.cores if self.device.type == "cuda" else 0,
            partial_share=self.config.partial_share,
        )

    @property
    def _classifier(self) -> nn.Linear | None:
        return None if self.pretraining is None else self.pretraining.classifier

    @property
    def _projection(self) -> nn.Linear | None:
        return None if self.pretraining is None else self.pretraining.projection

    @property
    def metric(self) -> str:
        """What validation measures: "accuracy" (higher is better) or "mse" (lower is)."""
        return "accuracy" if self.statistics.kind == "classification" else "mse"

    def train(self) -> dict[str, Any] | None:
        """Run the outer loop to its end, then evaluate the best checkpoint on the test part.

        Interrupting it (KeyboardInterrupt) writes the last checkpoint first.

        Returns:
            The result, as written to result.json; None on a rank that is not the first.

        Raises:
            TrainingError: the loss is not finite.
            InputError: an outer step does not fit into memory.
        """
        with self.randomness:
            return self._train()

    def _train(self) -> dict[str, Any] | None:
        config = self.config
        self.create_run()
        if self.plan is None:
            self._choose_plan()
        losses: list[float] = []
        started, done_before = time.perf_counter(), self.iteration
        progress = tqdm(
            total=config.iterations * config.meta_batch,
            initial=self.iteration * config.meta_batch,
            unit="task",
            disable=None if self.ranks.first else True,  # None: quiet when not on a terminal
            smoothing=0.05,
        )
        try:
            while not self._at_end():
                losses.append(self.outer_step())
                progress.update(config.meta_batch)
                progress.set_postfix(self._postfix(losses[-1]), refresh=False)
                if self.iteration % config.validate_every == 0 or self._at_end():
                    seconds = time.perf_counter() - started
                    rate = (self.iteration - done_before) * config.meta_batch / seconds
                    self._validate(float(np.mean(losses)), rate)
                    losses.clear()
        except KeyboardInterrupt:
            if self.ranks.first:
                self.run.save(self._checkpoint(), "last")
            raise
        finally:
            progress.close()
            self.engine.close()
            self.batches.close()
        return self._finish() if self.ranks.first else None

    def close(self) -> None:
        """End the threads and processes that outer steps began, and the exchange with others."""
        self.engine.close()
        self.batches.close()
        self.ranks.close()

    def stopped(self) -> str:
        """Return how far it has come, for people."""
        return f"stopped at outer step {self.iteration}"

    def outer_step(self) -> float:
        """Take one outer step over `meta_batch` tasks.

        Returns:
            The mean loss before the step.
        """
        if self.plan is None:
            self._choose_plan()
        set_lr(self.optimizer, scheduled_lr(self.config, self.iteration))
        self.optimizer.zero_grad()
        with self.randomness:
            mean = self._accumulate()
        norm = nn.utils.clip_grad_norm_(self.leaves, MAX_GRADIENT_NORM)
        if not math.isfinite(mean) or not torch.isfinite(norm):
            raise TrainingError(
                f"the loss is not finite at outer step {self.iteration}",
                got=mean,
                hint=f"lower --inner-lr or --meta-lr; {self.run.checkpoint_path('best')} is the "
                "last good checkpoint",
            )
        self.optimizer.step()
        rest_rows(self.loop.model, self.loop.per_class)
        self.iteration += 1
        return mean

    def _accumulate(self) -> float:
        """Add the gradients of this step to the leaves; return the mean loss."""
        config = self.config
        if self.pretraining is not None:
            mean = self.pretraining.accumulate(self.iteration)
            share = 1 / self.ranks.count  # every rank has computed the same batch
        else:
            share = 1.0
            mean = 0.0
            if self._own_tasks(self.iteration):
                mean = self.engine.accumulate(
                    self._tasks(self.iteration),
                    ask_of(config, self.iteration),
                    1 / config.meta_batch,
                )
        if self.ranks.count == 1:
            return mean
        for leaf in self.leaves:
            leaf.grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad * share
        total = torch.tensor([mean * share], device=self.device)
        self.ranks.add_up([total, *(leaf.grad for leaf in self.leaves if leaf.grad is not None)])
        return float(total)

    def _own_tasks(self, step: int) -> range:
        """Return the numbers of this rank's tasks in an outer step."""
        first = step * self.config.meta_batch
        return self.ranks.share(range(first, first + self.config.meta_batch))

    def _tasks(self, step: int) -> Tasks:
        """Return this rank's tasks of an outer step, augmented, with the teacher's word on them."""
        tasks = self.batches[step]
        if self.augmentation is not None:
            first = self._own_tasks(step).start
            tasks = self.augmentation.of_tasks(tasks, (self.config.seed, AUGMENT_STREAM, first))
        if self.teacher is None:
            return tasks
        return tasks._replace(teacher=self.teacher.words(tasks))

    def _choose_plan(self) -> None:
        """Decide how to compute a batch; see `choose_plan`."""
        tasks = len(self._own_tasks(self.iteration))
        if self.pretraining is not None or not tasks:
            self.plan = preferred(self.config, tasks, self.engine.threads)[0]
            self.engine.use(self.plan)
            return
        self.plan, self.memory_estimate = choose_plan(
            self.engine, self.config, self._tasks(self.iteration), self.work.light
        )

    def evaluate(self, split: Split, episodes: int) -> Evaluation:
        """Evaluate the present init on a part of the tasks, always the same episodes."""
        adapter = TorchAdapter.of(self.loop, self.config, self.work.statistics, self.rates)
        size = replace(self.size, queries=self.config.evaluation_queries)
        with self.randomness:
            return evaluate(adapter, self.source, size, episodes=episodes, seed=0, split=split)

    def _validate(self, loss: float, tasks_per_second: float) -> None:
        """Validate on the first rank, and let the others know for how long there was no best."""
        if self.ranks.first:
            self._validate_and_write(loss, tasks_per_second)
        self.stale = self.ranks.agree(self.stale)

    def _validate_and_write(self, loss: float, tasks_per_second: float) -> None:
        """Validate, log, and write the checkpoints and the curve."""
        if self.pretraining is not None and self.pretraining.moves_body:
            fit_to_episodes(self.loop.model, self.source, self.size, self.device)
        found = self.evaluate("val", self.config.validation_episodes)
        self.validation = found.mean
        sign = 1 if self.metric == "accuracy" else -1
        improved = self.best is None or sign * found.mean > sign * self.best
        self.stale = 0 if improved else self.stale + 1
        if improved:
            self.best, self.best_iteration = found.mean, self.iteration
        line = {
            "iteration": self.iteration,
            "loss": loss,
            "validation": found.mean,
            "validation_ci95": found.ci95,
            "metric": self.metric,
            "meta_lr": scheduled_lr(self.config, self.iteration - 1),
            "tasks_per_second": round(tasks_per_second, 2),
        }
        self.run.log(line)
        self.tensorboard.write(line)
        # The checkpoint names the log's length by its iteration, so it comes after the log: what a
        # crash between the two leaves behind is rewound on resume.
        if improved:
            self.run.save(self._checkpoint(), "best")
        self.run.save(self._checkpoint(), "last")
        draw_curve(self.run.metrics(), self.run.curve_path)

    def _finish(self) -> dict[str, Any]:
        best = Checkpoint.from_file(self.run.checkpoint_path("best"))
        self._load(best)
        episodes = self.config.test_episodes
        found = self.evaluate("test", episodes) if episodes else None
        preprocessing = self.source.preprocessing
        record = training_result(self.config, best, self.iteration, preprocessing, found)
        self.run.write_result(record)
        return record

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            iteration=self.iteration,
            model=state_of(self.work.model, self.work.trained),
            optimizer=self.optimizer.state_dict(),
            statistics=self.statistics,
            validation=self.validation,
            best=self.best,
            best_iteration=self.best_iteration,
            rates={n: r.detach() for n, r in self.rates.items()}
            if isinstance(self.rates, Mapping)
            else None,
            classifier=None if self._classifier is None else self._classifier.state_dict(),
            projection=None if self._projection is None else self._projection.state_dict(),
            plan=self.plan and (self.plan.chunk, self.plan.workers, self.plan.recorded),
            stale=self.stale,
            body_sha256=self.work.body_sha256,
        )

    def _load(self, checkpoint: Checkpoint) -> None:
        """Take the weights of a checkpoint."""
        load_weights(self.work.model, checkpoint.model, self.run.path)
        if isinstance(self.rates, Mapping) and checkpoint.rates is not None:
            for name, rate in self.rates.items():
                rate.data.copy_(checkpoint.rates[name])
        if self._classifier is not None and checkpoint.classifier is not None:
            self._classifier.load_state_dict(checkpoint.classifier)
        if self._projection is not None and checkpoint.projection is not None:
            self._projection.load_state_dict(checkpoint.projection)

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._load(checkpoint)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        self.iteration = checkpoint.iteration
        self.validation = checkpoint.validation
        self.best, self.best_iteration = checkpoint.best, checkpoint.best_iteration
        self.stale = checkpoint.stale
        if checkpoint.plan is not None:
            self.plan = Plan(*checkpoint.plan)
            self.engine.use(self.plan)
        if self.ranks.first:
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
        out_of_patience = 0 < self.config.patience <= self.stale
        return self.iteration == self.config.iterations or out_of_patience
