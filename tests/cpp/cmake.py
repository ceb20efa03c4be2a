"""Running cmake on the C++ sources, with the ONNX Runtime that `export/cpp/build.sh` found."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.cpp.conftest import BUILD, ROOT

SOURCE = ROOT / "export" / "cpp"
HERE = ROOT / "tests" / "cpp"


def cached(name: str) -> str:
    """What cmake was told when the runner was built; empty where an installed package told it."""
    found = re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE)
    return "" if found is None or found[1].endswith("-NOTFOUND") else found[1]


def onnxruntime() -> list[str]:
    """The options that say where ONNX Runtime is."""
    places = {name: cached(name) for name in ("ONNXRUNTIME_INCLUDE", "ONNXRUNTIME_LIB")}
    return [f"-D{name}={place}" for name, place in places.items() if place]


def json_library() -> str:
    """The option that says where nlohmann's JSON headers are."""
    return f"-Dnlohmann_json_DIR={cached('nlohmann_json_DIR')}"


def run(*command: object, folder: Path | None = None) -> str:
    """Run a command that has to succeed; returns what it printed on standard output."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(*command: object) -> str:
    """Run a command that has to fail; returns what it printed as an error, in one line."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode != 0, done.stdout
    return " ".join(done.stderr.split())


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
