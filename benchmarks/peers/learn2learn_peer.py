"""learn2learn as a peer of the meta-training benchmark, used as its own examples use it.

learn2learn 0.2.0 (2023) has no wheel. Its source package brings C code that does not compile for
Python 3.11 and later, so Cython writes that code anew; and it requires torchvision, gym and others
for parts that are not used here, hence --no-deps:

    python -m venv /tmp/venv-l2l
    /tmp/venv-l2l/bin/pip install -r benchmarks/peers/learn2learn-requirements.txt
    cd /tmp
    venv-l2l/bin/pip download --no-deps --no-binary :all: --no-build-isolation learn2learn==0.2.0
    tar xzf learn2learn-0.2.0.tar.gz
    venv-l2l/bin/cython -3 learn2learn-0.2.0/learn2learn/data/*.pyx
    venv-l2l/bin/pip install --no-deps --no-build-isolation ./learn2learn-0.2.0

    python -m benchmarks.meta_throughput --peer learn2learn=/tmp/venv-l2l/bin/python

What follows which example of learn2learn (accuracies, which they compute for their logs, are left
out):

- MAML and FOMAML, examples/vision/maml_omniglot.py: `MAML.clone` and `MAML.adapt` for each task.
- ANIL, examples/vision/anil_fc100.py: features of the task's samples all at once, and `MAML` on
  the head.
- Reptile, examples/vision/reptile_miniimagenet.py: the library has no class for it; a deep copy is
  trained, here with plain SGD on the whole support set.

The networks are those of edgemeta/meta/models/networks.py, written again. Requests: see serving.py.
"""

from __future__ import annotations

import importlib.util
import sys
from copy import deepcopy
from importlib.metadata import version
from itertools import pairwise
from types import ModuleType

import numpy as np
import torch
from serving import serve
from torch import nn

# The package's own __init__ imports everything, torchvision and gym with it.
package = ModuleType("learn2learn")
package.__path__ = list(importlib.util.find_spec("learn2learn").submodule_search_locations)
sys.modules["learn2learn"] = package

from learn2learn.algorithms.maml import MAML

GROUPS = 8  # of the group norms


class Preprocess(nn.Module):
    """Scale (N, *shape) and lay it out: images to (N, 1, H, W), all else to (N, D)."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("std", torch.ones(1))

    def forward(self, x):
        """(N, *shape) -> (N, 1, H, W) or (N, D)."""
        x = (x.float() - self.mean) / self.std
        return x.unsqueeze(1) if x.ndim == 3 else x.flatten(1)


class Conv4(nn.Module):
    """Four blocks of convolution, group norm, ReLU and max-pooling, with the sizes of weights."""

    def __init__(self, weights):
        super().__init__()
        self.preprocess = Preprocess()
        width = len(weights["blocks.0.0.weight"])
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(inside, width, 3, padding=1),
                    nn.GroupNorm(min(GROUPS, width), width),
                    nn.ReLU(),
                    nn.MaxPool2d(2),
                )
                for inside in (1, width, width, width)
            )
        )
        outputs, features = weights["head.weight"].shape
        self.head = nn.Linear(features, outputs)

    def features(self, x):
        """(N, H, W) -> (N, D)."""
        return self.blocks(self.preprocess(x)).flatten(1)

    def forward(self, x):
        """(N, H, W) -> (N, ways)."""
        return self.head(self.features(x))


class MLP(nn.Module):
    """Linear layers with ReLU in between, with the sizes of weights."""

    def __init__(self, weights):
        super().__init__()
        self.preprocess = Preprocess()
        hidden = [a for n, a in weights.items() if n.startswith("body.") and a.ndim == 2]
        layers = []
        for inside, outside in pairwise([hidden[0].shape[1], *(len(a) for a in hidden)]):
            layers += [nn.Linear(inside, outside), nn.ReLU()]
        self.body = nn.Sequential(*layers)
        outputs, features = weights["head.weight"].shape
        self.head = nn.Linear(features, outputs)

    def features(self, x):
        """(N, D) -> (N, H)."""
        return self.body(self.preprocess(x))

    def forward(self, x):
        """(N, D) -> (N, 1)."""
        return self.head(self.features(x)).view(-1, 1)


NETWORKS = {
    "conv4": (Conv4, nn.functional.cross_entropy),
    "mlp": (MLP, nn.functional.mse_loss),
}


class Training:
    """One meta-training from the start: `step` takes an outer step."""

    def __init__(self, request, tasks, weights):
        network, self.loss = NETWORKS[request["case"]]
        self.model = network(weights)
        missing, unexpected = self.model.load_state_dict(weights, strict=False)
        if unexpected or any(not name.startswith("preprocess.") for name in missing):
            raise ValueError(f"other parameters: {missing} {unexpected}")
        self.tasks, self.steps, self.lr = tasks, request["steps"], request["lr"]
        self.parameters = list(self.model.parameters())
        algorithm = request["algorithm"]
        if algorithm == "anil":
            self.learner, self.task = MAML(self.model.head, lr=self.lr), self.anil
        elif algorithm == "reptile":
            self.task = self.reptile
        else:
            first_order = algorithm == "fomaml"
            self.learner = MAML(self.model, lr=self.lr, first_order=first_order)
            self.task = self.maml
        outer = torch.optim.SGD if algorithm == "reptile" else torch.optim.Adam
        self.optimizer = outer(self.parameters, request["meta_lr"])

    def step(self):
        """Take one outer step; returns the sum of the tasks' losses."""
        self.optimizer.zero_grad()
        total = 0.0
        for task in self.tasks:
            total += self.task(*task)
        for p in self.parameters:
            p.grad.mul_(1.0 / len(self.tasks))
        self.optimizer.step()
        return total

    def maml(self, support_x, support_y, query_x, query_y):
        """Add the meta-gradient of one task, of either order."""
        learner = self.learner.clone()
        for _ in range(self.steps):
            learner.adapt(self.loss(learner(support_x), support_y))
        error = self.loss(learner(query_x), query_y)
        error.backward()
        return error.item()

    def anil(self, support_x, support_y, query_x, query_y):
        """Add the meta-gradient of one task of which only the head adapts."""
        learner = self.learner.clone()
        features = self.model.features(torch.cat([support_x, query_x]))
        support, query = features[: len(support_x)], features[len(support_x) :]
        for _ in range(self.steps):
            learner.adapt(self.loss(learner(support), support_y))
        error = self.loss(learner(query), query_y)
        error.backward()
        return error.item()

    def reptile(self, support_x, support_y, *_):
        """Add how far one task's training leads away."""
        learner = deepcopy(self.model)
        optimizer = torch.optim.SGD(learner.parameters(), self.lr)
        for _ in range(self.steps):
            optimizer.zero_grad()
            error = self.loss(learner(support_x), support_y)
            error.backward()
            optimizer.step()
        for p, adapted in zip(self.parameters, learner.parameters(), strict=True):
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            p.grad.add_(p.data).add_(adapted.data, alpha=-1.0)
        return error.item()


def prepare(request):
    """See `serve`."""
    with np.load(request["arrays"]) as arrays:
        weights = {n[2:]: torch.from_numpy(a) for n, a in arrays.items() if n.startswith("p:")}
        fields = ("support_x", "support_y", "query_x", "query_y")
        tasks = list(zip(*(torch.from_numpy(arrays[name]) for name in fields), strict=True))

    def result():
        training = Training(request, tasks, weights)
        loss = training.step()
        named = training.model.named_parameters()
        return {name: p.grad.numpy() for name, p in named}, loss / len(tasks)

    return Training(request, tasks, weights).step, result


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    packages = {name: version(name) for name in ("learn2learn", "torch", "numpy")}
    serve(NETWORKS, prepare, packages)
