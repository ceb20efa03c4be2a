"""`edgemeta inspect`: what is in a bundle."""

from __future__ import annotations

import math
from pathlib import Path

import click

from edgemeta.bundle import BENCH, SELFTEST, Manifest, StateTensor
from edgemeta.bundle.files import read_file
from edgemeta.bundle.loading import load_bundle
from edgemeta.cli._options import bundle_argument, json_option, say_json
from edgemeta.cli._table import printable, table
from edgemeta.util.strict_json import short

UNSEALED = "none: the bundle was made before manifests had one"


@click.command()
@bundle_argument
@json_option
def inspect(bundle: Path, as_json: bool) -> None:
    """Show the manifest of BUNDLE, and check the hashes of its files.

    \b
    Example:
      edgemeta inspect omniglot
    """
    loaded = load_bundle(bundle)
    manifest, fingerprint = loaded.manifest, loaded.fingerprint
    if (bundle / SELFTEST).exists():  # a device may do without
        read_file(bundle, SELFTEST, manifest)
    if as_json:
        record = {**manifest.record(), "seal": manifest.seal}
        say_json({"fingerprint": fingerprint, "manifest": record})
        return
    for name, value in (*_facts(manifest, fingerprint), *_measured(bundle, fingerprint)):
        click.echo(f"{name:<12} {printable(value)}")
    click.echo()
    rows = [[t.name, t.kind, t.dtype, _shape(t)] for t in manifest.state]
    click.echo(table(["state tensor", "kind", "dtype", "shape"], rows))
    click.echo()
    files = [[name, record.size, record.sha256[:12]] for name, record in manifest.files.items()]
    click.echo(table(["file", "bytes", "sha256"], files))


def _shape(tensor: StateTensor) -> str:
    sizes: tuple[object, ...] = tensor.shape
    if tensor.per_class:
        sizes = ("ways", *sizes[1:])
    return " x ".join(map(str, sizes)) or "scalar"


def _facts(manifest: Manifest, fingerprint: str) -> list[tuple[str, str]]:
    weights = sum(math.prod(t.shape) for t in manifest.state)
    algorithm = manifest.algorithm
    ways = f", {manifest.ways} ways" if manifest.ways else ""
    if manifest.any_ways:
        ways = f", any number of ways (trained with {manifest.ways})"
    facts = [
        ("bundle", f"{fingerprint[:12]} (format {manifest.format_version})"),
        ("task", f"{manifest.task}{ways}"),
        *([("classes", short(", ".join(manifest.labels)))] if manifest.labels else []),
        ("input", str(manifest.input)),
        (
            "adaptation",
            f"{algorithm.get('name')}, {manifest.inner_steps} steps, "
            f"inner_lr {algorithm.get('inner_lr')}",
        ),
        (
            "state",
            f"{len(manifest.state)} tensors, {weights:,} numbers, "
            f"of which {manifest.adapted_parameters:,} adapt by gradient",
        ),
        (
            "cost",
            f"about {manifest.flops_per_step / 1e6:,.1f} MFLOP a step and "
            f"{manifest.peak_memory_bytes / 1e6:.1f} MB to adapt, for the selftest's support set",
        ),
        ("seal", f"{manifest.seal[:12]}, true" if manifest.seal else UNSEALED),
        ("opset", str(manifest.opset)),
        *((f"ops {n.split('.')[0]}", " ".join(ops)) for n, ops in manifest.ops.items()),
        ("made with", ", ".join(f"{n} {v}" for n, v in manifest.versions.items())),
    ]
    if (tuned := manifest.tuned) is not None:
        facts.append(("tuned", f"{tuned.get('chosen')}, on {tuned.get('machine')}"))
    if trained := _training_result(manifest):
        facts.append(("trained on", trained))
    return facts


def _measured(bundle: Path, fingerprint: str) -> list[tuple[str, str]]:
    """Return what `edgemeta bench --record` found, for the smallest support set."""
    # Here, since it waits for onnxruntime, which nothing else of this command needs.
    from edgemeta.measure.bench_record import read_record

    if not (bundle / BENCH).exists():
        return []
    record = read_record(bundle, fingerprint)
    if record is None or not record.speeds:
        return []
    speed = min(record.speeds, key=lambda s: s.samples)
    times = f"adapt {speed.adapt.p50:.2f} ms, predict one {speed.predict.p50:.2f} ms"
    size = f"{speed.samples} samples, {speed.steps} steps"
    return [("measured", f"{times} ({size}), on {record.machine}")]


def _training_result(manifest: Manifest) -> str | None:
    """Return what training reached, where the record says it."""
    result = manifest.trained.result
    if result is None or result.mean is None:
        return None
    interval = "" if result.ci95 is None else f" ± {result.ci95:.4f}"
    episodes = f"{result.episodes} {result.split} episodes ({result.statistics})"
    return f"{result.tasks}: {result.metric} {result.mean:.4f}{interval} on {episodes}"
