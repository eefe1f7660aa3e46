"""Nodes of the demo's cluster."""

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext
from cloudpilot.errors import ClusterForbidden, NotFound
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tools.nodes import get_node, list_nodes


async def test_all_nodes_are_listed(shop_cluster: Cluster, context: CallContext) -> None:
    nodes = await list_nodes(context)
    assert [node.name for node in nodes.items] == ["control-1", "worker-1", "worker-2"]
    assert (nodes.total, nodes.ready) == (3, 3)
    control, worker, _ = nodes.items
    assert control.roles == ["control-plane"]
    assert control.taints == ["node-role.kubernetes.io/control-plane:NoSchedule"]
    assert (worker.cpu_capacity_millicores, worker.memory_capacity_bytes) == (4000, 16384 * 2**20)
    assert worker.kubelet_version.startswith("v1.")
    assert worker.pods


async def test_nodes_come_in_pages(shop_cluster: Cluster, context: CallContext) -> None:
    first = await list_nodes(context, limit=2)
    assert ([node.name for node in first.items], first.total) == (["control-1", "worker-1"], 3)
    rest = await list_nodes(context, after=first.next)
    assert ([node.name for node in rest.items], rest.next) == (["worker-2"], None)
    assert rest.ready == 3


async def test_one_node_is_shown(shop_cluster: Cluster, context: CallContext) -> None:
    answer = await get_node(context, "worker-2")
    assert (answer.node.name, answer.node.status) == ("worker-2", "Ready")
    assert answer.cluster == "demo"


async def test_cordoned_node_is_still_ready(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    shop.store.edit("nodes", "worker-1", "", lambda node: node["spec"].update(unschedulable=True))
    await eventually(lambda: "Disabled" in shop_cluster.monitor.nodes()[1].status)
    nodes = await list_nodes(context)
    assert nodes.ready == 3
    assert nodes.items[1].status == "Ready,SchedulingDisabled"


async def test_absent_node_names_the_nearest(shop_cluster: Cluster, context: CallContext) -> None:
    with pytest.raises(NotFound) as missed:
        await get_node(context, "worker-3")
    assert set(missed.value.details["nearest"]) >= {"worker-1", "worker-2"}


async def test_forbidden_nodes_are_not_absent_ones(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    shop.faults.deny("nodes")
    shop.faults.close_watches()
    await eventually(lambda: not shop_cluster.monitor.known("Node"))
    with pytest.raises(ClusterForbidden):
        await get_node(context, "worker-1")
    with pytest.raises(ClusterForbidden):
        await list_nodes(context)
