"""Every runtime that is there computes what PyTorch did; `make parity` asks for all of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

from edgemeta.bundle.files import read_manifest
from edgemeta.bundle.selftest import parse_selftest
from tests.parity.adapter import Adapter
from tests.parity.bundles import NETWORKS, Network, Recorded, recorded
from tests.parity.replay import replay_all
from tests.parity.runtimes import ROOT, RUNTIMES, Runtime, absent

EPISODES = 3  # and the selftest; the suite itself has more

networks = pytest.mark.parametrize("network", NETWORKS, ids=lambda network: network.name)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Network], Recorded]:
    """Return a function that compiles a network, once, and records a few episodes."""
    folder = tmp_path_factory.mktemp("parity")
    return cache(lambda network: recorded(network, folder, EPISODES))


@pytest.mark.slow
@networks
@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=lambda runtime: runtime.name)
def test_a_runtime_computes_what_pytorch_did(
    runtime: Runtime, network: Network, few: Callable[[Network], Recorded]
) -> None:
    if reason := absent(runtime, pytest.fail):
        pytest.skip(reason)
    with Adapter(runtime.command, ROOT) as adapter:
        outcome = replay_all(adapter, few(network), repeats=2)
    assert 0 <= outcome.largest <= 1
    assert outcome.version[0].isdigit()
    assert outcome.adapt_ms > 0


@pytest.mark.slow
@networks
def test_episodes_differ_in_all_that_a_device_may_choose(
    network: Network, few: Callable[[Network], Recorded]
) -> None:
    made = few(network)
    manifest, _ = read_manifest(made.path)
    episodes = [parse_selftest(path.read_bytes(), manifest) for path in made.episodes]
    assert len(episodes) == 1 + EPISODES
    assert {0, 1} <= {episode.steps for episode in episodes}
    assert len({len(episode.support_x) for episode in episodes}) > 2
    assert len({len(episode.query_x) for episode in episodes}) > 1
    assert len({episode.lr_scale for episode in episodes}) > 1
    ways = {episode.prediction.shape[1] for episode in episodes}
    assert (len(ways) > 1) == network.any_ways
