"""Several simulated clusters at once, each connected under its own name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from cloudpilot.cache.connection import ConnectionState
from cloudpilot.clusters import ClusterSource
from cloudpilot.kube.access import direct
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually

NAMES = ("east", "north", "west")
EMPTY = dict.fromkeys(NAMES, "empty")


@asynccontextmanager
async def connected(
    runtime: Runtime, scenes: Mapping[str, str] = EMPTY
) -> AsyncIterator[dict[str, SimulatedCluster]]:
    """Run and connect a cluster of each name and scene, and wait until all are in sync."""
    async with AsyncExitStack() as stack:
        fleet = {}
        for name, scene in scenes.items():
            simulated = await stack.enter_async_context(SimulatedCluster(scene))
            access = direct(simulated.url, simulated.token)
            runtime.clusters.attach(name, access, ClusterSource.SIMULATED)
            fleet[name] = simulated
        for name in scenes:
            assert await runtime.clusters.get(name).cache.wait_settled(10)
        yield fleet


def attach_dead(runtime: Runtime, name: str) -> None:
    """Connect a cluster at an address where nobody listens."""
    access = direct("http://127.0.0.1:9", "no-token-is-needed")
    runtime.clusters.attach(name, access, ClusterSource.SIMULATED)


async def lost(runtime: Runtime, name: str) -> None:
    """Wait until a cluster is known to be unreachable."""
    cluster = runtime.clusters.get(name)
    await eventually(lambda: cluster.connection.state is ConnectionState.UNREACHABLE, 30)


async def add_pods(runtime: Runtime, name: str, simulated: SimulatedCluster, count: int) -> None:
    """Create pods `app-0`, `app-1`, ... in a cluster and wait until its mirror has them."""
    for number in range(count):
        simulated.store.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"app-{number}", "namespace": "default"},
                "spec": {"containers": [{"name": "app", "image": f"{name}.example.com/app:1"}]},
            }
        )
    cache = runtime.clusters.get(name).cache
    await eventually(lambda: len(cache["Pod"].list("default")) == count)
