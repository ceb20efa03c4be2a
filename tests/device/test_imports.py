"""What importing the device side costs: numpy, onnxruntime, safetensors, click, nothing heavier."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

DEVICE_MODULES = (
    "edgemeta.measure.bench",
    "edgemeta.measure.bench_record",
    "edgemeta.bundle",
    "edgemeta.estimators.classifier",
    "edgemeta.measure.evaluate",
    "edgemeta.device.inputs",
    "edgemeta.estimators.regressor",
    "edgemeta.device.runner",
    "edgemeta.bundle.selftest",
    "edgemeta.bundle.state",
    "edgemeta.tasks",
    "edgemeta.measure.verify",
    "edgemeta.data.samples",
    "edgemeta.cli.adapt",
    "edgemeta.cli.bench",
    "edgemeta.cli.data",
    "edgemeta.cli.eval",
    "edgemeta.cli.inspect",
    "edgemeta.cli.predict",
    "edgemeta.cli.verify",
)
ALLOWED = {"click", "colorama", "edgemeta", "numpy", "onnxruntime", "safetensors"}


def packages_loaded_by(code: str) -> set[str]:
    """Names of the top-level packages from site-packages that `code` loads, in a fresh process."""
    script = f"""
import json, sys, sysconfig
at_start = set(sys.modules)  # what an interpreter loads by itself
{code}
places = (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))
found = {{
    name.partition(".")[0]
    for name, module in sys.modules.items()
    if name not in at_start and (getattr(module, "__file__", None) or "").startswith(places)
}}
print(json.dumps(sorted(found)))
"""
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    return set(json.loads(output))


def test_the_measure_sees_what_is_loaded() -> None:
    assert "onnx" in packages_loaded_by("import onnx")


def test_importing_edgemeta_loads_nothing_at_all() -> None:
    assert packages_loaded_by("import edgemeta") == set()


@pytest.mark.parametrize("module", ["edgemeta.cli", *DEVICE_MODULES])
def test_the_device_side_loads_only_what_a_device_has(module: str) -> None:
    assert packages_loaded_by(f"import {module}") <= ALLOWED


def test_the_runner_is_reached_from_the_top() -> None:
    assert "onnxruntime" in packages_loaded_by("import edgemeta; edgemeta.Runner")


@pytest.mark.parametrize("arguments", ["--help", "--version"])
def test_help_does_not_wait_for_onnxruntime(arguments: str) -> None:
    code = f"""
from edgemeta.cli import main
try:
    main([{arguments!r}])
except SystemExit as end:
    assert not end.code
"""
    silent = "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()):"
    assert "onnxruntime" not in packages_loaded_by(f"{silent} exec({code!r})")
