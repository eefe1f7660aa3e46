"""What hangs together on the demo's cluster, and what is said where nothing does."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext
from cloudpilot.errors import InvalidArguments, NotFound
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tools.related import RelatedAnswer, get_related


def config_map_user(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"user-{number:03}", "namespace": "default"},
        "spec": {
            "containers": [{"name": "a", "image": "registry.example.com/a:1"}],
            "volumes": [{"name": "v", "configMap": {"name": "shared", "optional": True}}],
        },
    }


async def test_a_deployment_tells_state_children_and_service(
    shop_cluster: Cluster, context: CallContext
) -> None:
    answer = await get_related(context, "deploy", "storefront", "shop")
    assert (answer.kind, answer.exists, answer.broken) == ("Deployment", True, 0)
    assert answer.state == "3/3 ready"
    assert answer.total == len(answer.relations)
    service = next(row for row in answer.relations if row.kind == "Service")
    assert (service.relation, service.name) == ("selected by", "storefront")
    assert "3 of 4 pods ready" in (service.note or "")
    assert any("ImagePullBackOff" in (row.note or "") for row in answer.relations)


async def test_a_service_that_selects_nothing_says_so_first(
    shop_cluster: Cluster, context: CallContext
) -> None:
    answer = await get_related(context, "SERVICES", "search", "shop")
    first = answer.relations[0]
    assert (first.relation, first.kind, first.exists) == ("selects", "Pod", False)
    assert first.note == "no pod has app=search-api"
    assert answer.broken == 1


async def test_a_cluster_scoped_object_needs_no_namespace(
    shop_cluster: Cluster, context: CallContext
) -> None:
    answer = await get_related(context, "node", "worker-2")
    assert (answer.namespace, answer.state) == (None, "Ready")
    assert {row.relation for row in answer.relations} == {"runs"}


async def test_an_object_that_only_others_name_is_told_as_missing(
    shop: SimulatedCluster, shop_cluster: Cluster, context: CallContext
) -> None:
    shop.store.create(config_map_user(1))
    cache = shop_cluster.cache
    await eventually(lambda: cache["Pod"].get("default", "user-001") is not None)
    answer = await get_related(context, "cm", "shared", "default")
    assert (answer.exists, answer.state) == (False, None)
    assert [(row.relation, row.name) for row in answer.relations] == [("used by", "user-001")]
    pod = await get_related(context, "pod", "user-001", "default")
    [missing] = [row for row in pod.relations if row.exists is False]
    assert (missing.name, pod.broken) == ("shared", 0)
    assert "optional" in (missing.note or "")


async def test_a_long_answer_is_cut_and_counts_what_it_left_out(
    shop: SimulatedCluster, shop_cluster: Cluster, context: CallContext
) -> None:
    for number in range(230):
        shop.store.create(config_map_user(number))
    await eventually(lambda: shop_cluster.cache["Pod"].get("default", "user-229") is not None)
    answer = await get_related(context, "configmap", "shared", "default")
    assert (answer.total, len(answer.relations)) == (230, 200)
    [cut] = answer.cut
    assert (cut.relation, cut.kind, cut.left_out) == ("used by", "Pod", 30)


async def test_an_unknown_object_names_the_nearest(
    shop_cluster: Cluster, context: CallContext
) -> None:
    with pytest.raises(NotFound, match="there is no Service 'shop/storefrnt'") as raised:
        await get_related(context, "svc", "storefrnt", "shop")
    assert "shop/storefront" in raised.value.hint


async def test_an_unknown_kind_names_the_nearest(
    shop_cluster: Cluster, context: CallContext
) -> None:
    with pytest.raises(NotFound, match="there is no kind 'deployent'") as raised:
        await get_related(context, "Deployent", "storefront", "shop")
    assert "deployment" in raised.value.hint


async def test_a_namespaced_kind_needs_its_namespace(
    shop_cluster: Cluster, context: CallContext
) -> None:
    with pytest.raises(InvalidArguments, match="name it"):
        await get_related(context, "deployment", "storefront")


async def test_kinds_that_nobody_read_before_are_started_and_waited_for(
    shop_cluster: Cluster, context: CallContext
) -> None:
    assert not shop_cluster.cache.started("NetworkPolicy")
    answer = await get_related(context, "deployment", "storefront", "shop")
    assert shop_cluster.cache["NetworkPolicy"].state.known
    assert answer.missing == []


@pytest.mark.parametrize("name", ["a/b", "a b", "", "%2e"])
async def test_a_name_that_is_no_part_of_a_path_is_refused(
    runtime: Runtime, shop_cluster: Cluster, context: CallContext, name: str
) -> None:
    with pytest.raises(InvalidArguments):
        await runtime.catalog.call("get_related", context, {"kind": "node", "name": name})


async def test_the_catalog_serves_it(
    runtime: Runtime, shop_cluster: Cluster, context: CallContext
) -> None:
    arguments = {"kind": "gw", "name": "public-gateway", "namespace": "istio-system"}
    answer = await runtime.catalog.call("get_related", context, arguments)
    assert isinstance(answer, RelatedAnswer)
    assert {"serves", "selects", "uses"} <= {row.relation for row in answer.relations}
