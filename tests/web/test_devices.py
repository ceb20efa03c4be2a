"""What JavaScript has of Python's runner beside adapting: signatures, freezing, a holdout."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from safetensors.numpy import save_file

from edgemeta import AdaptationError
from edgemeta.bundle.signing import sign
from edgemeta.device.packaged import BUNDLES
from tests.cases import CASE, Compile
from tests.web.conftest import Node
from tests.web.test_runner import ATOL, RTOL, Episode

# Of the largest value: float32, products in another order; largest seen 9e-7
FROZEN = 1e-5
CASES = ["mlp-classes", "mlp-shared", "mlp-sinusoid", "conv4-support-max"]


def test_what_python_signed_is_accepted(node: Node, tmp_path: Path) -> None:
    bundle, private, public = (tmp_path / name for name in ("bundle", "private", "public"))
    shutil.copytree(BUNDLES / "omniglot", bundle)
    key = Ed25519PrivateKey.generate()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    spki = PublicFormat.SubjectPublicKeyInfo
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, spki))
    assert "is not signed" in node.ask("signed", bundle=bundle, key=public)["error"]
    fingerprint = sign(bundle, private)
    assert node.ask("signed", bundle=bundle, key=public) == {"fingerprint": fingerprint}
    other = Ed25519PrivateKey.generate().public_key()
    public.write_bytes(other.public_bytes(Encoding.PEM, spki))
    assert "has a wrong signature" in node.ask("signed", bundle=bundle, key=public)["error"]


@pytest.mark.parametrize("name", CASES)
def test_a_frozen_learner_predicts_the_same(
    compiled: Compile, node: Node, name: str, tmp_path: Path
) -> None:
    runner, episode = compiled(CASE[name]).runner, Episode(name, tmp_path)
    learner = runner.adapt(episode.x, episode.y)
    episode.check(learner, episode.adapt(node, runner))
    want = episode.results()["logits"]
    episode.check(learner, episode.adapt(node, runner, freeze=True))
    found = episode.results()["logits"]
    np.testing.assert_allclose(found, want, rtol=0, atol=FROZEN * np.abs(want).max())
    saved = runner.load(episode.state)
    assert saved.ways == learner.ways
    for tensor, value in learner.state_dict().items():
        np.testing.assert_allclose(saved.state_dict()[tensor], value, RTOL, ATOL)


@pytest.mark.parametrize("name", CASES)
def test_a_holdout_judges_as_in_python(
    compiled: Compile, node: Node, name: str, tmp_path: Path
) -> None:
    runner, episode = compiled(CASE[name]).runner, Episode(name, tmp_path)
    holdout = tmp_path / "holdout.safetensors"
    save_file({"x": episode.x, "y": episode.y}, holdout)
    assert "error" not in episode.adapt(node, runner, holdout=holdout)
    # From what fits the holdout, to what does not.
    runner.adapt(episode.x, episode.y, steps=20).save(tmp_path / "good")
    wrong = -episode.y if runner.manifest.ways is None else (episode.y + 1) % 5
    save_file({"x": episode.x, "y": wrong}, episode.support)
    with pytest.raises(AdaptationError, match="made the holdout worse") as refused:
        runner.adapt(
            *(episode.x, wrong),
            steps=20,
            state=runner.load(tmp_path / "good"),
            holdout=(episode.x, episode.y),
            guard=False,
        )
    answer = episode.adapt(
        node, runner, holdout=holdout, state=tmp_path / "good", steps=20, guard=False
    )
    # The same numbers of right labels, or losses, to the digits that are shown.
    said = str(refused.value).split(";")[0]
    assert answer["error"].split(";")[0] == said
