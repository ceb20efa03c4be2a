"""What an export takes for a kind of device; docs/targets.md has what each choice rests on."""

from __future__ import annotations

from dataclasses import dataclass

from edgemeta_export.rules.registry import OPSET


@dataclass(frozen=True)
class Target:
    """The form of a bundle, in the words of `edgemeta_export.export_bundle`."""

    opset: int = OPSET
    unroll: bool = False
    without: tuple[str, ...] = ()


TARGETS: dict[str, Target] = {
    "web": Target(),
    "mobile": Target(),
    "cpp": Target(),
    "server": Target(),
}
