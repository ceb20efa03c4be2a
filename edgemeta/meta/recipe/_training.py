"""Trains candidates: side by side, each on its share of the cores, where that is possible.

The products of such small networks are too small to be shared among threads: on two cores, two
trainings of one thread each take as long as one training of two.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgemeta.errors import InputError, TrainingError
from edgemeta.meta.outer.trainer import Trainer
from edgemeta.meta.runs.config import TrainConfig
from edgemeta.meta.runs.devices import choose_device
from edgemeta.meta.runs.run import Run

WORKER = "edgemeta.meta.recipe._worker"
POLL = 0.1  # seconds
PATIENCE = 60.0  # seconds for a worker that was told to stop: a validation may have to end


@dataclass(frozen=True)
class Job:
    """A training: where, and what."""

    run: Run
    config: TrainConfig


def workers_for(config: TrainConfig, trainings: int, *, in_files: bool) -> int:
    """Return how many trainings run side by side.

    Args:
        config: of one of them.
        trainings: how many there are.
        in_files: whether the tasks are files that other processes can open.
    """
    on_cpu = choose_device(config.device).type == "cpu"
    return min(config.cores, trainings) if on_cpu and in_files else 1


def rounds(shares: Sequence[float], workers: int) -> float:
    """Return how long trainings take side by side, each begun when the first before it ends.

    Args:
        shares: how long each takes, in any unit.
        workers: how many run at a time.
    """
    ends = [0.0] * workers
    for share in shares:
        ends[ends.index(min(ends))] += share
    return max(ends)


def train_all(jobs: Sequence[Job], workers: int) -> None:
    """Train to the end what has not ended, from where it is.

    Interrupting it (KeyboardInterrupt) writes the last checkpoint of each first.

    Args:
        jobs: the trainings.
        workers: how many at a time. With one, they train in this process.

    Raises:
        TrainingError: one has failed.
        InputError: likewise, by its options.
    """
    jobs = [job for job in jobs if job.run.result() is None]
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            _trainer(job).train()
        return
    for job in jobs:
        if not job.run.config_path.exists():
            trainer = _trainer(job)
            trainer.create_run()
            trainer.close()
    _in_processes(jobs, workers)


def with_threads(config: TrainConfig, workers: int) -> TrainConfig:
    """Return the config of one of several trainings that share the cores."""
    return config if workers == 1 else replace(config, threads=config.cores // workers)


def _trainer(job: Job) -> Trainer:
    there = job.run.config_path.exists()
    config = job.run.config() if there else job.config
    return Trainer(config, job.run.path, resume=there, source=job.run.source)


def _in_processes(jobs: Sequence[Job], workers: int) -> None:
    waiting = list(jobs)
    running: dict[int, _Worker] = {}  # by the line of their progress bar
    try:
        while waiting or running:
            for line in range(workers):
                if waiting and line not in running:
                    running[line] = _Worker(waiting.pop(0).run.path, line)
            time.sleep(POLL)
            for line, worker in list(running.items()):
                if worker.is_at_work:
                    continue
                del running[line]
                worker.end()
    finally:  # an interruption, or a failure of one: the others stop where they can go on
        for worker in running.values():
            worker.tell_to_stop()
        for worker in running.values():
            worker.leave()


class _Worker:
    """A process that trains a run on.

    Args:
        path: of the run.
        line: of the terminal, counted from the present one, that its progress bar takes.
    """

    def __init__(self, path: Path, line: int) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # this very program
            [sys.executable, "-m", WORKER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"TQDM_POSITION": str(line), "TQDM_DESC": path.name},
            start_new_session=True,  # Ctrl-C is the recipe's, which lets it stop
        )

    @property
    def is_at_work(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def tell_to_stop(self) -> None:
        """Close its input: it keeps its last checkpoint, and ends."""
        assert self._process.stdin is not None  # noqa: S101  # a pipe
        self._process.stdin.close()

    def leave(self) -> None:
        """Wait for its end, and hasten it if that takes too long."""
        with self._process:  # which closes what is open
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def end(self) -> None:
        """Take leave of one that has ended.

        Raises:
            InputError, TrainingError: it has failed.
        """
        assert self._process.stdout is not None  # noqa: S101  # a pipe
        said = self._process.stdout.read().strip()
        self.leave()
        code = self._process.returncode
        if code:
            kind = InputError if code == InputError.exit_code else TrainingError
            raise kind(said or f"a training ended with exit code {code}")
