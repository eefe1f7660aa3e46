"""The drift check: what the watch lost comes back, and what it still carries is no drift."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloudpilot.cache.informer import Informer
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import KINDS
from simulator import SimulatedCluster
from tests.cloudpilot.cache.script import Script, gone, live, names, pod, pods, reflected, streamed
from tests.cloudpilot.waiting import eventually
from tests.fakes.scripted_server import Reply


@asynccontextmanager
async def followed(cluster: SimulatedCluster, kind: str) -> AsyncIterator[Informer[Any]]:
    """An informer that is compared all the time."""
    client = KubeClient(
        direct(cluster.url, cluster.token),
        connect_seconds=2,
        read_seconds=5,
        requests_per_second=1000,
        request_burst=1000,
    )
    informer: Informer[Any] = Informer(client, KINDS[kind], poll_seconds=0.2, drift_seconds=0.05)
    task = asyncio.create_task(informer.run())
    try:
        await eventually(lambda: informer.state.status is SyncStatus.LIVE)
        yield informer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


@pytest.fixture
async def cluster() -> AsyncIterator[SimulatedCluster]:
    async with SimulatedCluster("empty", bookmark_seconds=0.1) as simulated:
        yield simulated


def config_map(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}


def label(obj: dict[str, Any]) -> None:
    obj["metadata"]["labels"] = {"changed": "yes"}


@pytest.mark.parametrize("lost", ["created", "changed", "deleted"])
async def test_lost_event_is_found_and_the_kind_listed_again(
    cluster: SimulatedCluster, lost: str
) -> None:
    cluster.store.create(config_map("old"))
    async with followed(cluster, "ConfigMap") as informer:
        assert informer.get("default", "old") is not None
        cluster.faults.lose_events("configmaps")
        if lost == "created":
            cluster.store.create(config_map("new"))
        elif lost == "changed":
            cluster.store.edit("configmaps", "old", "default", label)
        else:
            cluster.store.delete("configmaps", "old", "default")
        await eventually(lambda: informer.stats.drifts >= 1)
        await eventually(lambda: informer.stats.lists == 2)
        held = {obj.name: obj.metadata.resource_version for obj in informer.list()}
        there = cluster.store.list("configmaps")
        assert held == {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in there}
        await eventually(lambda: informer.state.status is SyncStatus.LIVE)


async def test_no_drift_while_more_than_a_hundred_objects_change_a_second(
    cluster: SimulatedCluster,
) -> None:
    for n in range(50):
        cluster.store.create(config_map(f"steady-{n}"))
    async with followed(cluster, "ConfigMap") as informer:

        async def churn() -> None:
            for n in itertools.count():
                cluster.store.create(config_map(f"new-{n}"))
                cluster.store.edit("configmaps", f"steady-{n % 50}", "default", label)
                cluster.store.edit("configmaps", f"new-{n}", "default", label)
                if n >= 20:
                    cluster.store.delete("configmaps", f"new-{n - 20}", "default")
                await asyncio.sleep(0.005)

        changes = asyncio.create_task(churn())
        await eventually(lambda: informer.stats.comparisons >= 10, 60)
        changes.cancel()
        assert informer.stats.events > 100
        assert (informer.stats.drifts, informer.stats.lists) == (0, 1)


async def test_object_that_cannot_be_read_is_listed_again_once_and_not_for_ever() -> None:
    unreadable = {"metadata": {"name": "poison", "resourceVersion": "3"}, "spec": 7}
    script = Script(streams=[streamed(pod("a"))], lists=[pods(pod("a"), unreadable)])
    async with reflected(script, drift_seconds=0.05) as informer:
        await eventually(lambda: informer.stats.comparisons >= 4)
        assert informer.stats.drifts == 1
        await live(informer)
        assert names(informer) == ["a"]


async def test_cluster_that_counts_from_the_past_is_listed_again() -> None:
    too_new = {"kind": "Status", "code": 504, "message": "Too large resource version: 900"}
    script = Script(
        streams=[streamed(pod("a"), version=900), streamed(pod("b"), version=20)],
        lists=[Reply(too_new, 504), pods(pod("b"), version="20")],
    )
    async with reflected(script, drift_seconds=0.05) as informer:
        await eventually(lambda: names(informer) == ["b"])
    assert "resourceVersion" not in script.streamed[1].query


async def test_list_that_fails_says_nothing_about_drift() -> None:
    script = Script(streams=[streamed(pod("a"))], lists=[Reply(gone(), 410)])
    async with reflected(script, drift_seconds=0.05) as informer:
        await eventually(lambda: len(script.listed) >= 3)
        assert (informer.stats.drifts, informer.stats.comparisons) == (0, 0)
        assert informer.state.status is SyncStatus.LIVE
    assert all("PartialObjectMetadataList" in asked.headers["accept"] for asked in script.listed)
