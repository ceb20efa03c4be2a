"""Meta-learning algorithms as a table of independent choices, not as classes.

| choice | in `TrainConfig` | values |
|---|---|---|
| what adapts | `adapt` | patterns over parameter names |
| order of the gradient | `order`, `first_order_share` | second, first, or first and later second |
| inner learning rate | `rates` | fixed, or learned per tensor, step, weight |
| inner update | `update`, `momentum` | sgd, adam |
| outer loss | `objective`, `multi_step_share` | query loss (of all steps), displacement, classes |
| outer optimizer | `optimizer`, `schedule`, ... | adam, adamw, sgd; cosine, linear, constant |
| head | `head` | linear, shared |

A preset is a name for some of these choices, and each of them may be chosen otherwise.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

Order = Literal["second", "first"]
Objective = Literal["query", "displacement", "classes"]
InnerUpdate = Literal["sgd", "adam"]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["cosine", "linear", "constant"]
Strategy = Literal["auto", "loop", "workers", "vmap"]

ORDERS: tuple[Order, ...] = ("second", "first")
OBJECTIVES: tuple[Objective, ...] = ("query", "displacement", "classes")
INNER_UPDATES: tuple[InnerUpdate, ...] = ("sgd", "adam")
OPTIMIZERS: tuple[Optimizer, ...] = ("adam", "adamw", "sgd")
SCHEDULES: tuple[Schedule, ...] = ("cosine", "linear", "constant")
STRATEGIES: tuple[Strategy, ...] = ("auto", "loop", "workers", "vmap")
Recipe = Literal["auto", "none"]
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
Cache = Literal["auto", "off"]
CACHES: tuple[Cache, ...] = get_args(Cache)

HEAD, BODY = ("head.*",), ("*", "!head.*")

PRESETS: dict[str, dict[str, Any]] = {
    # Finn et al. 2017, "Model-Agnostic Meta-Learning", algorithm 1; its first-order form in 5.2.
    "maml": {},
    "fomaml": {"order": "first"},
    # Nichol et al. 2018, "On First-Order Meta-Learning Algorithms", algorithm 2 and section 6.1.
    "reptile": {
        "order": "first",
        "objective": "displacement",
        "optimizer": "sgd",
        "meta_lr": 1.0,
        "schedule": "linear",
        "inner_steps": 5,
        "inner_lr": 0.1,
    },
    # Raghu et al. 2020, "Rapid Learning or Feature Reuse?", section 4: only the head adapts.
    "anil": {"adapt": HEAD},
    # Oh et al. 2021, "BOIL: Towards Representation Change for Few-shot Learning": all but the head.
    "boil": {"adapt": BODY},
    # Li et al. 2017, "Meta-SGD: Learning to Learn Quickly for Few-Shot Learning", equation 3.
    "meta-sgd": {"rates": "weight", "inner_lr": 0.1},
    # Antoniou et al. 2019, "How to train your MAML": multi-step loss, derivative-order annealing,
    # learned rates per layer and step, cosine annealing of the outer rate. Their paper anneals
    # over 15 and 50 of 150 epochs of 500 outer steps.
    "maml++": {
        "rates": "step",
        "inner_steps": 5,
        "inner_lr": 0.1,
        "multi_step_share": 0.1,
        "first_order_share": 0.33,
        "schedule": "cosine",
    },
    # Ye and Chao 2022, "How to Train Your MAML to Excel in Few-Shot Classification".
    "unicorn": {"head": "shared", "inner_steps": 5, "inner_lr": 0.1},
    # No meta-learning: classify all training classes at once, then adapt the head. A baseline.
    "pretrain": {"objective": "classes", "adapt": HEAD, "inner_steps": 10, "inner_lr": 0.1},
}
ALGORITHMS = tuple(PRESETS)


def multi_step_weights(iteration: int, steps: int, annealing: int) -> tuple[float, ...]:
    """Return the weight of the query loss after each inner step, at one outer step.

    Antoniou et al. 2019, section 4, "Multi-Step Loss Optimization": equal at first, and all of it
    on the last step after `annealing` outer steps; linear in between.

    Args:
        iteration: number of the outer step, from 0.
        steps: inner steps; at least 1.
        annealing: outer steps until the last step has all the weight; 0 gives it at once.
    """
    progress = min(iteration / annealing, 1.0) if annealing else 1.0
    early = (1 - progress) / steps
    return (*[early] * (steps - 1), 1 - early * (steps - 1))
