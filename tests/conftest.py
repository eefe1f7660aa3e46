"""Fixtures: few, each a real object over a simulated or a real cluster; nothing is patched.

Where the real control plane's programs are missing the tests on it are skipped with the reason; in
CI, where Go could have built them, that is a failure.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloudpilot.clusters import Cluster, ClusterSource
from cloudpilot.context import Actor, CallContext, Door
from cloudpilot.db.session import Database
from cloudpilot.kube.access import direct
from cloudpilot.runtime import Runtime
from cloudpilot.settings import ENVIRONMENT, Settings, load_settings
from simulator import SimulatedCluster
from tests.controlplane.assets import AssetsMissing, find_assets, required_here
from tests.controlplane.cluster import ControlPlane
from tools import toolsets

NODES = 3


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests on the real control plane, run them last, and all by the same worker."""
    folder = Path(__file__).parent / "e2e"
    for item in items:
        if folder in item.path.parents:
            item.add_marker(pytest.mark.e2e)
        if item.get_closest_marker("e2e"):
            item.add_marker(pytest.mark.xdist_group("control plane"))
    items.sort(key=lambda item: item.get_closest_marker("e2e") is not None)


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the developer's own configuration."""
    for name in (*ENVIRONMENT, "DEBUG", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
async def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the newest schema, to copy: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("migrated") / "cloudpilot.db"
    async with Database.open(f"sqlite:///{path}"):
        pass
    return path


@pytest.fixture
def settings(tmp_path: Path, migrated: Path) -> Settings:
    """Defaults, with every file in the test's own folder."""
    shutil.copy(migrated, tmp_path / "cloudpilot.db")
    return load_settings(
        overrides={
            "database.url": f"sqlite:///{tmp_path}/cloudpilot.db",
            "database.key_file": str(tmp_path / "cloudpilot.key"),
            "kubernetes.poll_seconds": 0.2,
            # The budget has tests of its own; the others need not wait for it.
            "kubernetes.requests_per_second": 1000,
            "kubernetes.request_burst": 1000,
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


@pytest.fixture(scope="session")
async def control_plane() -> AsyncIterator[ControlPlane]:
    """One cluster with a few nodes for all tests; each works in a namespace of its own."""
    try:
        find_assets()
    except AssetsMissing as missing:
        if required_here():
            pytest.fail(str(missing))
        pytest.skip(str(missing))
    async with ControlPlane.running() as cluster:
        await cluster.add_nodes(NODES)
        yield cluster


async def connect(runtime: Runtime, simulated: SimulatedCluster) -> Cluster:
    """Connect a simulated cluster and wait until its mirror is in sync."""
    access = direct(simulated.url, simulated.token)
    found = runtime.clusters.attach("demo", access, ClusterSource.SIMULATED)
    assert await found.cache.wait_settled(10)
    return found
