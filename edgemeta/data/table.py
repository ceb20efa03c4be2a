"""Reading regression tables: a column names the task, others are input and target."""

from __future__ import annotations

from pathlib import Path

from edgemeta.data.csv_file import read_csv
from edgemeta.data.dataset import ArraySamples, Dataset, number
from edgemeta.data.options import DataOptions
from edgemeta.errors import InputError


def read_table(path: Path, options: DataOptions) -> Dataset:
    """Read a table for regression.

    Args:
        path: CSV with columns of numbers, and the column `options.task`.
        options: `task`, `target`, `columns`.

    Raises:
        InputError: the table cannot be used.
    """
    if options.task is None:
        raise InputError(f"{path} is no regression table without --task")
    targets = options.target or ("target",)
    roles = [options.task, *targets, *options.columns]
    double = sorted({name for name in roles if roles.count(name) > 1})
    if double:
        raise InputError(
            "columns with two parts",
            got=", ".join(double),
            expected="--task, --target and --columns to name different ones",
        )
    numbers = (*options.columns, *targets) if options.columns else None
    table = read_csv(path, text=(options.task,), numbers=numbers)
    missing = [name for name in targets if name not in table.number_names]
    inputs = [name for name in table.number_names if name not in targets]
    if missing or not inputs:
        raise InputError(
            f"{path} has no {'target ' + ', '.join(missing) if missing else 'input'} column",
            got=", ".join(table.number_names),
            hint="name what is to be predicted with --target",
        )
    at = [table.number_names.index(name) for name in inputs]
    to = [table.number_names.index(name) for name in targets]
    names, tasks = number(table.text[options.task])
    return Dataset(
        ArraySamples(str(path), table.numbers[:, at]),
        tasks,
        names,
        targets=table.numbers[:, to],
        preprocessing={"columns": inputs, "target": list(targets)},
    )
