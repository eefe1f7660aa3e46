"""What the cluster operations ask for; tests/cloudpilot/test_clusters.py registers for real."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext, Door
from cloudpilot.errors import InvalidArguments, NotFound
from cloudpilot.operation import Effect
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tests.fakes.tls_proxy import TLSProxy
from tools.clusters import get_cluster, list_clusters, toolset


async def test_connected_cluster_is_listed_and_shown(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    listed = await list_clusters(context)
    assert [item.name for item in listed.items] == ["demo"]
    detail = await get_cluster(context, "demo")
    assert (detail.source, detail.server) == ("simulated", shop.url)
    assert (detail.state, detail.reason, detail.missing) == ("synced", "", [])
    assert set(detail.kinds) == {"live"}
    assert detail.as_of is not None
    assert detail.since <= detail.as_of


async def test_what_cannot_be_read_is_named(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    shop.faults.deny("secrets")
    shop.faults.close_watches()
    await eventually(lambda: shop_cluster.monitor.overview().secrets is None)
    detail = await get_cluster(context, "demo")
    assert detail.state == "synced"
    assert detail.kinds["forbidden"] == 1
    assert [m.kind for m in detail.missing] == ["Secret"]


async def test_a_stopped_cluster_is_unreachable_since_then_and_says_why(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    before = (await get_cluster(context, "demo")).since
    await shop.stop()
    await eventually(lambda: shop_cluster.connection.state == "unreachable", 30)
    detail = await get_cluster(context, "demo")
    assert detail.state == "unreachable"
    assert detail.since > before
    assert detail.reason
    assert detail.kinds["unreachable"] > 1
    assert detail.as_of is not None


async def test_absent_cluster_names_the_nearest(
    shop_cluster: Cluster, context: CallContext
) -> None:
    with pytest.raises(NotFound) as missed:
        await get_cluster(context, "demos")
    assert missed.value.hint == "did you mean demo?"


def test_credentials_are_for_humans_only() -> None:
    managing = [op for op in toolset.operations if op.effect is Effect.MANAGE]
    assert {op.name for op in managing} == {"add_cluster", "update_cluster", "remove_cluster"}
    assert all(Door.CHAT not in op.doors for op in managing)


def test_no_answer_has_a_place_for_a_credential() -> None:
    secret = {"token", "kubeconfig", "ca_data", "client_key", "client_cert"}
    for operation in toolset.operations:
        schema = str(operation.result.model_json_schema())
        assert not [name for name in secret if f"'{name}'" in schema]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "server"),
        ({"server": "https://example.com"}, "token"),
        ({"server": "http://example.com", "token": "x"}, "server"),
        ({"server": "https://169.254.169.254", "token": "x"}, "server"),
        ({"server": "https://example.com", "token": "a\nb"}, "token"),
        ({"server": "https://example.com", "token": "x", "ca_data": "nonsense!"}, "ca_data"),
        ({"server": "https://example.com", "token": "x", "verify_ssl": False}, "verify_ssl"),
        ({"kubeconfig": "x", "token": "x"}, "token"),
        ({"kubeconfig": "[]"}, "kubeconfig"),
        ({"kubeconfig": "x" * 262145}, "kubeconfig"),
        ({"server": "https://example.com", "token": "x" * 16385}, "token"),
        ({"server": "https://example.com", "token": "x", "description": "d" * 201}, "description"),
    ],
)
async def test_wrong_input_is_refused_with_the_field_named(
    runtime: Runtime, context: CallContext, given: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArguments) as refused:
        await runtime.catalog.call("add_cluster", context, {"name": "prod"} | given)
    assert refused.value.details["fields"][0]["field"] == field


async def test_authority_may_be_base64(
    runtime: Runtime, context: CallContext, simulated: SimulatedCluster
) -> None:
    async with TLSProxy(simulated.url) as front:
        encoded = base64.b64encode(front.authority.pem.encode()).decode()
        given = {"name": "prod", "server": front.url, "token": simulated.token, "ca_data": encoded}
        await runtime.catalog.call("add_cluster", context, given)
        assert await runtime.clusters.get("prod").cache.wait_settled(10)
        await runtime.catalog.call("remove_cluster", context, {"name": "prod"})
