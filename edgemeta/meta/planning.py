"""How a training computes its batches: the fastest way that fits into memory."""

from __future__ import annotations

import math

from edgemeta.meta.algorithms import multi_step_weights
from edgemeta.meta.config import TrainConfig
from edgemeta.meta.engine import Engine, Plan, fastest, plans
from edgemeta.meta.memory import fitting
from edgemeta.meta.objective import Ask, Tasks

WORTH_MEASURING = 5000  # tasks; a shorter training gains nothing from a choice of strategy


def ask_of(config: TrainConfig, iteration: int) -> Ask:
    """Return what an outer step of a training asks for."""
    first_order = iteration < config.first_order_share * config.iterations
    annealing = round(config.multi_step_share * config.iterations)
    return Ask(
        steps=config.inner_steps,
        order=1 if first_order or config.order == "first" else 2,
        weights=multi_step_weights(iteration, config.inner_steps, annealing)
        if annealing and config.inner_steps
        else (),
        distill=config.distill if config.teacher else 0.0,
        checkpointing=config.checkpointing,
    )


def preferred(config: TrainConfig, tasks: int, *, on_cpu: bool) -> tuple[Plan, ...]:
    """Return the plans that a config allows for a batch, in order of preference."""
    threads = config.cores if on_cpu else 1
    return plans(config.strategy, max(tasks, 1), threads, config.chunk)


def choose_plan(engine: Engine, config: TrainConfig, tasks: Tasks) -> tuple[Plan, int]:
    """Let an engine use the plan that is best here, by measurement if that is worth the time.

    Args:
        engine: uses the plan from then on.
        config: of the training.
        tasks: a batch of it.

    Returns:
        The plan, and the bytes that an outer step needs with it.

    Raises:
        InputError: no plan that the config allows fits into memory.
    """
    on_cpu = engine.leaves[0].device.type == "cpu"
    candidates = preferred(config, len(tasks.support_x), on_cpu=on_cpu)
    # The last step is of second order; the first ones may count the losses of all inner steps.
    turns = (0, math.ceil(config.first_order_share * config.iterations), config.iterations)
    fits = fitting(engine, tasks, [ask_of(config, turn) for turn in turns], candidates)
    short = config.iterations * config.meta_batch < WORTH_MEASURING
    needs = dict([next(fits)] if short else fits)
    plan = next(iter(needs))
    if len(needs) > 1:
        plan = fastest(engine, tuple(needs), tasks, ask_of(config, config.iterations))
    else:
        engine.use(plan)
    return plan, needs[plan]
