"""The guide's C++ compiles against the installed package, and does what the Python runner does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from edgemeta import FewShotClassifier
from tests.cpp.cmake import onnxruntime, run
from tests.cpp.conftest import BUILD, ROOT, Bundle, Save, Tool

NOTES = (ROOT / "cpp_runtime_notes.md").read_text()


@pytest.mark.slow
def test_the_guides_code(tool: Tool, omniglot: Bundle, save: Save, tmp_path: Path) -> None:
    blocks = re.findall(r"```cpp\n(.*?)```", NOTES, flags=re.DOTALL)
    lines = "".join(blocks).splitlines()
    code = tmp_path / "code"
    code.mkdir()
    for name, included in (("includes.inc", True), ("blocks.inc", False)):
        chosen = [line for line in lines if line.startswith("#include") == included]
        (code / name).write_text("\n".join(chosen) + "\n")
    run("cmake", "--install", BUILD, "--prefix", tmp_path / "installed")
    run(
        *("cmake", "-S", ROOT / "tests" / "cpp" / "notes", "-B", tmp_path / "build"),
        *(f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}", f"-DNOTES_CODE={code}"),
        *onnxruntime(),
    )
    run("cmake", "--build", tmp_path / "build")
    x, y = omniglot.samples(5, 1)
    query, _ = omniglot.samples(4, 2)
    found = json.loads(
        run(
            *(tmp_path / "build" / "notes", omniglot.path, save(x=x, y=y, query=query)),
            folder=tmp_path,
        )
    )
    learner = omniglot.runner.adapt(x, y)
    further = omniglot.runner.adapt(x, y, steps=3, state=learner)
    saved = omniglot.runner.load(tmp_path / "mine.safetensors")
    assert np.array_equal(saved.predict(query), learner.predict(query))
    assert found["classes"] == found["chosen"] == learner.predict(query).tolist()
    names = ["alef", "bet", "gimel", "dalet", "he"]
    classifier = FewShotClassifier(omniglot.runner, reject=0.7).fit(x, [names[k] for k in y])
    assert found["called"] == classifier.predict(query).tolist()
    assert found["loaded"] == 1
    loaded = FewShotClassifier(omniglot.runner).load(tmp_path / "named.safetensors")
    np.testing.assert_allclose(
        loaded.predict_proba(query), classifier.predict_proba(query), atol=1e-5
    )
    # Printed with six digits.
    np.testing.assert_allclose(found["losses"], further.losses, rtol=1e-4)
    np.testing.assert_allclose(found["first_losses"], learner.losses[:1], rtol=1e-4)
    np.testing.assert_allclose(found["further_losses"], further.losses[:2], rtol=1e-4)
