"""The guide's C++ compiles against the installed package, and does what the Python runner does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgemeta import FewShotClassifier
from edgemeta.bundle import ADAPT, INIT, MANIFEST, PREDICT
from tests.cpp.cmake import onnxruntime, run
from tests.cpp.conftest import BUILD, ROOT, Bundle, Save, Tool

NOTES = (ROOT / "cpp_runtime_notes.md").read_text()


def product(bundle: Path, shown: NDArray[Any], seen: NDArray[Any]) -> str:
    """The header that the whole program includes: a bundle and drawings as arrays."""
    arrays = {
        "manifest": (bundle / MANIFEST).read_bytes(),
        "adapt": (bundle / ADAPT).read_bytes(),
        "predict": (bundle / PREDICT).read_bytes(),
        "init": (bundle / INIT).read_bytes(),
    }
    lines = ["#include <array>", "#include <cstddef>", "#include <cstdint>", "#include <fstream>"]
    lines += ["#include <vector>", "namespace product {"]
    for name, content in arrays.items():
        values = ",".join(map(str, content))
        lines.append(
            f"inline const std::array<std::uint8_t, {len(content)}> {name} = {{{values}}};"
        )
    for name, drawings in (("shown", shown), ("seen", seen)):
        values = ",".join(map(str, drawings.ravel().tolist()))
        lines.append(f"inline const std::vector<std::uint8_t> {name} = {{{values}}};")
    lines += ["inline void keep(const std::vector<std::byte>& state) {"]
    lines += ['  std::ofstream("kept", std::ios::binary)']
    lines += ["      .write(reinterpret_cast<const char*>(state.data()),"]
    lines += ["             static_cast<std::streamsize>(state.size()));", "}", "}"]
    return "\n".join([*lines, ""])


@pytest.mark.slow
def test_the_guides_code(tool: Tool, omniglot: Bundle, save: Save, tmp_path: Path) -> None:
    blocks = re.findall(r"```cpp\n(.*?)```", NOTES, flags=re.DOTALL)
    lines = "".join(blocks).splitlines()
    code = tmp_path / "code"
    code.mkdir()
    for name, included in (("includes.inc", True), ("blocks.inc", False)):
        chosen = [line for line in lines if line.startswith("#include") == included]
        (code / name).write_text("\n".join(chosen) + "\n")
    query, _ = omniglot.samples(4, 2)
    drawings = omniglot.samples(7, 3)[0]
    shown, seen = drawings[[0, 1, 0, 1]], drawings[[1, 0, 6]]
    (whole,) = re.findall(r"```c\+\+\n(.*?)```", NOTES, flags=re.DOTALL)
    (code / "whole.cpp").write_text(whole)
    (code / "product.hpp").write_text(product(omniglot.path, shown, seen))
    run("cmake", "--install", BUILD, "--prefix", tmp_path / "installed")
    run(
        *("cmake", "-S", ROOT / "tests" / "cpp" / "notes", "-B", tmp_path / "build"),
        *(f"-DCMAKE_PREFIX_PATH={tmp_path / 'installed'}", f"-DNOTES_CODE={code}"),
        *onnxruntime(),
    )
    run("cmake", "--build", tmp_path / "build")
    x, y = omniglot.samples(5, 1)
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
    assert len(whole.strip().splitlines()) <= 24  # twenty but for blank lines
    names = run(tmp_path / "build" / "whole", folder=tmp_path).split()
    classifier = FewShotClassifier(omniglot.runner, reject=0.7)
    classifier.fit(shown, ["cup", "key", "cup", "key"])
    assert names == classifier.predict(seen).tolist() == ["key", "cup", "unknown"]
    loaded = FewShotClassifier(omniglot.runner, reject=0.7).load(tmp_path / "kept")
    assert loaded.predict(seen).tolist() == names
    # Printed with six digits.
    np.testing.assert_allclose(found["losses"], further.losses, rtol=1e-4)
    np.testing.assert_allclose(found["first_losses"], learner.losses[:1], rtol=1e-4)
    np.testing.assert_allclose(found["further_losses"], further.losses[:2], rtol=1e-4)
