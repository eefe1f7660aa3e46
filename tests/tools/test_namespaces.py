"""Namespaces of the demo's cluster."""

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext
from cloudpilot.errors import ClusterForbidden, NotFound
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tools.namespaces import get_namespace, list_namespaces


async def test_all_namespaces_are_listed_with_what_they_hold(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    answer = await list_namespaces(context)
    names = [item.name for item in answer.items]
    assert names == sorted(names)
    assert {"shop", "payments", "observability", "istio-system", "kube-system"} <= set(names)
    assert answer.total == len(names)
    for item in answer.items:
        assert item.pods == len(shop.store.list("pods", item.name))
        assert item.deployments == len(shop.store.list("deployments.apps", item.name))
        assert item.services == len(shop.store.list("services", item.name))
        assert item.status == "Active"
        assert item.created is not None


async def test_namespaces_come_in_pages(shop_cluster: Cluster, context: CallContext) -> None:
    whole = await list_namespaces(context)
    first = await list_namespaces(context, limit=3)
    rest = await list_namespaces(context, after=first.next)
    assert first.shown == 3
    assert [*first.items, *rest.items] == whole.items
    assert rest.next is None


async def test_failing_pods_are_counted_where_they_fail(
    shop_cluster: Cluster, context: CallContext
) -> None:
    assert (await get_namespace(context, "shop")).namespace.failing_pods
    assert (await get_namespace(context, "istio-system")).namespace.failing_pods == 0


async def test_absent_namespace_names_the_nearest(
    shop_cluster: Cluster, context: CallContext
) -> None:
    with pytest.raises(NotFound) as missed:
        await get_namespace(context, "shopp")
    assert missed.value.hint == "did you mean shop?"


async def test_forbidden_namespaces_are_not_absent_ones(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    shop.faults.deny("namespaces")
    shop.faults.close_watches()
    await eventually(lambda: not shop_cluster.monitor.known("Namespace"))
    with pytest.raises(ClusterForbidden):
        await get_namespace(context, "shop")
    with pytest.raises(ClusterForbidden):
        await list_namespaces(context)
