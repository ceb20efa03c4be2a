"""Small files and values that the readers for Python, C++ and JavaScript take or refuse alike.

`python -m tests.vectors` writes them; `test_vectors.py` gives them to all three.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

FOLDER = Path(__file__).parent
LONG = 20_000
"""Characters of a line; a longer one, which tests a limit, is stored packed."""


ROUNDED = ("temperature", "familiarity")
"""Facts that are numbers which were computed."""


@dataclass(frozen=True)
class Vector:
    """One case.

    Attributes:
        name: what is odd about it.
        request: what a judge is asked: its "kind", and what belongs to that.
        verdict: "accept", or the kind of error: "input", "bundle" or "adaptation".
        facts: what the judge has to say besides.
    """

    name: str
    request: Mapping[str, Any]
    verdict: str
    facts: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What sort of thing is judged, which is the name of the vector's file, too."""
        return str(self.request["kind"])

    @classmethod
    def of(cls, line: str) -> Self:
        """Return the vector that a line holds."""
        record = json.loads(line)
        if "packed" in record:
            record = json.loads(zlib.decompress(base64.b64decode(record["packed"])))
        request, verdict = record["request"], record["verdict"]
        return cls(record["name"], request, verdict, record.get("facts", {}))

    def fits(self, answer: Mapping[str, Any]) -> bool:
        """Whether an answer has the right verdict and facts; numbers may be rounded."""
        return answer["verdict"] == self.verdict and all(
            _close(answer.get(name), fact) if name in ROUNDED else answer.get(name) == fact
            for name, fact in self.facts.items()
        )

    def line(self) -> str:
        """Return the vector as a line of JSON."""
        record = {"name": self.name, "verdict": self.verdict, "request": self.request}
        line = json.dumps(record | ({"facts": self.facts} if self.facts else {}))
        if len(line) <= LONG:
            return line
        packed = base64.b64encode(zlib.compress(line.encode(), 9)).decode()
        return json.dumps({"name": self.name, "packed": packed})


def _close(found: Any, wanted: Any) -> bool:
    found, wanted = (each if isinstance(each, list) else [each] for each in (found, wanted))
    return len(found) == len(wanted) and all(
        isinstance(number, int | float) and math.isclose(number, want, rel_tol=1e-5, abs_tol=1e-9)
        for number, want in zip(found, wanted, strict=True)
    )


def stored() -> Iterator[Vector]:
    """Yield the vectors of all files."""
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            yield Vector.of(line)
