"""Networks of timm and torchvision, and what fine-tuning one in PyTorch gives.

The reference is an ordinary loop with `torch.optim.SGD` on a network in eval mode, not our own
`InnerLoop`. Weights are random, and running statistics fit no data: with the support set's instead
(`with_statistics_of`) the result is another. See `test_breadth` for what these packages need.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from edgemeta.meta.inner.loop import matching

WAYS, STEPS = 5, 3
SAMPLES, QUERIES = 10, 6
MOVE = 0.1  # length of the first step, as a share of the weights that move

KINDS = ("head", "last block", "all")

Package = Literal["timm", "torchvision"]


@dataclass(frozen=True)
class Network:
    """A network of a package.

    Attributes:
        package: what makes it.
        name: there.
        head: patterns over the parameters of its last layer.
        last: patterns over those of its last block.
        size: height and width of an image: small, to save time.
        settings: what else its maker takes.
        whole: whether it is looked at with all its weights adapting, too.
    """

    package: Package
    name: str
    head: tuple[str, ...]
    last: tuple[str, ...]
    size: int = 64
    settings: tuple[tuple[str, Any], ...] = ()
    whole: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """What adapts, each in turn: see `adapt`."""
        return KINDS if self.whole else KINDS[:2]

    def model(self) -> nn.Module:
        """Return it in eval mode, with seeded weights and statistics."""
        torch.manual_seed(0)
        made: nn.Module
        settings = dict(self.settings) | {"num_classes": WAYS}
        if self.package == "timm":
            made = importlib.import_module("timm").create_model(self.name, **settings)
        else:
            made = getattr(importlib.import_module("torchvision.models"), self.name)(**settings)
        _disturb_norms(made, torch.tensor(self.samples(SAMPLES, seed=1)[0]))
        return made.eval()

    def samples(self, count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return (count, 3, size, size) images and their (count,) labels: a class has a pattern."""
        patterns = np.random.default_rng(0).normal(size=(WAYS, 3, 4, 4)).repeat(self.size // 4, -1)
        rng = np.random.default_rng(seed)
        y = (np.arange(count) % WAYS).astype(np.int64)
        noise = rng.normal(size=(count, 3, self.size, self.size))
        return (patterns.repeat(self.size // 4, -2)[y] + noise).astype(np.float32), y

    def adapt(self, what: str) -> tuple[str, ...]:
        """Return the patterns of one of `KINDS`; the last block has the head in it."""
        return {"head": self.head, "last block": (*self.last, *self.head), "all": ("*",)}[what]


def _disturb_norms(model: nn.Module, x: Tensor) -> None:
    """Give batch norms random parameters, and statistics far from those of any data.

    One after the other, each as far from those of what now reaches it, in units of its deviation,
    as the next: statistics of a network whose earlier norms were still undisturbed would be
    further off with every layer. Norms shrink what they normalise, for where attention is sharp or
    layers are many, a gain above 1 magnifies rounding until float32 is noise.
    """

    def disturb(norm: nn.modules.batchnorm._BatchNorm, inputs: tuple[Tensor]) -> None:
        (seen,) = inputs
        variance, mean = torch.var_mean(seen, [0, *range(2, seen.ndim)], correction=0)
        # What is dead in `x` would be divided by nothing where it is not.
        variance = variance.clamp(min=0.05 * float(variance.mean()))
        deviation = variance.sqrt()
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.copy_(mean + 0.3 * deviation * torch.randn_like(deviation))
            norm.running_var.copy_(variance * torch.empty_like(variance).uniform_(1, 2.5))
        if norm.affine:
            nn.init.uniform_(norm.weight, 0.25, 0.75)
            nn.init.normal_(norm.bias, 0.0, 0.3)

    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    handles = [norm.register_forward_pre_hook(disturb) for norm in norms]
    with torch.no_grad():
        model.eval()(x)
    for handle in handles:
        handle.remove()


def with_statistics_of(model: nn.Module, x: Tensor) -> nn.Module:
    """Return a copy in eval mode whose batch norms have the statistics of `x`."""
    model = copy.deepcopy(model)
    for norm in model.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.momentum = 1.0
            norm.train()
    with torch.no_grad():
        model(x)
    return model.eval()


def rate(model: nn.Module, patterns: Sequence[str], x: Tensor, y: Tensor) -> float:
    """Return a learning rate at which the loss falls; its first step has at most length `MOVE`.

    Features of random networks differ in size by orders of magnitude: no one rate serves all.
    """
    # Some networks keep what they computed, gradient included.
    fresh = copy.deepcopy(model)
    tensors = dict(fresh.named_parameters())
    chosen = [tensors[name] for name in matching(tensors, patterns)]
    before = F.cross_entropy(fresh(x), y)
    gradients = torch.autograd.grad(before, chosen)
    lengths = [float(nn.utils.get_total_norm(ts)) for ts in (chosen, gradients)]
    lr = MOVE * lengths[0] / lengths[1]
    while True:
        with torch.no_grad():
            after = F.cross_entropy(fine_tuned(model, patterns, x, y, lr)(x), y)
        if after < before:
            return lr
        lr /= 2


def fine_tuned(
    model: nn.Module, patterns: Sequence[str], x: Tensor, y: Tensor, lr: float
) -> nn.Module:
    """Fine-tune a copy of a network in eval mode, as a tutorial would."""
    model = copy.deepcopy(model).eval()
    tensors = dict(model.named_parameters())
    chosen = matching(tensors, patterns)
    for name, tensor in tensors.items():
        tensor.requires_grad_(name in chosen)
    optimizer = torch.optim.SGD([tensors[name] for name in chosen], lr=lr)
    with torch.enable_grad():
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return model


def references(
    model: nn.Module,
    patterns: Sequence[str],
    x: Tensor,
    y: Tensor,
    lr: float,
    query_x: Tensor,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the logits of a fine-tuned network, computed by PyTorch in float32 and in float64.

    Where an activation lies within rounding of a kink the two part, and a runtime may be with
    either: both are right.
    """
    with torch.no_grad():
        single = fine_tuned(model, patterns, x, y, lr)(query_x).double().numpy()
        exact = fine_tuned(copy.deepcopy(model).double(), patterns, x.double(), y, lr)
        return single, exact(query_x.double()).numpy()


def difference(
    got: NDArray[np.float32], references: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> float:
    """How far logits are from the nearer of two references, relative to the largest logit."""
    return min(float(np.abs(got - want).max() / np.abs(want).max()) for want in references)


NETWORKS = (
    Network("timm", "mobilenetv3_small_050", ("classifier.*",), ("blocks.5.*", "conv_head.*")),
    Network("timm", "lcnet_050", ("classifier.*",), ("blocks.5.1.*", "conv_head.*")),
    Network("timm", "tinynet_e", ("classifier.*",), ("blocks.6.*", "conv_head.*", "bn2.*")),
    Network("timm", "mobileone_s0", ("head.fc.*",), ("stages.3.*",)),
    Network("timm", "repghostnet_050", ("classifier.*",), ("blocks.9.*", "conv_head.*")),
    Network("timm", "rexnetr_200", ("head.fc.*",), ("features.15.*", "features.16.*")),
    Network("timm", "regnetx_002", ("head.fc.*",), ("s4.b7.*",)),
    Network("timm", "resnet10t", ("fc.*",), ("layer4.*",)),
    Network("timm", "mobilevitv2_050", ("head.fc.*",), ("stages.4.1.*",)),
    Network(
        "timm",
        "edgenext_xx_small",
        ("head.fc.*",),
        ("stages.3.blocks.1.*", "head.norm.*"),
        whole=True,
    ),
    Network(
        "timm",
        "convnextv2_atto",
        ("head.fc.*",),
        ("stages.3.blocks.1.*", "head.norm.*"),
        whole=True,
    ),
    Network("timm", "inception_next_atto", ("head.fc2.*",), ("stages.3.blocks.1.*", "head.fc1.*")),
    Network("timm", "poolformer_s12", ("head.fc.*",), ("stages.3.blocks.1.*", "head.norm.*")),
    Network(
        "timm",
        "levit_128s",
        ("head.linear.*", "head_dist.linear.*"),
        # In eval mode it keeps its attention's biases from call to call: PyTorch learns none.
        ("stages.2.blocks.3.*", "!stages.2.blocks.3.attn.attention_biases"),
        size=224,  # its tables of positions are made for this one
    ),
    Network("timm", "xcit_nano_12_p16_224", ("head.*",), ("cls_attn_blocks.1.*", "norm.*")),
    Network(
        "timm",
        "vit_tiny_patch16_224",
        ("head.*",),
        ("blocks.11.*", "norm.*"),
        settings=(("img_size", 64),),
    ),
    Network("timm", "efficientnet_lite0", ("classifier.*",), ("blocks.6.*", "conv_head.*", "bn2*")),
    Network("timm", "ghostnet_050", ("classifier.*",), ("blocks.9.*", "conv_head.*")),
    Network("timm", "fastvit_t8", ("head.fc.*",), ("stages.3.blocks.1.*", "final_conv.*")),
    Network("timm", "hgnetv2_b0", ("head.fc.*",), ("stages.3.*", "head.last_conv.*")),
    Network("timm", "starnet_s1", ("head.*",), ("stages.3.3.*", "norm.*")),
    Network("torchvision", "resnet18", ("fc.*",), ("layer4.1.*",)),
    Network("torchvision", "mobilenet_v2", ("classifier.1.*",), ("features.17.*", "features.18.*")),
    Network(
        "torchvision",
        "mobilenet_v3_small",
        ("classifier.3.*",),
        ("features.11.*", "features.12.*", "classifier.0.*"),
    ),
    Network("torchvision", "shufflenet_v2_x0_5", ("fc.*",), ("stage4.3.*", "conv5.*")),
    Network(
        "torchvision",
        "densenet121",
        ("classifier.*",),
        ("features.denseblock4.denselayer16.*", "features.norm5.*"),
    ),
    Network(
        "torchvision",
        "googlenet",
        ("fc.*",),
        ("inception5b.*",),
        settings=(("aux_logits", False), ("init_weights", False)),
    ),
    Network("torchvision", "mnasnet0_5", ("classifier.1.*",), ("layers.13.*", "layers.14.*")),
    Network("torchvision", "regnet_y_400mf", ("fc.*",), ("trunk_output.block4.block4-5.*",)),
    Network(
        "torchvision", "efficientnet_b0", ("classifier.1.*",), ("features.7.*", "features.8.*")
    ),
    Network("torchvision", "convnext_tiny", ("classifier.2.*",), ("features.7.2.*",)),
    Network("torchvision", "swin_t", ("head.*",), ("features.7.1.*", "norm.*")),
    Network("torchvision", "vgg11_bn", ("classifier.6.*",), ("classifier.3.*",)),
    Network("torchvision", "regnet_x_400mf", ("fc.*",), ("trunk_output.block4.block4-11.*",)),
    Network(
        "torchvision", "efficientnet_v2_s", ("classifier.1.*",), ("features.6.14.*", "features.7*")
    ),
    Network(
        "torchvision",
        "mobilenet_v3_large",
        ("classifier.3.*",),
        ("features.15.*", "features.16.*", "classifier.0.*"),
    ),
)
