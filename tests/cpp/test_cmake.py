"""The C++ library in other people's builds: as a part of them, installed, for phones, packaged."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cpp.cmake import cached, json_library, onnxruntime, refused, run
from tests.cpp.conftest import BUILD, ROOT, Tool

SOURCE = ROOT / "export" / "cpp"
HERE = ROOT / "tests" / "cpp"
PROBE = """\
# What cmake found: the library, the folder of its headers, what is linked besides, the type.
cmake_language(DEFER CALL file GENERATE OUTPUT "${CMAKE_BINARY_DIR}/found.txt" CONTENT
"$<TARGET_FILE:onnxruntime::onnxruntime>
$<TARGET_PROPERTY:onnxruntime::onnxruntime,INTERFACE_INCLUDE_DIRECTORIES>
$<TARGET_PROPERTY:onnxruntime::onnxruntime,INTERFACE_LINK_LIBRARIES>
")
"""

pytestmark = pytest.mark.usefixtures("tool")


def consume(build: Path, how: str, *options: object) -> Path:
    """Configure the consumer; returns its build folder."""
    run("cmake", "-S", HERE / "consumer", "-B", build, f"-DHOW={how}", *options)
    return build


def what_it_says(build: Path, tmp_path: Path) -> str:
    """Build the consumer, and run it without a bundle."""
    run("cmake", "--build", build)
    # A shared edgemeta that is installed does not know where ONNX Runtime is: the system has to.
    place = f"LD_LIBRARY_PATH={Path(cached('ONNXRUNTIME_LIB')).parent}"
    return run("cmake", "-E", "env", place, build / "consumer", tmp_path / "no-bundle")


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
def test_a_part_links(tmp_path: Path) -> None:
    """Also ONNX Runtime, which only edgemeta's folder looked for."""
    build = consume(
        tmp_path / "build",
        "part",
        f"-DEDGEMETA_SOURCE={SOURCE}",
        "-DEDGEMETA_TYPE=STATIC_LIBRARY",
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


# Phones: configured only


@pytest.fixture
def ndk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A toolchain file where the NDK has its own: this machine's compiler, an empty sysroot."""
    folder = tmp_path / "ndk" / "build" / "cmake"
    folder.mkdir(parents=True)
    kinds = ("INCLUDE", "LIBRARY", "PACKAGE")
    lines = [
        "set(CMAKE_SYSTEM_NAME Android)",
        "set(CMAKE_SYSTEM_VERSION 1)",  # what the NDK's says: cmake shall not look for an NDK
        "set(CMAKE_CXX_COMPILER c++)",
        f"set(CMAKE_FIND_ROOT_PATH {tmp_path / 'sysroot'})",
        *(f"set(CMAKE_FIND_ROOT_PATH_MODE_{kind} ONLY)" for kind in kinds),
    ]
    (folder / "android.toolchain.cmake").write_text("\n".join(lines))
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))


def write(*paths: Path) -> None:
    """Write files that are only looked for."""
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def aar(folder: Path) -> Path:
    """A folder with what of an unpacked onnxruntime-android-*.aar matters here."""
    abis = ("arm64-v8a", "armeabi-v7a", "x86", "x86_64")
    write(*(folder / "jni" / abi / "libonnxruntime.so" for abi in abis))
    write(folder / "headers" / "onnxruntime_cxx_api.h", folder / "AndroidManifest.xml")
    return folder


def xcframework(folder: Path, *slices: str) -> Path:
    """A folder with what of onnxruntime.xcframework matters here."""
    for name in slices:
        framework = folder / name / "onnxruntime.framework"
        write(framework / "onnxruntime", framework / "Headers" / "onnxruntime_cxx_api.h")
    return folder


def command(tmp_path: Path, preset: str, *options: str) -> list[object]:
    """The command that configures a preset, and writes what was found."""
    (tmp_path / "probe.cmake").write_text(PROBE)
    return [
        *("cmake", "-S", SOURCE, "--preset", preset, "-B", tmp_path / preset),
        *(json_library(), f"-DCMAKE_PROJECT_edgemeta_INCLUDE={tmp_path / 'probe.cmake'}"),
        *options,
    ]


def found(tmp_path: Path, preset: str, *options: str) -> list[str]:
    """What configuring a preset finds: the library, its headers, what is linked besides."""
    run(*command(tmp_path, preset, *options), folder=SOURCE)
    return (tmp_path / preset / "found.txt").read_text().splitlines()


@pytest.mark.usefixtures("ndk")
@pytest.mark.parametrize(
    ("preset", "abi"), [("android-arm64", "arm64-v8a"), ("android-arm32", "armeabi-v7a")]
)
def test_android_takes_library_and_headers_of_the_aar(
    tmp_path: Path, preset: str, abi: str
) -> None:
    folder = aar(tmp_path / "aar")
    library, headers, besides = found(tmp_path, preset, f"-DONNXRUNTIME_AAR={folder}")
    assert Path(library) == folder / "jni" / abi / "libonnxruntime.so"
    assert Path(headers) == folder / "headers"
    assert besides == ""


@pytest.mark.usefixtures("ndk")
@pytest.mark.parametrize("missing", ["jni/arm64-v8a", "headers"])
def test_an_aar_that_lacks_something_is_refused(tmp_path: Path, missing: str) -> None:
    folder = aar(tmp_path / "aar")
    (folder / missing).rename(tmp_path / "elsewhere")
    said = refused(*command(tmp_path, "android-arm64", f"-DONNXRUNTIME_AAR={folder}"))
    assert f"ONNXRUNTIME_AAR has no {folder / missing}/" in said
    assert 'ANDROID_ABI one of its ABIs, not "arm64-v8a"' in said


SLICES = ("ios-arm64", "ios-arm64_x86_64-simulator", "ios-arm64_x86_64-maccatalyst")


@pytest.fixture
def sdk(tmp_path: Path) -> list[str]:
    """Options with which cmake takes this machine for a Mac that builds for phones."""
    for name in ("iPhoneOS", "iPhoneSimulator"):
        (tmp_path / f"{name}.sdk").mkdir()
    tools = [f"-DCMAKE_{name}=/bin/true" for name in ("INSTALL_NAME_TOOL", "LIBTOOL")]
    # The compiler of this machine has no -arch: it is not tried.
    return [*tools, "-DCMAKE_CXX_COMPILER_FORCED=ON", "-DCMAKE_CXX_COMPILE_FEATURES=cxx_std_17"]


@pytest.mark.parametrize(
    ("preset", "place", "options"),
    [
        ("ios", "ios-arm64", []),
        ("ios-simulator", "ios-arm64_x86_64-simulator", []),
        (
            "ios-simulator",
            "ios-arm64_x86_64-simulator",
            ["-DCMAKE_OSX_ARCHITECTURES=arm64;x86_64"],
        ),
    ],
)
def test_ios_takes_its_slice_of_the_xcframework(
    tmp_path: Path, sdk: list[str], preset: str, place: str, options: list[str]
) -> None:
    folder = xcframework(tmp_path / "onnxruntime.xcframework", *SLICES)
    root = tmp_path / ("iPhoneOS.sdk" if preset == "ios" else "iPhoneSimulator.sdk")
    library, headers, besides = found(
        tmp_path,
        preset,
        f"-DONNXRUNTIME_XCFRAMEWORK={folder}",
        f"-DCMAKE_OSX_SYSROOT={root}",
        *sdk,
        *options,
    )
    assert Path(library) == folder / place / "onnxruntime.framework" / "onnxruntime"
    assert Path(headers) == folder / place / "onnxruntime.framework" / "Headers"
    assert besides == "-framework Foundation;-weak_framework CoreML"


@pytest.mark.parametrize(
    "slices", [(), ("ios-arm64_x86_64-simulator",), ("ios-armv7",), ("macos-arm64_x86_64",)]
)
def test_an_xcframework_without_the_slice_is_refused(
    tmp_path: Path, sdk: list[str], slices: tuple[str, ...]
) -> None:
    folder = xcframework(tmp_path / "onnxruntime.xcframework", *slices)
    options = [f"-DONNXRUNTIME_XCFRAMEWORK={folder}", *sdk]
    root = f"-DCMAKE_OSX_SYSROOT={tmp_path / 'iPhoneOS.sdk'}"
    said = refused(*command(tmp_path, "ios", *options, root))
    assert "has no onnxruntime.framework with headers for ios (arm64): pass" in said


def test_the_presets() -> None:
    listed = run("cmake", "--list-presets", folder=SOURCE)
    names = re.findall(r'^  "([\w-]+)"', listed, re.MULTILINE)
    assert names == [
        *("release", "debug", "sanitize"),
        *("android-arm64", "android-arm32", "ios", "ios-simulator"),
    ]
    assert (
        re.findall(r'^  "([\w-]+)"', run("cmake", "--build", "--list-presets", folder=SOURCE), re.M)
        == names
    )


def test_presets_set_options_that_exist() -> None:
    presets = json.loads((SOURCE / "CMakePresets.json").read_text())["configurePresets"]
    options = {name for preset in presets for name in preset.get("cacheVariables", {})}
    listed = (SOURCE / "CMakeLists.txt").read_text()
    ours = {name for name in options if name.startswith("EDGEMETA_")}
    assert ours
    assert [name for name in sorted(ours) if f"option({name} " not in listed] == []


def test_every_public_header_exports_its_names() -> None:
    for header in (SOURCE / "include" / "edgemeta").glob("*.hpp"):
        namespaces = re.findall(r"^namespace .*", header.read_text(), re.MULTILINE)
        assert namespaces, header.name
        assert namespaces[0] == 'namespace [[gnu::visibility("default")]] edgemeta {', header.name


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
