"""What a reduced build of ONNX Runtime has to contain, and whether a configuration lists it.

Such a build has the kernels that `--include_ops_by_config` names, and no others; with
`--enable_reduced_operator_type_support` those for the types that it names, and no others:
https://onnxruntime.ai/docs/reference/operators/reduced-operator-config-file.html
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from edgemeta.errors import EdgemetaError, InputError
from edgemeta_export.quiet import quiet

CPU = "CPUExecutionProvider"
ONNX = "ai.onnx"  # how a configuration calls the standard domain, whose name is empty


class Operator(NamedTuple):
    """An operator as one opset has it."""

    domain: str
    opset: int
    name: str

    def __str__(self) -> str:
        """Return "ai.onnx Loop (opset 19)"."""
        return f"{self.domain} {self.name} (opset {self.opset})"


@dataclass
class Operators:
    """Operators, and the types that each of them is needed for.

    Attributes:
        listed: by domain, opset and name.
        types: by domain and name what a configuration says of types, such as
            {"inputs": {"0": ["float"]}}; operators that have the same kernel for all types have
            none. None if types are not reduced.
    """

    listed: set[Operator] = field(default_factory=set)
    types: dict[tuple[str, str], Any] | None = None


def operators_of(models: Sequence[Path]) -> Operators:
    """Return what `.ort` files need, the bodies of Loops included.

    Args:
        models: already optimized, so that a build without optimizers runs them node by node.
    """
    from onnxruntime.tools.ort_format_model import OperatorTypeUsageManager, OrtFormatModelProcessor

    required: dict[str, dict[int, set[str]]] = {}
    usage = OperatorTypeUsageManager()
    with quiet():  # it leaves closing its files to the interpreter
        for model in models:
            OrtFormatModelProcessor(str(model), required, usage).process()
    listed = {
        Operator(domain, opset, name)
        for domain, opsets in required.items()
        for opset, names in opsets.items()
        for name in names
    }
    entries = {(o.domain, o.name): usage.get_config_entry(o.domain, o.name) for o in listed}
    return Operators(listed, {key: json.loads(entry) for key, entry in entries.items() if entry})


def read_config(path: Path) -> Operators:
    """Read a configuration.

    Raises:
        InputError: it cannot be read, or says something that is not understood.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read", got=error) from error
    found, types = Operators(), {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        try:
            domain, opsets, text = line.split(";", 2)
            for name, entry in _entries(text):
                found.listed |= {Operator(domain.strip(), int(n), name) for n in opsets.split(",")}
                if entry is not None:
                    types[domain.strip(), name] = entry
        except ValueError as error:
            raise InputError(
                f"{path}, line {number} is not understood",
                got=line[:80],
                expected="domain;opset;operator,operator{types},...",
            ) from error
    found.types = types or None
    return found


def _entries(text: str) -> Iterator[tuple[str, Any]]:
    """Yield name and types of "Add,Cast{"inputs": {"0": ["float"]}},Concat"."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        end = min(k for k in (text.find(",", at), text.find("{", at), len(text)) if k >= 0)
        name, entry = text[at:end].strip(), None
        if not name.isidentifier():
            raise ValueError(name)
        if text[end : end + 1] == "{":
            entry, end = decoder.raw_decode(text, end)
        if text[end : end + 1] not in ("", ","):
            raise ValueError(text[end:])
        yield name, entry
        at = end + 1


def check_operators(config: Path, models: Sequence[Path]) -> list[Operator]:
    """Check that `.ort` files find all they need in a build that a configuration reduced.

    Of the kernels that the installed onnxruntime has, those are kept that its build script would
    keep; each node must find one of them for its operator, its opset and its types.

    Args:
        config: what the build was configured with.
        models: see `operators_of`.

    Returns:
        What the configuration lists and the models do not need.

    Raises:
        InputError: see `read_config`.
        EdgemetaError: something is lacking; the text names all of it.
    """
    allowed, needed = read_config(config), operators_of(models)
    lacking = [str(operator) for operator in sorted(needed.listed) if not _runs(operator, allowed)]
    lacking += [
        f"{domain} {name} for {json.dumps(entry)}"
        for (domain, name), entry in sorted((needed.types or {}).items())
        if allowed.types is not None and not _covers(allowed.types.get((domain, name)), entry)
    ]
    if lacking:
        raise EdgemetaError(
            f"a build of onnxruntime with {config} alone could not load the bundle",
            got=f"no {', no '.join(lacking)}",
            hint="take the configuration that `edgemeta export --ort-format` writes",
        )
    return sorted(allowed.listed - needed.listed)


def _runs(operator: Operator, allowed: Operators) -> bool:
    """Whether a kernel that is kept serves an operator."""
    return any(
        _serves(first, last, operator.opset) and _is_kept(first, last, operator, allowed)
        for first, last in _kernels()[operator.domain, operator.name]
    )


def _serves(first: int, last: int, opset: int) -> bool:
    """Whether a kernel for opsets `first` to `last` serves an operator that came with `opset`."""
    return first <= opset <= last


def _is_kept(first: int, last: int, operator: Operator, allowed: Operators) -> bool:
    """Whether the build keeps a kernel: if the operator is listed in one of its opsets."""
    return any(
        (domain, name) == (operator.domain, operator.name) and first <= opset <= last
        for domain, opset, name in allowed.listed
    )


@cache
def _kernels() -> dict[tuple[str, str], set[tuple[int, int]]]:
    """Return the first and the last opset of each kernel, by domain and name of its operator."""
    from onnxruntime.capi._pybind_state import get_all_opkernel_def

    found: dict[tuple[str, str], set[tuple[int, int]]] = defaultdict(set)
    for kernel in get_all_opkernel_def():
        if kernel.provider == CPU:
            found[kernel.domain or ONNX, kernel.op_name].add(tuple(kernel.version_range))
    return found


def _covers(allowed: Any, needed: Any) -> bool:
    """Whether what a configuration says of an operator's types includes what is needed."""
    if isinstance(needed, dict):
        return isinstance(allowed, dict) and all(
            _covers(allowed.get(key), value) for key, value in needed.items()
        )
    return isinstance(allowed, list) and all(value in allowed for value in needed)
