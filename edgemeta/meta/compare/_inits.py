"""The weights that a comparison begins with: those of the run, pre-trained ones, random ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch

from edgemeta.errors import InputError
from edgemeta.meta.compare._contestants import Init
from edgemeta.meta.compare._supervised import (
    is_pretraining,
    supervised_baseline,
    supervised_config,
)
from edgemeta.meta.models.parts import FewShotModel
from edgemeta.meta.runs.building import make_model
from edgemeta.meta.runs.run import Run, Trained
from edgemeta.meta.runs.seeding import OwnRandomness
from edgemeta.tasks import TaskSource


def find_inits(
    run: Run, trained: Trained, source: TaskSource, pretrain_iterations: int | None
) -> dict[Init, Trained]:
    """Return the inits to compare, the run's own first; pre-train where there is need.

    Args:
        run: which is compared.
        trained: its best checkpoint.
        source: its tasks.
        pretrain_iterations: outer steps of the pre-training; None for the samples of the run.

    Raises:
        InputError: another pre-training is there, or none is needed.
    """
    config, statistics = trained.config, trained.statistics
    with OwnRandomness(config.seed):  # as the trainer does
        start = make_model(config, statistics, run.model)
    random = trained._replace(model=start, rates=config.inner_lr)
    if is_pretraining(config):
        if pretrain_iterations is not None:
            raise InputError(
                "the run is a pre-training, so nothing else is pre-trained",
                got=f"--pretrain-iterations {pretrain_iterations}",
                hint="omit it",
            )
        return {"pretrained": trained, "random": random}
    inits: dict[Init, Trained] = {"meta-learned": trained, "random": random}
    if config.recipe == "auto" and config.start:  # which begins with the best pre-training
        own = Run(run.recipe_folder / Path(config.start).name, model=run.model, source=source)
        inits["pretrained"] = own.best()
    elif isinstance(trained.model, FewShotModel):
        supervised = supervised_config(config, statistics.kind, pretrain_iterations)
        own = Run(run.pretrained_path, model=run.model, source=source)
        inits["pretrained"] = supervised_baseline(supervised, own)
    return inits


def digest(trained: Trained) -> str:
    """Return a hash of an init and its rates: figures of other weights are no longer true."""
    digest = hashlib.sha256()
    rates = (
        trained.rates
        if isinstance(trained.rates, Mapping)
        else {"": torch.as_tensor(trained.rates)}
    )
    for part in (trained.model.state_dict(), rates):
        for name, tensor in part.items():
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
