"""The C++ library in other people's builds: as a part of them, and installed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cpp.cmake import (
    HERE,
    SOURCE,
    consume,
    json_library,
    onnxruntime,
    refused,
    run,
    what_it_says,
)
from tests.cpp.conftest import BUILD, ROOT, Tool

pytestmark = pytest.mark.usefixtures("tool")


# As a part of another project


def test_a_part_changes_nothing_of_its_parent(tmp_path: Path) -> None:
    """The consumer checks its build type, its cache, the tools, and static though it is shared."""
    build = consume(
        tmp_path / "build",
        "part",
        f"-DEDGEMETA_SOURCE={SOURCE}",
        "-DEDGEMETA_TYPE=STATIC_LIBRARY",
        *onnxruntime(),
    )
    cache = (build / "CMakeCache.txt").read_text()
    assert re.search(r"^CMAKE_BUILD_TYPE:STRING=$", cache, re.MULTILINE)
    assert "CMAKE_INSTALL_INCLUDEDIR" not in cache
    headers = (build / "headers.txt").read_text().splitlines()
    assert str(build / "own-json") in headers  # the parent's JSON library
    rules = build / "_deps" / "edgemeta-build" / "cmake_install.cmake"
    assert "file(INSTALL" not in rules.read_text()


def test_a_part_is_shared_and_installed_only_if_asked(tmp_path: Path) -> None:
    build = consume(
        tmp_path / "build",
        "part",
        f"-DEDGEMETA_SOURCE={SOURCE}",
        "-DEDGEMETA_TYPE=SHARED_LIBRARY",
        "-DEDGEMETA_SHARED=ON",
        *onnxruntime(),
    )
    # GNUInstallDirs, which the rules need, is part of what the consumer would notice.
    said = refused("cmake", build, "-DEDGEMETA_INSTALL=ON")
    assert "edgemeta changed the project that it is a part of" in said


def test_a_part_uses_its_parents_onnxruntime(tmp_path: Path) -> None:
    build = consume(
        tmp_path / "build",
        "part",
        f"-DEDGEMETA_SOURCE={SOURCE}",
        "-DEDGEMETA_TYPE=STATIC_LIBRARY",
        "-DOWN_ONNXRUNTIME=ON",
    )
    assert "\nONNXRUNTIME_" not in (build / "CMakeCache.txt").read_text()  # not looked for


@pytest.mark.slow
@pytest.mark.parametrize("signatures", ["OFF", "ON"])
def test_a_part_links(tmp_path: Path, signatures: str) -> None:
    """Also ONNX Runtime and OpenSSL, which only edgemeta's folder looked for."""
    build = consume(
        tmp_path / "build",
        "part",
        f"-DEDGEMETA_SOURCE={SOURCE}",
        "-DEDGEMETA_TYPE=STATIC_LIBRARY",
        f"-DEDGEMETA_SIGNATURES={signatures}",
        *onnxruntime(),
    )
    assert what_it_says(build, tmp_path) == "edgemeta::Error 2\n"


def test_a_part_without_onnxruntime_says_what_to_do(tmp_path: Path) -> None:
    said = refused(
        *("cmake", "-S", SOURCE, "-B", tmp_path / "build"),
        *nowhere(tmp_path),
        json_library(),
    )
    assert "ONNX Runtime not found: install it" in said
    assert "-DONNXRUNTIME_LIB=" in said


def nowhere(tmp_path: Path) -> list[str]:
    """Options with which no library of the system is found."""
    (tmp_path / "empty").mkdir(exist_ok=True)
    modes = [f"-DCMAKE_FIND_ROOT_PATH_MODE_{kind}=ONLY" for kind in ("INCLUDE", "LIBRARY")]
    return [
        *modes,
        f"-DCMAKE_FIND_ROOT_PATH={tmp_path / 'empty'}",
        "-DCMAKE_DISABLE_FIND_PACKAGE_onnxruntime=ON",
    ]


# Installed


@pytest.fixture(scope="module")
def installed(tool: Tool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runner that `build.sh` built was installed."""
    prefix = tmp_path_factory.mktemp("installed")
    run("cmake", "--install", BUILD, "--prefix", prefix)
    return prefix


@pytest.mark.slow
def test_an_installed_library_links(installed: Path, tmp_path: Path) -> None:
    places = [f"-DCMAKE_PREFIX_PATH={installed}", *onnxruntime()]
    build = consume(tmp_path / "build", "installed", *places)
    assert what_it_says(build, tmp_path) == "edgemeta::Error 2\n"


def test_an_installed_library_without_onnxruntime_fails_quietly(
    installed: Path, tmp_path: Path
) -> None:
    places = [f"-Dedgemeta_DIR={installed / 'lib' / 'cmake' / 'edgemeta'}", *nowhere(tmp_path)]
    build = consume(tmp_path / "quiet", "quiet", *places)  # stops if it was found
    (reason,) = (build / "reason.txt").read_text().splitlines()
    assert reason.startswith("ONNX Runtime not found: install it")
    options = ("-S", HERE / "consumer", "-B", tmp_path / "loud", "-DHOW=installed", *places)
    assert "ONNX Runtime not found: install it" in refused("cmake", *options)


# The page


def test_the_page_names_every_option_and_preset() -> None:
    page = (ROOT / "docs" / "embedding.md").read_text()
    sources = [SOURCE / "CMakeLists.txt", *(SOURCE / "cmake").iterdir()]
    cmake = "".join(path.read_text() for path in sources)
    options = set(re.findall(r"option\((\w+)", cmake))
    assert options <= set(re.findall(r"`(EDGEMETA_\w+)`", page))
    named = set(re.findall(r"\b((?:EDGEMETA|ONNXRUNTIME)_[A-Z_]+)\b", page))
    assert [name for name in sorted(named) if name not in cmake] == []
    presets = json.loads((SOURCE / "CMakePresets.json").read_text())["configurePresets"]
    shown = {preset["name"] for preset in presets if "hidden" not in preset}
    assert shown <= set(re.findall(r"`([\w-]+)`", page))
