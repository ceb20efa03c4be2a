"""The tab that learns sounds, in Chromium."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from edgemeta.data._mfcc import Spectrum
from tests.web.conftest import WEB, skip_unless_built
from tests.web.test_sound import make_bundle

DEMO = WEB / "dist" / "demo"


def test_it_learns_sounds_in_chromium(tmp_path: Path) -> None:
    """With a bundle of untrained features, which example sounds are told apart by all the same."""
    skip_unless_built(DEMO)
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("chromium is not installed")
    page = tmp_path / "demo"
    shutil.copytree(DEMO, page)
    shutil.rmtree(page / "bundles" / "words", ignore_errors=True)
    make_bundle(page / "bundles" / "words", Spectrum())
    (page / "bundles" / "index.json").write_text(json.dumps(["omniglot", "words"]))
    done = subprocess.run(
        ["node", "--test", str(WEB / "test" / "chromium" / "words.test.mjs")],
        env={**os.environ, "EDGEMETA_DEMO": str(page)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# skipped 0" in done.stdout
