"""Networks of timm and torchvision agree with fine-tuning in PyTorch.

timm imports torchvision, and torchvision loads only beside the torch that it was built for; there
is none for the one of constraints.txt. So they have a venv of their own, with another torch:

    make newest
    .venv-newest/bin/python -m pytest tests/export/test_breadth.py

Elsewhere these tests are skipped. `benchmarks.breadth` measures the same networks.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from edgemeta import Runner
from edgemeta_export import export_bundle
from tests.networks import (
    NETWORKS,
    QUERIES,
    SAMPLES,
    STEPS,
    Network,
    difference,
    fine_tuned,
    rate,
    references,
    with_statistics_of,
)

pytest.importorskip("timm", reason="see the module's docstring", exc_type=ImportError)
pytest.importorskip("torchvision", reason="see the module's docstring", exc_type=ImportError)

# Relative to the largest logit: deep networks of random weights magnify rounding; most seen 7e-5.
LIMIT = 2e-4
CONFUSED = 500 * LIMIT  # what the support set's statistics must change; least seen 0.59


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "what"),
    [(network, what) for network in NETWORKS for what in network.kinds],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_network_agrees_with_fine_tuning(network: Network, what: str, tmp_path: Path) -> None:
    model, patterns = network.model(), network.adapt(what)
    x, y = network.samples(SAMPLES, seed=0)
    support = torch.tensor(x), torch.tensor(y)
    lr = rate(model, patterns, *support)
    path = export_bundle(
        model, tmp_path / "b", x, inner_lr=lr, inner_steps=STEPS, adapt=patterns, example_y=y
    )
    runner = Runner(path, threads=1)
    assert not any(tensor.kind == "buffer" for tensor in runner.manifest.state)
    query_x, _ = network.samples(QUERIES, seed=7)
    wanted = references(model, patterns, *support, lr, torch.tensor(query_x))
    with torch.no_grad():
        before = model(torch.tensor(query_x)).numpy()
    # Or nothing was learned, and anything would do ...
    assert np.abs(wanted[0] - before).max() > 0.05 * np.abs(wanted[0]).max()
    if any(isinstance(module, _BatchNorm) for module in model.modules()):
        # ... and so would the support set's statistics.
        confused = fine_tuned(with_statistics_of(model, support[0]), patterns, *support, lr)
        with torch.no_grad():
            assert difference(confused(torch.tensor(query_x)).numpy(), wanted) > CONFUSED
    assert difference(runner.adapt(x, y).predict_logits(query_x), wanted) < LIMIT
