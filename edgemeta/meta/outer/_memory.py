"""How much memory an outer step needs, told before the first one, and the ways to need less.

The step is computed once with meta tensors, which have shapes but no data, while every storage that
an operation makes is counted from its birth to its death. So the count sees what autograd keeps, of
the inner gradients too, and what checkpointing drops and makes again, and nothing is allocated.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgemeta.errors import InputError
from edgemeta.meta.inner.objective import Ask, Tasks
from edgemeta.meta.outer._engine import LOOP, Engine, Plan, plans
from edgemeta.meta.torch_private import TorchDispatchMode, tree_leaves

KEPT, KEPT_CHECKPOINTING = 1.6, 3.5
"""What a step on a CPU needs, in units of the tensors that live at once: glibc keeps blocks that it
cannot join again, most of all between what checkpointing drops. Measured with conv4, two threads
and some outer steps: 1.2 to 1.75, and 3.0 to 3.5. (With MALLOC_MMAP_THRESHOLD_=65536 it is 0.9 to
1.1, but a step takes three times as long.) On a GPU the tensors alone count."""


class _Peak(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the storages that operations make, for as long as they live.

    Attributes:
        peak: the most that lived at once, in bytes.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak: int = 0
        self._now = 0
        self._living: dict[int, int] = {}

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        """Count a storage once, however many tensors view it."""
        if id(storage) in self._living:
            return
        self._living[id(storage)] = storage.nbytes()
        self._now += storage.nbytes()
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._forget, id(storage))

    def _forget(self, name: int) -> None:
        self._now -= self._living.pop(name)


class Needs:
    """What the steps over one batch need, by what they ask for and by plan.

    All tensors that live at once in one chunk, times the chunks that are computed at once, plus the
    gradients of the leaves: their sum, and with several workers a finished one of each, which
    waits for an earlier chunk's.
    The outer optimizer's moments are not in it. bf16 counts as float32: autocast keeps its casts
    beside the norms' float32.

    Args:
        engine: stays as it is.
        tasks: a batch.
    """

    def __init__(self, engine: Engine, tasks: Tasks) -> None:
        self.engine, self._tasks = engine, tasks
        self.count = len(tasks.support_x)
        self.device = engine.device
        self._peaks: dict[tuple[Ask, int], int] = {}

    def most(self, asks: Iterable[Ask], plan: Plan) -> int:
        """Return the bytes that the most demanding step needs."""
        return max(self._of(ask, plan) for ask in asks)

    def _of(self, ask: Ask, plan: Plan) -> int:
        key = ask, min(plan.chunk, self.count)
        if key not in self._peaks:  # which takes up to seconds
            self._peaks[key] = _peak_of(self.engine, self._tasks.select(slice(plan.chunk)), ask)
        chunks = -(-self.count // plan.chunk)
        leaves = sum(leaf.nbytes for leaf in self.engine.leaves)
        workers = min(plan.workers, chunks)
        waiting = workers if workers > 1 else 0
        living = self._peaks[key] * workers + leaves * (1 + waiting)
        if self.device.type != "cpu":
            return living
        return round(living * (KEPT_CHECKPOINTING if ask.checkpointing else KEPT))


def available(device: torch.device, root: Path = Path("/")) -> int | None:
    """Return the bytes that are free for tensors; None where that is unknown.

    On a CPU that is what Linux calls available (proc(5)), or what a control group (version 2) still
    allows if that is less; pages of files that it can drop at any time count as free.

    Args:
        device: where the tensors are to be.
        root: of the file system.
    """
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type != "cpu":
        return None
    known = (_of_machine(root / "proc/meminfo"), _of_group(root / "sys/fs/cgroup"))
    return min((free for free in known if free is not None), default=None)


def _checked(needs: Needs, asks: tuple[Ask, ...], plan: Plan) -> int:
    """Return what a plan needs, in bytes.

    Raises:
        InputError: it does not fit; the hint names options with which it would, those first that
            change the result the least.
    """
    least = needed = needs.most(asks, plan)
    free = available(needs.device)
    if free is None or needed <= free:
        return needed
    fits: list[str] = []
    for ways in _ways_out(needs.count, asks, plan, needs.engine.threads):
        for options, other_asks, other_plan in ways:
            wanted = needs.most(other_asks, other_plan)
            least = min(least, wanted)
            if wanted <= free:
                fits.append(f"{options} needs {spelled(wanted)}")
        if fits:
            break
    raise InputError(
        f"an outer step with {plan.workers * plan.chunk} task(s) at once does not fit into memory",
        got=f"{spelled(needed)} needed",
        expected=f"at most the {spelled(free)} that are free",
        hint=", ".join(fits)
        or f"options reach {spelled(least)} at best: take fewer --queries, --shots or --ways, a "
        "smaller --width, or a machine with more memory",
    )


def fitting(
    engine: Engine, tasks: Tasks, asks: Iterable[Ask], candidates: Sequence[Plan]
) -> Iterator[tuple[Plan, int]]:
    """Yield those of several plans that fit into memory, each with the bytes that it needs.

    Args:
        engine: stays as it is.
        tasks: a batch.
        asks: all that the steps of a training ask for; the one that needs the most counts.
        candidates: in order of preference, which is kept.

    Raises:
        InputError: none fits; the hint names options with which one would, those first that change
            the result the least.
    """
    asks, needs = tuple(asks), Needs(engine, tasks)
    free = available(needs.device)
    sizes: dict[Plan, int] = {}
    for plan in candidates:
        sizes[plan] = needs.most(asks, plan)
        if free is None or sizes[plan] <= free:
            yield plan, sizes[plan]
    if free is not None and min(sizes.values()) > free:
        least = min(sizes, key=lambda plan: sizes[plan])
        yield least, _checked(needs, asks, least)


def spelled(size: int) -> str:
    """Return bytes as a person reads them: "340 MB", "1.2 GB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(round(size / 1e6), 1)} MB"


def _peak_of(engine: Engine, tasks: Tasks, ask: Ask) -> int:
    """Return the bytes that live at once while one chunk's gradient is computed."""
    model, rates = engine.loop.model, engine.rates
    own = [*model.parameters(), *model.buffers(), *engine.leaves]
    own += [rates] if isinstance(rates, Tensor) else []
    loop, rates = copy.deepcopy((engine.loop, rates), {id(t): _without_data(t) for t in own})
    shadow = Engine(
        loop, rates, engine.objective, precision=engine.precision, trained=engine.trained
    )
    if loop.per_class:
        _fix_classes(shadow, int(tasks.support_y.max()) + 1)
    empty = Tasks(*(None if t is None else _without_data(t) for t in tasks))  # type: ignore[arg-type]
    counter = _Peak()
    with counter:
        shadow.gradient(empty, ask)
    return counter.peak


def _fix_classes(engine: Engine, ways: int) -> None:
    """Tell a shared head its classes, as labels without data cannot."""
    worker = engine._workers.get()
    grow = worker.plain.grow
    worker.plain.grow_for = lambda state, y: grow(state, ways)  # type: ignore[method-assign]
    engine._workers.put(worker)


def _without_data(tensor: Tensor) -> Tensor:
    made = tensor.detach().to("meta")
    return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made


def _ways_out(
    count: int, asks: tuple[Ask, ...], plan: Plan, threads: int
) -> Iterator[list[tuple[str, tuple[Ask, ...], Plan]]]:
    """Yield options with what they make of a step: first single ones, then two, then three."""
    singly = [(f"--strategy vmap --chunk {c}", p) for c, p in _smaller(count, plan, threads)]
    singly += [("--strategy loop", LOOP)] if plan != LOOP else []
    dropping = tuple(replace(ask, checkpointing=True) for ask in asks)
    first = tuple(replace(ask, order=1) for ask in asks)
    both = tuple(replace(ask, order=1) for ask in dropping)
    milder = [("--checkpointing", dropping), ("--order first", first)]
    milder = [(options, changed) for options, changed in milder if changed != asks]
    yield [(o, asks, p) for o, p in singly] + [(o, changed, plan) for o, changed in milder]
    yield [(f"--strategy loop {o}", changed, LOOP) for o, changed in milder]
    yield [("--strategy loop --checkpointing --order first", both, LOOP)]


def _smaller(count: int, plan: Plan, threads: int) -> Iterator[tuple[int, Plan]]:
    """Yield half of a plan's chunk, and half of that, down to two tasks."""
    chunk = plan.chunk // 2
    while chunk > 1:
        yield chunk, plans("vmap", count, threads, chunk)[0]
        chunk //= 2


def _of_machine(path: Path) -> int | None:
    """Return MemAvailable of /proc/meminfo, in bytes."""
    with suppress(OSError, ValueError, IndexError):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_group(path: Path) -> int | None:
    """Return what a control group still allows, in bytes; None without a limit ("max")."""
    with suppress(OSError, ValueError):
        limit, used = (
            int((path / f"memory.{name}").read_text(encoding="utf-8"))
            for name in ("max", "current")
        )
        stat = dict(
            line.split() for line in (path / "memory.stat").read_text(encoding="utf-8").splitlines()
        )
        return max(limit - used + int(stat.get("inactive_file", 0)), 0)
    return None
