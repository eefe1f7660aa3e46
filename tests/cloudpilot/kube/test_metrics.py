"""The metrics API: decoded lean, exact where it matters, and honest about what it is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.errors import ClusterForbidden, ClusterUnavailable, NotFound
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.metrics import Usage, node_usage, pod_usage
from simulator import SimulatedCluster
from tests.cloudpilot.kube.asking import always, client_of
from tests.fakes.scripted_server import ScriptedServer


async def test_nodes_and_pods_of_a_cluster_are_measured(
    shop_cluster: Cluster, shop: SimulatedCluster
) -> None:
    nodes = await node_usage(shop_cluster.client)
    pods = await pod_usage(shop_cluster.client)
    assert set(nodes) == {"control-1", "worker-1", "worker-2"}
    running = {
        (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for pod in shop.store.list("pods")
        if pod["status"]["phase"] == "Running"
    }
    assert set(pods) == running
    assert all(usage.cpu_millicores > 0 for usage in nodes.values())
    # Cores: the three nodes of the scene have a few, and none uses more than it has.
    assert all(usage.cpu_millicores < 4000 for usage in nodes.values())
    assert all(2**20 < usage.memory_bytes < 2**35 for usage in nodes.values())


async def test_absent_metrics_api_is_not_found(
    shop_cluster: Cluster, shop: SimulatedCluster
) -> None:
    shop.faults.fail(2, 404, path="metrics.k8s.io")
    with pytest.raises(NotFound):
        await node_usage(shop_cluster.client)
    with pytest.raises(NotFound):
        await pod_usage(shop_cluster.client)


async def test_forbidden_metrics_are_forbidden(
    shop_cluster: Cluster, shop: SimulatedCluster
) -> None:
    shop.faults.deny("pods.metrics.k8s.io")
    with pytest.raises(ClusterForbidden):
        await pod_usage(shop_cluster.client)
    assert await node_usage(shop_cluster.client)


@asynccontextmanager
async def answering(body: Any) -> AsyncIterator[KubeClient]:
    async with ScriptedServer(always(body)) as server:
        client = client_of(server.url)
        yield client
        await client.close()


def container(cpu: object, memory: object) -> dict[str, object]:
    return {"name": "c", "usage": {"cpu": cpu, "memory": memory}}


async def measured(*containers: dict[str, object]) -> Usage:
    item = {"metadata": {"namespace": "shop", "name": "cart"}, "containers": list(containers)}
    async with answering({"items": [item]}) as client:
        return (await pod_usage(client))["shop", "cart"]


@pytest.mark.parametrize(
    ("cpu", "memory", "usage"),
    [
        ("156340411n", "12312Ki", Usage(157, 12312 * 1024)),
        ("0", "0", Usage(0, 0)),
        ("1", "64Mi", Usage(1000, 64 * 2**20)),
        ("250m", "1G", Usage(250, 10**9)),
        ("1500u", "1", Usage(2, 1)),
        ("nonsense", "Ki", Usage(0, 0)),
        ("9" * 5000 + "n", "9" * 5000 + "Ki", Usage(0, 0)),
        ("\u0663n", "\u0663Ki", Usage(0, 0)),
    ],
)
async def test_quantities_are_read_in_every_form(cpu: str, memory: str, usage: Usage) -> None:
    assert await measured(container(cpu, memory)) == usage


async def test_containers_add_up_before_they_are_rounded() -> None:
    tiny = container("400000n", "1Ki")
    assert await measured(tiny, tiny, tiny) == Usage(2, 3 * 1024)


async def test_pod_without_containers_uses_nothing() -> None:
    assert await measured() == Usage(0, 0)


async def test_unreadable_item_does_not_hide_the_others() -> None:
    good = {"metadata": {"name": "b"}, "usage": {"cpu": "1", "memory": "1Ki"}}
    bad = [{"metadata": None}, {"metadata": {"name": "a"}, "usage": {"cpu": 1}}, 7, {}]
    async with answering({"items": [*bad, good]}) as client:
        assert await node_usage(client) == {"b": Usage(1000, 1024)}


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"items": 7}', b"\xff", b"[" * 100_000])
async def test_answer_that_is_no_list_is_unavailable(body: bytes) -> None:
    async with answering(body) as client:
        with pytest.raises(ClusterUnavailable):
            await node_usage(client)


async def test_list_without_items_is_empty() -> None:
    async with answering({"items": None}) as client:
        assert await node_usage(client) == {}
        assert await pod_usage(client) == {}
