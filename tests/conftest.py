"""Fixtures: few, each a real object over the simulated cluster; nothing of ours is patched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloudpilot.clusters import Cluster, ClusterSource
from cloudpilot.context import Actor, CallContext, Door
from cloudpilot.kube.access import direct
from cloudpilot.runtime import Runtime
from cloudpilot.settings import ENVIRONMENT, Settings, load_settings
from simulator import SimulatedCluster
from tools import toolsets


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's own configuration."""
    for name in (*ENVIRONMENT, "DEBUG", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Defaults, with every file in the test's own folder."""
    return load_settings(
        overrides={
            "database.url": f"sqlite:///{tmp_path}/cloudpilot.db",
            "database.key_file": str(tmp_path / "cloudpilot.key"),
            "kubernetes.poll_seconds": 0.2,
        },
        environ={},
    )


@pytest.fixture
async def simulated() -> AsyncIterator[SimulatedCluster]:
    """An empty simulated cluster: one node, the default namespaces."""
    async with SimulatedCluster("empty") as cluster:
        yield cluster


@pytest.fixture
async def shop() -> AsyncIterator[SimulatedCluster]:
    """The simulated cluster of the demo, with its faults."""
    async with SimulatedCluster("shop") as cluster:
        yield cluster


@pytest.fixture
async def runtime(settings: Settings) -> AsyncIterator[Runtime]:
    """Everything opened, no cluster connected."""
    async with Runtime.open(settings, toolsets()) as opened:
        yield opened


@pytest.fixture
async def cluster(runtime: Runtime, simulated: SimulatedCluster) -> Cluster:
    """The empty simulated cluster, connected as `demo` and in sync."""
    return await connect(runtime, simulated)


@pytest.fixture
async def shop_cluster(runtime: Runtime, shop: SimulatedCluster) -> Cluster:
    """The demo's simulated cluster, connected as `demo` and in sync."""
    return await connect(runtime, shop)


@pytest.fixture
def context(runtime: Runtime) -> CallContext:
    """A call of the local human over REST, about the only cluster."""
    return runtime.context(Actor("local"), Door.REST)


async def connect(runtime: Runtime, simulated: SimulatedCluster) -> Cluster:
    """Connect a simulated cluster and wait until its mirror is in sync."""
    access = direct(simulated.url, simulated.token)
    found = runtime.clusters.attach("demo", access, ClusterSource.SIMULATED)
    assert await found.cache.wait_settled(10)
    return found
