"""Write what C++ and JavaScript take over from Python's contract: limits, names, tables.

    python export/contract.py

It makes `export/cpp/src/contract.hpp` and `export/web/src/contract.ts` anew; a test holds both to
what this would write.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgemeta import bundle
from edgemeta.bundle import _entries, _onnx_check, _protobuf, _tensor_file, selftest, state
from edgemeta.device import guard, inputs
from edgemeta.estimators import _calibration as calibration
from edgemeta.util import strict_json

HERE = Path(__file__).parent
CPP = HERE / "cpp" / "src" / "contract.hpp"
WEB = HERE / "web" / "src" / "contract.ts"

Number = int | float

LIMITS: Mapping[str, tuple[Number, str]] = {
    "FORMAT_VERSION": (bundle.FORMAT_VERSION, "of a bundle, and of a state file"),
    "MAX_MANIFEST_BYTES": (bundle.MAX_MANIFEST_BYTES, ""),
    "MAX_GRAPH_BYTES": (bundle.MAX_BYTES[bundle.ADAPT], "of adapt.onnx, and of predict.onnx"),
    "MAX_INIT_BYTES": (bundle.MAX_BYTES[bundle.INIT], ""),
    "MAX_SELFTEST_BYTES": (bundle.MAX_BYTES[bundle.SELFTEST], ""),
    "MAX_SAMPLE_NUMBERS": (bundle.MAX_SAMPLE_NUMBERS, "numbers of one sample, or of one target"),
    "MAX_STATE_TENSORS": (bundle.MAX_STATE_TENSORS, ""),
    "MAX_NAME": (_entries.MAX_NAME, "bytes of a state tensor's name"),
    "MAX_AXES": (_entries.MAX_AXES, "of any tensor"),
    "MAX_SIZE": (_entries.MAX_SIZE, "of one axis"),
    "MAX_WAYS": (bundle.MAX_WAYS, "classes of a shared head"),
    "MAX_STEPS": (inputs.MAX_STEPS, "of an adaptation"),
    "MAX_LR_SCALE": (inputs.MAX_LR_SCALE, ""),
    "MAX_DEPTH": (strict_json.MAX_DEPTH, "of JSON: objects and lists within each other"),
    "MAX_INTEGER": (strict_json.MAX_INTEGER, "of JSON"),
    "HEADER_ROOM": (_tensor_file.HEADER_ROOM, "bytes of a safetensors file's header"),
    "LABELS_ROOM": (state.LABELS_ROOM, "bytes of the labels in a state file"),
    "MOST_WAYS_DIGITS": (state.MOST_DIGITS - 1, "of the number of classes in a state file"),
    "MOST_KEPT": (state.MOST_KEPT, "samples beside a state"),
    "MAX_FIELDS": (_onnx_check.MAX_FIELDS, "of an ONNX file, in all"),
    "MAX_GRAPHS": (_onnx_check.MAX_DEPTH, "graphs within graphs"),
    "MAX_DIGITS": (_onnx_check.MAX_DIGITS, "of an offset into init.bin"),
    "BLOCK": (bundle.BLOCK, "values of a large result in a selftest"),
    "RMS_SLACK": (selftest.SLACK, "share by which a root mean square may be rounded"),
    "RISE": (guard.RISE, "share by which the support loss may end above its start"),
    "SLACK": (guard.SLACK, "what it may rise by besides: nats, or a share of the mean square"),
    "MOST_FOLDS": (calibration.MOST_FOLDS, "in which support samples are held out"),
    "COLDEST": (calibration.COLDEST, "temperature"),
    "HOTTEST": (calibration.HOTTEST, "temperature"),
    "ROUNDS": (calibration.ROUNDS, "of the search for a temperature"),
}

TABLES: Mapping[str, tuple[Mapping[int, int], str]] = {
    "MODEL": (_onnx_check.MODEL, "ModelProto"),
    "OPSET": (_onnx_check.OPSET, "OperatorSetIdProto"),
    "GRAPH": (_onnx_check.GRAPH, "GraphProto"),
    "NODE": (_onnx_check.NODES, "NodeProto"),
    "ATTRIBUTE": (_onnx_check.ATTRIBUTES, "AttributeProto"),
    "TENSOR": (_onnx_check.TENSOR, "TensorProto"),
    "ENTRY": (_onnx_check.ENTRY, "StringStringEntryProto"),
}

HEAD = "Written by export/contract.py from Python's contract (edgemeta/bundle): not to be edited."


CPP_HEAD = f"""\
// {HEAD}
// clang-format off

#pragma once

#include <cstdint>
#include <string_view>

namespace edgemeta::contract {{
"""
CPP_RULE = """
/// What a protobuf message may hold; all else is refused.
struct Rule {
  std::uint32_t tag;  // number << 3 | wire type
  bool once;          // at most; else any number of times
  bool skipped;       // of no interest
};"""
WEB_RULE = """
/** How often a field of a protobuf message may come; one that is skipped is of no interest. */
export type Rule = "once" | "many" | "skipped";

/** What a message may hold, by tag (number * 8 + wire type); all else is refused. */
export type Rules = ReadonlyMap<number, Rule>;"""


def cpp() -> str:
    """Return the content of the header for C++."""
    lines = [CPP_HEAD]
    for name, (value, why) in LIMITS.items():
        kind = "double" if isinstance(value, float) else "std::int64_t"
        lines += [f"/// {_sentence(why)}"] if why else []
        lines.append(f"inline constexpr {kind} {_constant(name)} = {value};")
    lines += ["", "/// Names that a state tensor cannot have."]
    lines.append("inline constexpr std::string_view kReserved[] = {")
    lines += [f'    "{name}",' for name in sorted(bundle.RESERVED)]
    lines += ["};", CPP_RULE]
    for name, (rules, message) in TABLES.items():
        lines += ["", f"/// {message}", f"inline constexpr Rule {_constant(name)}Fields[] = {{"]
        for tag, rule in sorted(rules.items()):
            once, skipped = str(rule > 0).lower(), str(rule == _protobuf.SKIPPED).lower()
            lines.append(f"    {{{tag}, {once}, {skipped}}},")
        lines.append("};")
    return "\n".join([*lines, "", "}  // namespace edgemeta::contract", ""])


def web() -> str:
    """Return the content of the module for JavaScript."""
    lines = [f"/** {HEAD} */", ""]
    for name, (value, why) in LIMITS.items():
        lines += [f"/** {_sentence(why)} */"] if why else []
        lines.append(f"export const {name} = {value:_};")
    reserved = ", ".join(f'"{name}"' for name in sorted(bundle.RESERVED))
    lines += ["", "/** Names that a state tensor cannot have. */"]
    lines.append(f"export const RESERVED: ReadonlySet<string> = new Set([{reserved}]);")
    lines.append(WEB_RULE)
    for name, (rules, message) in TABLES.items():
        lines += ["", f"/** {message} */", f"export const {name}_FIELDS: Rules = new Map(["]
        for tag, rule in sorted(rules.items()):
            often = "once" if rule > 0 else "skipped" if rule == _protobuf.SKIPPED else "many"
            lines.append(f'  [{tag}, "{often}"],')
        lines.append("]);")
    return "\n".join([*lines, ""])


def _sentence(why: str) -> str:
    return f"{why[0].upper()}{why[1:]}."


def _constant(name: str) -> str:
    """Return "kMaxWays" for "MAX_WAYS"."""
    return "k" + "".join(word.capitalize() for word in name.split("_"))


if __name__ == "__main__":
    CPP.write_text(cpp())
    WEB.write_text(web())
