"""A sample equals a recount of the cluster; what cannot be known is None and said."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.kube.metrics import node_usage, pod_usage
from cloudpilot.kube.pod_status import resources_of
from cloudpilot.usage.sample import Sample, Scope, take_sample
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually

NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def sample_of(cluster: Cluster) -> Sample:
    return await take_sample(cluster.cache, cluster.client, NOW)


async def test_every_scope_is_there_and_nothing_is_missing(shop_cluster: Cluster) -> None:
    sample = await sample_of(shop_cluster)
    assert sample.missing == ()
    assert set(sample.figures[Scope.NODE]) == {"control-1", "worker-1", "worker-2"}
    assert {"shop", "payments", "default"} <= set(sample.figures[Scope.NAMESPACE])
    assert "shop/Deployment/cart" in sample.figures[Scope.WORKLOAD]


@pytest.mark.parametrize("scope", Scope)
async def test_requests_pods_and_restarts_add_up_to_those_of_all_pods(
    shop_cluster: Cluster, scope: Scope
) -> None:
    sample = await sample_of(shop_cluster)
    expected: Counter[str] = Counter()
    for pod in shop_cluster.cache["Pod"].list():
        if scope is Scope.NODE and not pod.spec.node_name:
            continue
        amounts = resources_of(pod)
        expected["cpu_requests_millicores"] += amounts.cpu_requests
        expected["cpu_limits_millicores"] += amounts.cpu_limits
        expected["memory_requests_bytes"] += amounts.memory_requests
        expected["memory_limits_bytes"] += amounts.memory_limits
        expected["pods"] += pod.status.phase not in ("Succeeded", "Failed")
        statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
        expected["restarts"] += sum(status.restart_count for status in statuses)
    found = Counter[str]()
    for figures in sample.figures[scope].values():
        found.update({name: getattr(figures, name) for name in expected})
    assert found == expected
    assert found["restarts"]


async def test_usage_is_that_of_the_metrics_api(shop_cluster: Cluster) -> None:
    # The simulator's usage changes every 15 seconds: both may lie around such a moment.
    for _ in range(3):
        before = await node_usage(shop_cluster.client), await pod_usage(shop_cluster.client)
        sample = await sample_of(shop_cluster)
        after = await node_usage(shop_cluster.client), await pod_usage(shop_cluster.client)
        if before == after:
            break
    nodes, pods = before
    for name, usage in nodes.items():
        figures = sample.figures[Scope.NODE][name]
        assert figures.cpu_usage_millicores == usage.cpu_millicores
        assert figures.memory_usage_bytes == usage.memory_bytes
    of_shop = [usage for (namespace, _), usage in pods.items() if namespace == "shop"]
    shop = sample.figures[Scope.NAMESPACE]["shop"]
    assert shop.cpu_usage_millicores == sum(usage.cpu_millicores for usage in of_shop)
    assert shop.memory_usage_bytes == sum(usage.memory_bytes for usage in of_shop)
    assert shop.pods_measured == len(of_shop)


async def test_node_has_room_and_disk(shop_cluster: Cluster) -> None:
    node = (await sample_of(shop_cluster)).figures[Scope.NODE]["worker-1"]
    assert node.cpu_allocatable_millicores
    assert node.memory_allocatable_bytes
    assert node.pods_allocatable == 110
    assert node.ephemeral_storage_capacity_bytes
    assert node.ephemeral_storage_allocatable_bytes
    assert node.claims is None


async def test_workload_is_the_top_controller(
    cluster: Cluster, simulated: SimulatedCluster
) -> None:
    store = simulated.store
    reference = {"apiVersion": "batch/v1", "controller": True, "uid": "u"}
    owners = {
        "by-job": {**reference, "kind": "Job", "name": "report-1"},
        "by-set": {**reference, "kind": "StatefulSet", "name": "db"},
        "by-node": {**reference, "kind": "Node", "name": "node-1"},
        "by-lost": {**reference, "kind": "ReplicaSet", "name": "lost-1"},
        "bare": None,
    }
    for name, owner in owners.items():
        store.create(pod(name, owner))
    cron = {**reference, "kind": "CronJob", "name": "report"}
    job = {"metadata": {"name": "report-1", "namespace": "default", "ownerReferences": [cron]}}
    store.create({"apiVersion": "batch/v1", "kind": "Job", **job})
    await eventually(lambda: len(cluster.cache["Pod"].list("default")) == len(owners))
    await eventually(lambda: cluster.cache["Job"].get("default", "report-1"))
    sample = await sample_of(cluster)
    assert set(sample.figures[Scope.WORKLOAD]) == {
        "default/CronJob/report",
        "default/StatefulSet/db",
        "default/Pod/by-node",
        "default/ReplicaSet/lost-1",
        "default/Pod/bare",
    }


async def test_claims_are_counted_by_namespace(
    cluster: Cluster, simulated: SimulatedCluster
) -> None:
    for name, phase, capacity in (("a", "Bound", {"storage": "2Gi"}), ("b", "Pending", None)):
        claim = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": phase, **({"capacity": capacity} if capacity else {})},
        }
        simulated.store.create(claim)
    await eventually(lambda: len(cluster.cache["PersistentVolumeClaim"]) == 2)
    figures = (await sample_of(cluster)).figures[Scope.NAMESPACE]["default"]
    assert (figures.claims, figures.claims_pending) == (2, 1)
    assert (figures.storage_requests_bytes, figures.storage_capacity_bytes) == (2**31, 2**31)


async def test_without_metrics_api_usage_is_unknown_and_the_rest_is_there(
    shop_cluster: Cluster, shop: SimulatedCluster
) -> None:
    shop.faults.fail(2, 404, path="metrics.k8s.io")
    sample = await sample_of(shop_cluster)
    assert [(m.kind, m.status) for m in sample.missing] == [
        ("NodeMetrics", "not installed"),
        ("PodMetrics", "not installed"),
    ]
    every = [figures for known in sample.figures.values() for figures in known.values()]
    assert {figures.cpu_usage_millicores for figures in every} == {None}
    assert {figures.pods_measured for figures in every} == {None}
    assert sum(figures.pods or 0 for figures in sample.figures[Scope.NAMESPACE].values())


async def test_forbidden_pods_leave_the_nodes(
    shop_cluster: Cluster, shop: SimulatedCluster
) -> None:
    shop.faults.deny("pods")
    shop.faults.deny("pods.metrics.k8s.io")
    shop.faults.close_watches()
    await eventually(lambda: not shop_cluster.monitor.known("Pod"))
    sample = await sample_of(shop_cluster)
    assert {(m.kind, m.status) for m in sample.missing} == {
        ("Pod", "forbidden"),
        ("PodMetrics", "forbidden"),
    }
    node = sample.figures[Scope.NODE]["worker-1"]
    assert node.cpu_usage_millicores
    assert node.pods is None
    assert node.cpu_requests_millicores is None
    assert sample.figures[Scope.WORKLOAD] == {}


async def test_pods_that_were_not_measured_yet_make_usage_unknown(
    cluster: Cluster, simulated: SimulatedCluster
) -> None:
    simulated.store.create(pod("new", None))
    await eventually(lambda: cluster.cache["Pod"].get("default", "new"))
    sample = await sample_of(cluster)
    new = sample.figures[Scope.WORKLOAD]["default/Pod/new"]
    assert (new.pods, new.pods_measured, new.cpu_usage_millicores) == (1, 0, None)
    # Where there are no pods at all nothing is used: that is known.
    empty = sample.figures[Scope.NAMESPACE]["kube-node-lease"]
    assert (empty.pods, empty.cpu_usage_millicores) == (0, 0)


async def test_cluster_that_went_away_is_not_sampled(
    shop_cluster: Cluster, shop: SimulatedCluster
) -> None:
    shop.faults.fail(10_000, 503)
    shop.faults.close_watches()
    states = shop_cluster.cache.states()
    await eventually(lambda: states["Pod"].status.value == "unreachable", 40)
    await eventually(lambda: states["Node"].status.value == "unreachable", 40)
    await eventually(lambda: states["Namespace"].status.value == "unreachable", 40)
    sample = await sample_of(shop_cluster)
    assert not any(sample.figures.values())
    assert {"Pod", "Node", "NodeMetrics", "PodMetrics"} <= {m.kind for m in sample.missing}


def pod(name: str, owner: dict[str, Any] | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "default"}
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [{"name": "c", "image": "example.com/none"}]},
        "status": {"phase": "Pending"},
    }
