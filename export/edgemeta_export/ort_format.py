"""A bundle's graphs in ONNX Runtime's own format, for its minimal builds.

Such a build reads no ONNX, and has only the operators that it was configured with:
https://onnxruntime.ai/docs/build/custom.html
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edgemeta import bundle
from edgemeta.bundle import Manifest
from edgemeta.bundle.loading import load_bundle
from edgemeta.bundle.selftest import Selftest, read_selftest
from edgemeta.device.sessions import ERRORS_ONLY
from edgemeta.errors import EdgemetaError, ParityError
from edgemeta.measure.verify import compare, tolerance
from edgemeta_export.operators import Operator, check_operators
from edgemeta_export.quiet import quiet
from edgemeta_export.staging import check_replaceable, staged

CONFIG = "required_operators.config"
"""What `build.sh --minimal_build --include_ops_by_config` reads."""

GRAPHS = (bundle.ADAPT, bundle.PREDICT)

Tensors = dict[str, NDArray[Any]]


def write_ort_format(bundle_path: Path, out: Path) -> None:
    """Write `adapt.ort`, `predict.ort` and the list of operators that they need.

    The graphs are optimized as onnxruntime would do it at loading, which a minimal build cannot,
    but for the layouts that only some processors have. Each holds the init itself; names of inputs
    and outputs, and their defaults, are those of the bundle.

    Args:
        bundle_path: a finished bundle.
        out: the directory to write; one that this function wrote is replaced.

    Raises:
        InputError: something else than such a directory is there.
        BundleError: the bundle is missing or damaged.
        ParityError: the converted graphs compute something else; nothing was written.
        EdgemetaError: the place cannot be written to, or onnxruntime cannot convert.
    """
    check_replaceable(out, CONFIG, f"{out} exists and is not ours")
    manifest = load_bundle(bundle_path).manifest
    with staged(out) as temporary:
        made = [_convert(bundle_path / name, temporary) for name in GRAPHS]
        _write_config(made, temporary / CONFIG)
        if unused := check_operators(temporary / CONFIG, made):
            raise EdgemetaError(f"{CONFIG} lists what no graph needs", got=unused)
        _check(bundle_path, manifest, temporary)


def check_config(bundle_path: Path, config: Path) -> list[Operator]:
    """Check that a reduced build of onnxruntime has all that a bundle needs, as `.ort` files.

    Args:
        bundle_path: a bundle; it is converted as `write_ort_format` does.
        config: what the build was configured with, for this bundle or for several models.

    Returns:
        What the configuration lists and the bundle does not need.

    Raises:
        InputError: the configuration cannot be read.
        BundleError: the bundle is missing or damaged.
        EdgemetaError: it lacks something; or onnxruntime cannot convert.
    """
    load_bundle(bundle_path)
    with tempfile.TemporaryDirectory() as folder:
        made = [_convert(bundle_path / name, Path(folder)) for name in GRAPHS]
        return check_operators(config, made)


def ort_name(name: str) -> str:
    """Return the name of a graph in onnxruntime's format: "adapt.onnx" becomes "adapt.ort"."""
    return Path(name).with_suffix(".ort").name


def _convert(source: Path, folder: Path) -> Path:
    """Do what `onnxruntime.tools.convert_onnx_models_to_ort` does, which prints and warns."""
    target = folder / ort_name(source.name)
    options = _options()
    options.optimized_model_filepath = str(target)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.add_session_config_entry("session.save_model_format", "ORT")
    # Blocked convolutions (NCHWc) are for x86-64 alone; ARM has none of these kernels.
    _session(source, options, disabled_optimizers=["NchwcTransformer"])
    return target


def _write_config(models: Sequence[Path], target: Path) -> None:
    """Write the operators of the models, those in Loop bodies included, with opsets and types.

    A build ignores the types without `--enable_reduced_operator_type_support`.
    """
    from onnxruntime.tools.ort_format_model import create_config_from_models

    with quiet():  # it leaves closing its files to the interpreter
        create_config_from_models(models, target, enable_type_reduction=True)
    # Its heading names the models with their temporary directory.
    text = target.read_text(encoding="utf-8").replace(f"{target.parent}/", "")
    target.write_text(text, encoding="utf-8")


def _check(bundle_path: Path, manifest: Manifest, folder: Path) -> None:
    """Adapt and predict with both formats; they may differ by what a bundle's parity allows.

    Raises:
        ParityError: they differ by more.
    """
    episode = read_selftest(bundle_path, manifest)
    want = _replay(bundle_path / bundle.ADAPT, bundle_path / bundle.PREDICT, episode)
    got = _replay(folder / ort_name(bundle.ADAPT), folder / ort_name(bundle.PREDICT), episode)
    worst = compare(got, want, *tolerance(manifest))
    if not worst.passed:
        raise ParityError(
            f"{worst.tensor} from the .ort graphs differs from the .onnx ones",
            got=f"{worst.largest:.3g}",
            expected=f"at most {worst.limit:.3g}",
        )


def _replay(adapt: Path, predict: Path, episode: Selftest) -> Tensors:
    """Adapt to the recorded episode and predict; return all outputs by name."""
    given = {
        bundle.SUPPORT_X: episode.support_x,
        bundle.SUPPORT_Y: episode.support_y,
        bundle.STEPS: np.array(episode.steps, np.int64),
        bundle.LR_SCALE: np.array(episode.lr_scale, np.float32),
    }
    adapted = _run(_session(adapt, _options()), given)
    state = {name: adapted[bundle.next_name(name)] for name in episode.state}
    return adapted | _run(_session(predict, _options()), {bundle.QUERY_X: episode.query_x} | state)


def _run(session: onnxruntime.InferenceSession, given: Mapping[str, NDArray[Any]]) -> Tensors:
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(given)), strict=True))


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    return options


def _session(
    path: Path, options: onnxruntime.SessionOptions, **arguments: Any
) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], **arguments
        )
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise EdgemetaError(f"onnxruntime cannot convert or load {path}", got=error) from error
