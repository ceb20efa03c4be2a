"""The vcpkg port, the Conan recipe, and the version that both have."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.cpp.cmake import (
    HERE,
    SOURCE,
    cached,
    consume,
    json_library,
    onnxruntime,
    run,
    what_it_says,
)
from tests.cpp.conftest import ROOT

PACKAGING = SOURCE / "packaging"
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

pytestmark = pytest.mark.usefixtures("tool")


@pytest.mark.slow
def test_the_vcpkg_port_and_the_shared_library(tmp_path: Path) -> None:
    run(
        *("cmake", f"-DPORT={PACKAGING / 'vcpkg'}", f"-DWORK={tmp_path}"),
        f"-DCMAKE_OPTIONS={';'.join([*onnxruntime(), json_library()])}",
        *("-P", HERE / "packaging" / "vcpkg.cmake"),
    )
    package = tmp_path / "package"
    assert (package / "share" / "edgemeta" / "LICENSE").exists()
    assert not (package / "bin").exists()
    library = package / "lib" / f"libedgemeta.so.{VERSION}"
    soname = ".".join(VERSION.split(".")[:2])
    assert f"[libedgemeta.so.{soname}]" in run("readelf", "-d", library)
    # Nothing but the interface is exported: neither the JSON library's code nor that of our own
    # sources, which another library in the program might have in another version.
    symbols = run("nm", "-DC", "--defined-only", library)
    names = [line.split(maxsplit=2)[2] for line in symbols.splitlines()]
    ours = [name for name in names if "edgemeta::" in name]
    assert {"edgemeta::Runner::manifest() const", "typeinfo for edgemeta::Error"} <= set(ours)
    foreign = re.compile(
        r"nlohmann|Ort::|edgemeta::(Graph|Invalid|Sha256|check_|load_bundle|parse_)"
    )
    assert [name for name in names if foreign.search(name.split("(")[0])] == []
    places = [f"-DCMAKE_PREFIX_PATH={package}", *onnxruntime()]
    build = consume(tmp_path / "consumer", "installed", *places)
    assert what_it_says(build, tmp_path) == "edgemeta::Error 2\n"


def test_every_public_header_exports_its_names() -> None:
    for header in (SOURCE / "include" / "edgemeta").glob("*.hpp"):
        namespaces = re.findall(r"^namespace .*", header.read_text(), re.MULTILINE)
        assert namespaces, header.name
        assert namespaces[0] == 'namespace [[gnu::visibility("default")]] edgemeta {', header.name


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The Conan recipe, with stand-ins for what it imports of Conan."""

    def copy(_: object, pattern: str, src: str, dst: str) -> None:
        for path in Path(src).glob(pattern):
            for file in [path, *path.rglob("*")]:
                if file.is_file():
                    target = Path(dst) / file.relative_to(src)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(file.read_bytes())

    def load(_: object, path: str) -> str:
        return Path(path).read_text()

    contents: dict[str, dict[str, object]] = {
        "conan": {"ConanFile": object},
        "conan.tools.build": {"check_min_cppstd": None},
        "conan.tools.cmake": dict.fromkeys(
            ["CMake", "CMakeDeps", "CMakeToolchain", "cmake_layout"]
        ),
        "conan.tools.files": {"copy": copy, "load": load},
    }
    for name, attributes in contents.items():
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)
    names: dict[str, Any] = {}
    source = (PACKAGING / "conan" / "conanfile.py").read_text()
    exec(source, names)  # noqa: S102  # our own recipe
    made = names["EdgemetaConan"]()
    made.recipe_folder = str(PACKAGING / "conan")
    return made


def test_the_conan_recipe_exports_what_cmake_needs(recipe: Any, tmp_path: Path) -> None:
    recipe.export_sources_folder = str(tmp_path / "exported")
    recipe.export_sources()
    run("cmake", "-S", tmp_path / "exported", "-B", tmp_path / "build", *onnxruntime())
    assert (tmp_path / "exported" / "LICENSE").exists()


def test_one_version(recipe: Any) -> None:
    recipe.set_version()
    assert recipe.version == VERSION == cached("CMAKE_PROJECT_VERSION")
    assert json.loads((PACKAGING / "vcpkg" / "vcpkg.json").read_text())["version"] == VERSION
