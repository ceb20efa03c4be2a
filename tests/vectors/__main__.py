"""Write the vectors anew: python -m tests.vectors."""

from __future__ import annotations

from tests.vectors import FOLDER
from tests.vectors.made import files

for name, content in files().items():
    (FOLDER / name).write_text(content)
