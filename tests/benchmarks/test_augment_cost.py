from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.augment_cost import CASES, SAMPLES, augmenting, source_of, step_of, trainer_of


@pytest.mark.parametrize("case", CASES, ids=[case.network["model"] for case in CASES])
def test_what_is_timed_changes_the_samples_of_a_step(
    case: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(case, type(CASES[0]))
    source = source_of(case)
    change = augmenting(source)
    changed = change()
    assert changed.shape == (SAMPLES, *case.shape)
    assert torch.equal(changed, change())
    trainer = trainer_of(case, source, "pretrain", tmp_path / "run")
    assert trainer.augmentation is None
    assert trainer.pretraining is not None
    assert trainer.pretraining._batch == SAMPLES
    monkeypatch.setattr(trainer, "outer_step", lambda: 0.0)
    assert step_of(trainer)() == 0.0
