"""From a bundle's files to what a session is made of: read once, and used as it was checked.

Sessions are made from the very bytes whose hashes were checked: a file that is exchanged in between
has no effect, and onnxruntime opens none. The price is one more copy of `init.bin` in memory for as
long as the sessions live: onnxruntime takes copies, but does not promise to have done so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgemeta.bundle import manifest as bundle
from edgemeta.bundle._onnx_check import check_graph
from edgemeta.bundle._tensor_file import check_bools
from edgemeta.bundle.files import parse_manifest, read_file, read_manifest_bytes
from edgemeta.bundle.manifest import Manifest
from edgemeta.bundle.signature import check_signature
from edgemeta.errors import BundleError
from edgemeta.util.strict_json import short


@dataclass(frozen=True)
class LoadedGraph:
    """A graph, and the initializers that it has outside of itself.

    Attributes:
        path: where it was, for errors.
        content: of the ONNX file.
        external: by name, views of the content of `init.bin`.
    """

    path: Path
    content: bytes
    external: Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Loaded:
    """A bundle in memory, checked.

    Attributes:
        manifest: what it says of itself.
        fingerprint: sha256 of the manifest.
        adapt: the graph of the adaptation.
        predict: the graph of the prediction.
    """

    manifest: Manifest
    fingerprint: str
    adapt: LoadedGraph
    predict: LoadedGraph


def load_bundle(directory: Path, key: str | os.PathLike[str] | None = None) -> Loaded:
    """Read and check what a runner needs of a bundle: all but the selftest.

    Args:
        directory: the bundle.
        key: a public key, a PEM file, that must have signed it; None asks for no signature.

    Raises:
        BundleError: the bundle is missing, damaged, of an unknown version, or not signed by `key`.
        InputError: the key cannot be used.
    """
    content = read_manifest_bytes(directory)
    if key is not None:
        check_signature(directory, content, Path(key))
    manifest, fingerprint = parse_manifest(directory, content)
    files = {name: read_file(directory, name, manifest) for name in bundle.NEEDED}
    adapt, predict = (
        checked_graph(directory / name, files[name], files[bundle.INIT], manifest)
        for name in (bundle.ADAPT, bundle.PREDICT)
    )
    return Loaded(manifest, fingerprint, adapt, predict)


def checked_graph(path: Path, content: bytes, init: bytes, manifest: Manifest) -> LoadedGraph:
    """Check a graph of a bundle.

    Args:
        path: where it was.
        content: of the ONNX file.
        init: content of `init.bin`.
        manifest: of the bundle.

    Raises:
        BundleError: it is not the one that the manifest describes.
    """
    try:
        found = check_graph(content, path.name, manifest)
        external = {name: tensor.inside(init) for name, tensor in found.external().items()}
        check_bools(external)
    except ValueError as error:
        raise BundleError(
            f"{path} is no graph of a bundle", got=short(error), hint="export the bundle again"
        ) from error
    return LoadedGraph(path, content, external)
