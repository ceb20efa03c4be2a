"""What torch does not promise is named in one module, and nowhere else."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator

import pytest
import torch

from edgemeta.meta import torch_private
from edgemeta.meta.inner.objective import Ask
from edgemeta.meta.outer._engine import LOOP
from edgemeta.meta.outer._planning import recorded
from edgemeta.meta.torch_private import PRIVATE, TESTED, Private
from tests.meta.test_engine import config_of, make_engine, make_tasks
from tests.test_rooms import MODULES, ROOT

OF_OPS = {"_schema", "_overloadname", "_overloadpacket", "_op"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names(source: str) -> Iterator[str]:
    """Yield the private names of torch that a source uses; ATen's ops may begin as they like."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            yield from (
                f"{node.module}.{alias.name}"
                for alias in node.names
                if any(map(is_private, [*str(node.module).split("."), alias.name]))
            )
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == "torch"]
            yield from (name for name in names if any(map(is_private, name.split("."))))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            path = ast.unparse(node)
            if node.attr in OF_OPS or (
                path.startswith("torch.") and not path.startswith("torch.ops.")
            ):
                yield path


def test_no_other_module_uses_private_names() -> None:
    found = {
        module: names
        for module, path in MODULES.items()
        if module != torch_private.__name__ and (names := [*private_names(path.read_text())])
    }
    assert not found, f"name them in {torch_private.__name__}, with what takes their place"


@pytest.mark.parametrize(
    "source",
    [
        "from torch._C import Graph",
        "from torch.onnx import _internal",
        "def f():\n    import torch.utils._pytree",
        "import torch\ntorch._dynamo.reset()",
        "op._schema",
    ],
)
def test_a_private_name_is_found(source: str) -> None:
    assert [*private_names(source)]


@pytest.mark.parametrize(
    "source", ["torch.__version__", "torch.ops.aten._softmax.default", "self._C", "import torch.fx"]
)
def test_other_names_are_none(source: str) -> None:
    assert not [*private_names(source)]


@pytest.mark.parametrize("name", PRIVATE)
def test_each_is_here_and_says_what_takes_its_place(name: str) -> None:
    assert getattr(torch_private, name) is not None
    assert all(PRIVATE[name])
    assert name in torch_private.__all__


def test_the_versions_are_those_that_are_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert TESTED in project["optional-dependencies"]["desk"]


def test_a_name_that_has_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIVATE, "Gone", Private("torch.utils:Gone", "it", "another"))
    with pytest.raises(ImportError, match=r"lacks torch\.utils:Gone; install .*<2\.15'$"):
        _ = torch_private.Gone
    with pytest.raises(AttributeError, match="no attribute 'unknown'"):
        _ = torch_private.unknown


def test_without_torchscript_a_step_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIVATE, "Graph", Private("torch._C:Gone", "a graph", "nothing"))
    monkeypatch.delitem(vars(torch_private), "Graph", raising=False)
    engine, tasks = make_engine(config_of()), make_tasks()
    assert recorded(engine, tasks, Ask(1)) == LOOP
    assert torch.is_grad_enabled()
