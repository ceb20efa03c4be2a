"""Which room imports which: one way only, annotations included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"edgemeta": ROOT / "edgemeta", "edgemeta_export": ROOT / "export" / "edgemeta_export"}
# A room of meta is a room, too; all of the compiler is one.
ORDER = (
    *("errors", "util", "bundle", "device", "estimators", "data", "tasks", "measure"),
    *("meta.torch_private", "meta.inner", "meta.models", "meta.augment", "meta.runs"),
    *("meta.outer", "meta.compare", "meta.recipe", "meta.report"),
    *("meta", "meta.api", "edgemeta_export", "cli", "__main__"),
)


def modules() -> dict[str, Path]:
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(source: str, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of ours that a source names in imports, wherever in it they stand."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield below if below in known else node.module


def room(module: str) -> str:
    package, *parts = module.split(".")
    if package == "edgemeta_export":
        return package
    if parts[:1] == ["meta"]:
        return ".".join(parts[:2])
    return parts[0] if parts else "root"


def needs() -> dict[str, set[str]]:
    """Return, for each module, those that it imports; the root's own lazy ones are no matter."""
    return {
        name: set(imported(path.read_text(), MODULES)) - {name}
        for name, path in MODULES.items()
        if name != "edgemeta"
    }


def test_imports_between_rooms_run_one_way() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in needs().items()
        for other in others
        if other != "edgemeta" and ORDER.index(room(other)) > ORDER.index(room(module))
    ]
    assert not wrong


def test_no_modules_import_each_other_in_a_circle() -> None:
    # A package offers what its modules hold: that is no circle while they leave it alone.
    tuple(TopologicalSorter(needs()).static_order())


def test_what_begins_with_an_underscore_stays_in_its_room() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in needs().items()
        for other in others
        if any(part.startswith("_") for part in other.split(".")[1:])
        and room(other) != room(module)
    ]
    assert not wrong


def test_the_root_holds_nothing_but_the_door() -> None:
    files = {path.name for path in PACKAGES["edgemeta"].iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "errors.py", "py.typed"}


@pytest.mark.parametrize("where", ["", "if TYPE_CHECKING:\n    ", "def f():\n    "])
def test_a_circle_is_found_wherever_it_is_imported(where: str) -> None:
    known = {"a": Path(), "b": Path()}
    graph = {
        "a": set(imported(f"{where}from b import c\n", known)),
        "b": set(imported("import a\n", known)),
    }
    with pytest.raises(CycleError):
        tuple(TopologicalSorter(graph).static_order())


def test_the_paths_that_documents_named_still_work() -> None:
    from edgemeta.bundle import Manifest  # noqa: F401
    from edgemeta_export import export_bundle, export_run  # noqa: F401

    for name in ("low_rank", "neck", "onnx_module", "shared_head", "updates"):
        assert __import__(f"edgemeta.meta.{name}", fromlist=["x"]).__doc__
