"""The C++ library for Android and iOS: configured only, with folders laid out as theirs are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cpp.cmake import SOURCE, json_library, refused, run

PROBE = """\
# What cmake found: the library, the folder of its headers, what is linked besides, the type.
cmake_language(DEFER CALL file GENERATE OUTPUT "${CMAKE_BINARY_DIR}/found.txt" CONTENT
"$<TARGET_FILE:onnxruntime::onnxruntime>
$<TARGET_PROPERTY:onnxruntime::onnxruntime,INTERFACE_INCLUDE_DIRECTORIES>
$<TARGET_PROPERTY:onnxruntime::onnxruntime,INTERFACE_LINK_LIBRARIES>
")
"""


pytestmark = pytest.mark.usefixtures("tool")


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
