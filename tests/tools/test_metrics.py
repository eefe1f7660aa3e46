"""Usage now and before, on the demo's cluster."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, get_args

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext
from cloudpilot.errors import ClusterForbidden, InvalidArguments, NotFound
from cloudpilot.runtime import Runtime
from cloudpilot.usage.sample import FIELDS
from simulator import SimulatedCluster
from tests.cloudpilot.ticking import START, Clock
from tests.cloudpilot.waiting import eventually
from tools.metrics import FigureName, get_usage, get_usage_history

CART: dict[str, Any] = {"scope": "workload", "name": "cart", "namespace": "shop"}


@pytest.fixture
def clock(shop_cluster: Cluster) -> Clock:
    """The history's own clock, so that minutes pass at once."""
    moved = Clock()
    shop_cluster.sampler.history.clock = moved
    return moved


@pytest.fixture
def play(shop_cluster: Cluster, shop: SimulatedCluster, clock: Clock) -> Callable[[int], Any]:
    async def minutes(count: int) -> None:
        for _ in range(count):
            await shop_cluster.sampler.sample_once()
            clock.advance(minutes=1)

    return minutes


async def test_busiest_nodes_come_first(shop_cluster: Cluster, context: CallContext) -> None:
    answer = await get_usage(context)
    assert (answer.total, answer.shown, answer.usage_known) == (3, 3, True)
    used = [row.cpu_usage_millicores or 0 for row in answer.items]
    assert used == sorted(used, reverse=True)
    assert all(used)
    for row in answer.items:
        assert row.cpu_allocatable_millicores
        assert row.cpu_percent == round(
            100 * (row.cpu_usage_millicores or 0) / row.cpu_allocatable_millicores
        )
    assert answer.missing == []
    assert not answer.stale


@pytest.mark.parametrize(
    ("sort_by", "fields"),
    [
        ("cpu", ["cpu_usage_millicores", "cpu_requests_millicores"]),
        ("memory", ["memory_usage_bytes", "memory_requests_bytes"]),
        ("pods", ["pods"]),
        ("restarts", ["restarts"]),
    ],
)
async def test_workloads_are_sorted_and_cut(
    shop_cluster: Cluster, context: CallContext, sort_by: Any, fields: list[str]
) -> None:
    every = await get_usage(context, "workload", sort_by=sort_by, limit=500)
    known = [[getattr(row, field) for field in fields] for row in every.items]
    sizes = [next(value for value in values if value is not None) for values in known]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0]
    answer = await get_usage(context, "workload", sort_by=sort_by, limit=5)
    assert answer.items == every.items[:5]
    assert (answer.shown, answer.total) == (5, every.total)


@pytest.mark.parametrize("name", ["cart", "deployment/cart", "deploy/cart", "Deployment/cart"])
async def test_workload_is_found_as_kubectl_names_it(
    shop_cluster: Cluster, context: CallContext, name: str
) -> None:
    [row] = (await get_usage(context, "workload", "shop", name)).items
    assert (row.namespace, row.kind, row.name) == ("shop", "Deployment", "cart")
    assert row.memory_limits_bytes
    assert row.restarts


async def test_namespace_is_found_by_either_argument(
    shop_cluster: Cluster, context: CallContext
) -> None:
    [by_name] = (await get_usage(context, "namespace", name="shop")).items
    [by_namespace] = (await get_usage(context, "namespace", "shop")).items
    assert by_name == by_namespace
    assert by_name.name == "shop"
    assert (await get_usage(context, "namespace", "shop")).claims == []
    assert (await get_usage(context, "namespace")).claims is None


async def test_claims_of_one_namespace_are_shown(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    shop.store.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop"},
            "spec": {
                "storageClassName": "fast",
                "resources": {"requests": {"storage": "5Gi"}},
            },
            "status": {"phase": "Pending"},
        }
    )
    await eventually(lambda: len(shop_cluster.cache["PersistentVolumeClaim"]))
    answer = await get_usage(context, "namespace", "shop")
    assert answer.claims is not None
    [claim] = answer.claims
    assert (claim.name, claim.phase, claim.storage_class) == ("data", "Pending", "fast")
    assert (claim.requests_bytes, claim.capacity_bytes) == (5 * 2**30, None)
    [row] = answer.items
    assert (row.claims, row.claims_pending, row.storage_requests_bytes) == (1, 1, 5 * 2**30)


async def test_absent_subjects_name_the_nearest(
    shop_cluster: Cluster, context: CallContext
) -> None:
    with pytest.raises(NotFound) as missed:
        await get_usage(context, "node", name="worker-9")
    assert "worker-1" in missed.value.details["nearest"]
    with pytest.raises(NotFound) as missed:
        await get_usage(context, "workload", "shop", "carts")
    assert "cart" in missed.value.details["nearest"]
    with pytest.raises(NotFound, match="namespace 'shpo'"):
        await get_usage(context, "namespace", "shpo")
    with pytest.raises(InvalidArguments, match="namespace"):
        await get_usage(context, "node", "shop")


async def test_missing_metrics_api_is_said(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    shop.faults.fail(2, 404, path="metrics.k8s.io")
    answer = await get_usage(context, "workload", "shop")
    assert not answer.usage_known
    assert ("PodMetrics", "not installed") in [(m.kind, m.status) for m in answer.missing]
    assert {row.cpu_usage_millicores for row in answer.items} == {None}
    requests = [row.cpu_requests_millicores or 0 for row in answer.items]
    assert requests == sorted(requests, reverse=True)
    assert requests[0]


async def test_forbidden_pods_are_not_absent_workloads(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    shop.faults.deny("pods")
    shop.faults.close_watches()
    await eventually(lambda: not shop_cluster.monitor.known("Pod"))
    with pytest.raises(ClusterForbidden):
        await get_usage(context, "workload", "shop", "cart")


async def test_history_has_a_point_a_minute(
    context: CallContext, clock: Clock, play: Callable[[int], Any]
) -> None:
    await play(20)
    answer = await get_usage_history(context, **CART, since="20m")
    assert (answer.kind, answer.name, answer.step_seconds) == ("Deployment", "cart", 60)
    assert [point.samples for point in answer.points][-18:] == [1] * 18
    assert answer.samples_since == START.replace(second=0)
    assert answer.gaps == []
    assert answer.summary is not None
    assert answer.summary.samples == len(answer.points)
    assert answer.summary.max == max(point.max for point in answer.points)
    assert answer.summary.min == min(point.min or 0 for point in answer.points)


async def test_gap_is_named_and_not_filled(
    context: CallContext, clock: Clock, play: Callable[[int], Any]
) -> None:
    await play(10)
    clock.advance(minutes=30)
    await play(10)
    answer = await get_usage_history(context, "node", "worker-1", since="2h", step="1m")
    assert len(answer.points) == 20
    [gap] = answer.gaps
    assert gap.until - gap.since == timedelta(minutes=30)
    coarse = await get_usage_history(context, "node", "worker-1", since="2h", step="5m")
    assert sum(point.samples for point in coarse.points) == 20
    assert all(point.samples <= 5 for point in coarse.points)


async def test_answer_is_bounded_whatever_is_asked_for(
    context: CallContext, clock: Clock, play: Callable[[int], Any]
) -> None:
    await play(1)
    clock.advance(days=30)
    answer = await get_usage_history(context, "node", "worker-1", since="60d", step="1m")
    assert answer.step_seconds >= 30 * 86_400 / 500
    assert len(answer.points) <= 500
    assert len(answer.gaps) == 1


async def test_workload_that_is_gone_still_has_its_history(
    shop_cluster: Cluster,
    shop: SimulatedCluster,
    context: CallContext,
    clock: Clock,
    play: Callable[[int], Any],
) -> None:
    await play(3)
    shop.store.delete("deployments", "cart", "shop")
    await eventually(
        lambda: not any("cart-" in pod.name for pod in shop_cluster.cache["Pod"].list("shop"))
    )
    clock.advance(minutes=2)
    assert (await get_usage_history(context, **CART)).points
    with pytest.raises(NotFound):
        await get_usage_history(context, "workload", "cart")
    with pytest.raises(NotFound):
        await get_usage_history(context, "workload", "statefulset/cart", "shop")


async def test_history_without_usage_says_why(
    shop: SimulatedCluster, context: CallContext, clock: Clock, play: Callable[[int], Any]
) -> None:
    shop.faults.fail(10, 404, path="metrics.k8s.io")
    await play(3)
    answer = await get_usage_history(context, **CART, since="10m")
    assert answer.points == []
    assert answer.summary is None
    assert ("PodMetrics", "not installed") in [(m.kind, m.status) for m in answer.missing]
    pods = await get_usage_history(context, **CART, since="10m", field="pods")
    assert len(pods.points) == 3


def test_every_figure_can_be_asked_for() -> None:
    literal, _ = get_args(FigureName)
    assert get_args(literal) == FIELDS


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("get_usage", {"scope": "pod"}),
        ("get_usage", {"sort_by": "disk"}),
        ("get_usage", {"limit": 0}),
        ("get_usage", {"name": "a/b/c"}),
        ("get_usage", {"name": "../x"}),
        ("get_usage_history", {"scope": "node"}),
        ("get_usage_history", {"scope": "node", "name": "worker-1", "field": "disk"}),
        ("get_usage_history", {"scope": "node", "name": "worker-1", "since": "soon"}),
        ("get_usage_history", {"scope": "node", "name": "worker-1", "since": "x" * 41}),
        ("get_usage_history", {"scope": "node", "name": "worker-1", "step": "0m"}),
        ("get_usage_history", {"scope": "node", "name": "worker-1", "step": "5"}),
        ("get_usage_history", {"scope": "node", "name": "worker-1", "until": "2h"}),
    ],
)
async def test_wrong_arguments_are_refused(
    runtime: Runtime,
    shop_cluster: Cluster,
    context: CallContext,
    operation: str,
    arguments: dict[str, Any],
) -> None:
    with pytest.raises(InvalidArguments):
        await runtime.catalog.call(operation, context, arguments)
