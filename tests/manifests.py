"""Manifests that were changed after they were written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgemeta.bundle import MANIFEST


def rewrite(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest of a bundle, and take away its seal, which would be broken."""
    path = bundle / MANIFEST
    record = json.loads(path.read_text())
    record.pop("seal", None)
    change(record)
    path.write_text(json.dumps(record))
