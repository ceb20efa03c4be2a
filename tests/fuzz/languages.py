"""Fuzzing of all readers against each other: what one language takes, the others have to take.

python -m tests.fuzz.languages [--inputs N] [--seed N] [--out FILE]

The vectors of tests/vectors are changed by their structure or by their bytes, and go to the readers
for Python, C++ and JavaScript alike: each has to come to the same verdict, and where it accepts, to
the same content. C++ should be built with the address and the undefined-behaviour sanitizer, which
end the process where it reads beyond an array (`make fuzz`). Writes
benchmarks/results/fuzz_languages.json; an input on which two disagree, or of which one dies, is
printed, and the exit code is 1.
"""

from __future__ import annotations

import base64
import json
import random
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from edgemeta.bundle import STATE_DIGEST_KEY
from edgemeta.bundle._tensor_file import digest, read_tensors
from tests.fuzz.mutations import (
    Mutate,
    by_bytes,
    json_by_structure,
    json_by_text,
    onnx_by_structure,
    safetensors_by_structure,
)
from tests.vectors import Vector, stored
from tests.vectors.judges import COMMANDS, ROOT, Answer, Judge, python
from tests.vectors.states import written

RESULT = ROOT / "benchmarks" / "results" / "fuzz_languages.json"
SANITIZED = ("build/sanitized/edgemeta-judge",)
BATCH = 32  # requests whose answers fit into a pipe
SHOWN = 5  # disagreements
SHARES = {"manifest": 0.35, "graph": 0.35, "state": 0.3}
MOST_BYTES = 20_000  # of a seed: those that test a limit are left to the vectors

ONLY_PYTHON = "manifest.json breaks the contract: got training"
"""How Python refuses what it alone looks at: the record of a training."""

Request = dict[str, Any]


def resealed(content: bytes, rng: random.Random) -> bytes:
    """Change a state file, and make its digest right again, where it can still be read."""
    content = safetensors_by_structure(content, rng)
    try:
        metadata, tensors = read_tensors(content)
    except ValueError:
        return content
    metadata = {key: value for key, value in metadata.items() if key != STATE_DIGEST_KEY}
    try:
        return written(tensors, metadata | {STATE_DIGEST_KEY: digest(tensors, metadata)})
    except KeyError:  # a dtype that the vectors do not write
        return content


MUTATIONS: Mapping[str, tuple[Mutate, ...]] = {
    "manifest": (json_by_structure, json_by_structure, json_by_text, by_bytes),
    "graph": (onnx_by_structure, onnx_by_structure, by_bytes),
    "state": (resealed, resealed, safetensors_by_structure, by_bytes),
}


def requests(kind: str, count: int, rng: random.Random) -> list[Request]:
    """Return so many requests of one kind."""
    seeds = [vector.request for vector in stored() if usable(vector, kind)]
    good = [vector.request for vector in stored() if usable(vector, kind) and vector.facts]
    made = []
    for _ in range(count):
        request = dict(rng.choice(good if rng.random() < 0.7 else seeds))
        content = base64.b64decode(request["content"])
        for _ in range(rng.choice((1, 1, 2, 4))):
            content = rng.choice(MUTATIONS[kind])(content, rng)
        made.append(request | {"content": base64.b64encode(content).decode()})
    return made


def usable(vector: Vector, kind: str) -> bool:
    """Whether a vector is a seed of some kind."""
    return vector.kind == kind and len(vector.request["content"]) <= MOST_BYTES


def same(ours: Answer, theirs: Answer) -> bool:
    """Whether another judge says the same as Python's: of what they accept, they say it all."""
    if ours.get("why", "").startswith(ONLY_PYTHON):
        return True
    return {**ours, "why": None} == {**theirs, "why": None}


def run(
    inputs: int, seed: int, commands: Mapping[str, tuple[str, ...]], say: Callable[[str], None]
) -> dict[str, Any]:
    """Give so many inputs to Python and to each command.

    Returns:
        By language: how many inputs it had, and accepted; disagreements with Python and crashes.
    """
    rng = random.Random(seed)  # noqa: S311
    found: dict[str, Any] = {
        name: {"inputs": 0, "accepted": 0, "disagreements": 0, "crashes": 0} for name in commands
    }
    judges = {name: Judge(command) for name, command in commands.items()}
    for kind, share in SHARES.items():
        for begin in range(0, int(inputs * share), BATCH):
            asked = requests(kind, min(BATCH, int(inputs * share) - begin), rng)
            expected = [python(request) for request in asked]
            for name, judge in judges.items():
                try:
                    answers = judge.all(asked)
                except (EOFError, BrokenPipeError) as error:
                    found[name]["crashes"] += 1
                    say(f"{name}: {error}, of one of {json.dumps(asked)}")
                    judges[name] = Judge(commands[name])
                    continue
                for request, ours, theirs in zip(asked, expected, answers, strict=True):
                    found[name]["inputs"] += 1
                    found[name]["accepted"] += theirs["verdict"] == "accept"
                    if not same(ours, theirs):
                        found[name]["disagreements"] += 1
                        if found[name]["disagreements"] <= SHOWN:
                            say(f"{name}: {theirs}\npython: {ours}\nof {json.dumps(request)}")
    for judge in judges.values():
        judge.close()
    return found


@click.command(help="Fuzz the readers for Python, C++ and JavaScript against each other.")
@click.option("--inputs", default=200_000, show_default=True, help="For each language.")
@click.option("--seed", default=1, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=RESULT, help="The result file.")
def main(inputs: int, seed: int, out: Path) -> None:
    """Run, and write."""
    began = time.monotonic()
    commands = {"cpp, sanitized": SANITIZED, "node": COMMANDS["node"]}
    found = run(inputs, seed, commands, click.echo)
    record = {"seconds": round(time.monotonic() - began), "languages": found}
    out.write_text(json.dumps(record, indent=1) + "\n")
    click.echo(json.dumps(record))
    sys.exit(any(each["crashes"] or each["disagreements"] for each in found.values()))


if __name__ == "__main__":
    main()
