"""The overview of the demo's cluster."""

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tools.overview import get_overview


async def test_overview_counts_what_the_cluster_holds(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    overview = await get_overview(context)
    store = shop.store
    assert overview.cluster == "demo"
    assert overview.nodes is not None
    assert (overview.nodes.total, overview.nodes.ready) == (3, 3)
    assert overview.namespaces == len(store.list("namespaces"))
    assert overview.deployments == len(store.list("deployments.apps"))
    assert overview.services == len(store.list("services"))
    assert overview.config_maps == len(store.list("configmaps"))
    assert overview.secrets == len(store.list("secrets"))
    assert overview.gateways == len(store.list("gateways.networking.istio.io"))
    assert overview.pods is not None
    assert overview.pods.total == len(store.list("pods"))
    assert overview.pods.failing > 0
    assert overview.resources is not None
    assert overview.resources.cpu_requests_millicores > 0
    assert overview.resources.cpu_allocatable_millicores <= 10_000
    assert (overview.stale, overview.missing) == (False, [])


async def test_overview_is_the_same_through_the_catalog(
    runtime: Runtime, shop_cluster: Cluster, context: CallContext
) -> None:
    overview = await runtime.catalog.call("get_overview", context, {})
    assert overview.model_dump()["nodes"]["total"] == 3
