from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudpilot.cache.delta import Delta
from cloudpilot.clusters import Cluster
from cloudpilot.errors import ClusterRejected, InvalidArguments, NotFound
from cloudpilot.kube.kinds import KINDS
from cloudpilot.plans.plan import Plan, Risk
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.plans.steps import (
    DELETE,
    HTTP,
    HTTPS,
    NEW,
    SELECTOR,
    approve,
    existing,
    live,
    propose,
)
from tools.istio_gateways import GatewayAnswer, GatewayList

pytestmark = pytest.mark.usefixtures("cluster")

HERE: dict[str, Any] = {"namespace": "default", "name": "web"}


async def seen(cluster: Cluster, name: str = "web") -> None:
    """Wait until the mirror has a Gateway."""
    await mirrored(cluster, "Gateway", name)


async def mirrored(cluster: Cluster, kind: str, name: str) -> None:
    found = asyncio.Event()

    def handler(delta: Delta) -> None:
        if delta.new is not None and delta.new.name == name:
            found.set()

    cluster.cache[kind].add_handler(handler)
    if cluster.cache[kind].get("default", name) is None:
        await asyncio.wait_for(found.wait(), 10)


async def other_gateway(cluster: Cluster, *servers: dict[str, Any]) -> None:
    """Have a Gateway `default/old` in the cluster and in the mirror."""
    body = {"metadata": {"name": "old"}, "spec": {"selector": SELECTOR, "servers": list(servers)}}
    await cluster.client.create(KINDS["Gateway"], body, "default")
    await seen(cluster, "old")


async def get(runtime: Runtime, context: Any, **arguments: Any) -> GatewayAnswer:
    answer = await runtime.catalog.call("get_gateway", context, arguments)
    assert isinstance(answer, GatewayAnswer)
    return answer


async def listed(runtime: Runtime, context: Any, **arguments: Any) -> GatewayList:
    answer = await runtime.catalog.call("list_gateways", context, arguments)
    assert isinstance(answer, GatewayList)
    return answer


def problem_fields(error: InvalidArguments) -> list[str]:
    return [item["field"] for item in error.details["fields"]]


async def test_gateways_are_listed_with_ports_and_hosts(
    runtime: Runtime, cluster: Cluster, context: Any
) -> None:
    await existing(runtime)
    await seen(cluster)
    answer = await listed(runtime, context)
    [row] = answer.items
    assert (row.namespace, row.name, row.selector) == ("default", "web", SELECTOR)
    assert row.servers == ["http HTTP 80: shop.example.com", "https HTTPS 443: shop.example.com"]
    assert (answer.namespace, answer.total, answer.missing) == ("*", 1, [])
    assert (await listed(runtime, context, namespace="kube-system")).items == []
    assert (await listed(runtime, context, namespace="default")).total == 1


async def test_a_gateway_is_shown_as_it_is_now_with_its_problems(
    runtime: Runtime, cluster: Cluster, context: Any
) -> None:
    await other_gateway(cluster, HTTPS)
    await existing(runtime, servers=[HTTPS | {"tls": {"credentialName": "shop-cert"}}])
    answer = await get(runtime, context, **HERE)
    assert answer.servers[0]["tls"] == {"credentialName": "shop-cert"}
    assert any("set SIMPLE" in text for text in answer.problems)
    assert any("default/old" in text for text in answer.problems)


async def test_a_gateway_in_another_namespace_is_suggested(
    runtime: Runtime, cluster: Cluster, context: Any
) -> None:
    await existing(runtime)
    await seen(cluster)
    for operation in ("get_gateway", "delete_gateway"):
        with pytest.raises(NotFound) as missing:
            await runtime.catalog.call(
                operation, context, {"namespace": "kube-system", "name": "web"}
            )
        assert missing.value.hint == "did you mean default/web?"
    with pytest.raises(NotFound) as misspelt:
        await get(runtime, context, namespace="default", name="wbe")
    assert "default/web" in misspelt.value.hint


async def test_a_gateway_that_meets_no_other_is_reversible(
    runtime: Runtime, cluster: Cluster
) -> None:
    await other_gateway(cluster, HTTP | {"hosts": ["other.example.com"]})
    plan = await propose(runtime, "create_gateway", **NEW)
    assert plan.risk is Risk.REVERSIBLE
    assert not any("default/old" in text for text in plan.warnings)


@pytest.mark.parametrize(
    ("old", "new", "risk"),
    [
        (HTTP, HTTP, Risk.DESTRUCTIVE),
        (HTTPS, HTTPS, Risk.DESTRUCTIVE),
        (HTTP | {"port": HTTP["port"] | {"protocol": "TCP"}}, HTTP, Risk.DESTRUCTIVE),
        (HTTP | {"hosts": ["*"]}, HTTP, Risk.IMPACTING),
    ],
)
async def test_a_gateway_that_meets_another_names_it_and_is_more_of_a_risk(
    runtime: Runtime, cluster: Cluster, old: dict[str, Any], new: dict[str, Any], risk: Risk
) -> None:
    await other_gateway(cluster, old)
    plan = await propose(runtime, "create_gateway", **(NEW | {"servers": [new]}))
    assert plan.risk is risk
    assert "default/old" in plan.warnings[0]
    assert plan.confirmation == ("web" if risk is Risk.DESTRUCTIVE else None)


async def test_an_update_that_takes_the_host_of_another_is_destructive(
    runtime: Runtime, cluster: Cluster
) -> None:
    await other_gateway(cluster, HTTP | {"hosts": ["other.example.com"]})
    await existing(runtime)
    servers = [HTTP | {"hosts": ["shop.example.com", "other.example.com"]}]
    plan = await propose(runtime, "update_gateway", **HERE, set_servers=servers)
    assert plan.risk is Risk.DESTRUCTIVE
    assert "default/old" in plan.warnings[0]


async def test_a_conflict_that_was_there_before_is_not_held_against_the_update(
    runtime: Runtime, cluster: Cluster
) -> None:
    await other_gateway(cluster, HTTP)
    await existing(runtime)
    tls = HTTPS | {"hosts": ["shop.example.com", "www.example.com"]}
    plan = await propose(runtime, "update_gateway", **HERE, set_servers=[tls])
    assert plan.risk is Risk.IMPACTING
    assert not any("default/old" in text for text in plan.warnings)


async def test_servers_are_set_added_and_removed_by_port_name(runtime: Runtime) -> None:
    await existing(runtime)
    wanted = HTTP | {"hosts": ["new.example.com"]}
    tcp = {
        "port": {"number": 3306, "name": "db", "protocol": "TCP"},
        "hosts": ["*"],
    }
    plan = await propose(
        runtime, "update_gateway", **HERE, set_servers=[wanted, tcp], remove_servers=["https"]
    )
    assert plan.summary == "change Gateway default/web: set http, db, remove https"
    await approve(runtime, plan)
    now = await live(runtime)
    assert now is not None
    assert now["spec"] == {"selector": SELECTOR, "servers": [wanted, tcp]}


async def test_a_selector_is_replaced_whole(runtime: Runtime) -> None:
    await existing(runtime, selector={"istio": "ingressgateway", "old": "yes"})
    plan = await propose(runtime, "update_gateway", **HERE, selector={"app": "gw"})
    assert {(item.path, item.after) for item in plan.diff} == {
        ("spec.selector.app", "gw"),
        ("spec.selector.istio", None),
        ("spec.selector.old", None),
    }
    assert (await approve(runtime, plan)).state == "succeeded"
    now = await live(runtime)
    assert now is not None
    assert now["spec"]["selector"] == {"app": "gw"}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "set_servers"),
        ({"remove_servers": ["nothing"]}, "remove_servers"),
        ({"remove_servers": ["http"], "set_servers": [HTTP]}, "remove_servers"),
        ({"set_servers": [HTTP, HTTP]}, "set_servers"),
        ({"remove_servers": ["http", "https"]}, "servers"),
        ({"set_servers": [HTTP | {"hosts": ["short"]}]}, "servers[http].hosts[0]"),
        ({"set_servers": [HTTP | {"hosts": []}]}, "servers[http].hosts"),
        ({"set_servers": [HTTPS | {"tls": None}]}, "servers[https].tls"),
        ({"set_servers": [HTTP | {"tsl": {}}]}, "set_servers.0.tsl"),
        ({"set_servers": "http"}, "set_servers"),
        ({"approved": True}, "approved"),
        ({"confirmed": True, "remove_servers": ["http"]}, "confirmed"),
    ],
)
async def test_a_wrong_update_is_refused_with_the_field_named(
    runtime: Runtime, context: Any, arguments: dict[str, Any], field: str
) -> None:
    await existing(runtime)
    with pytest.raises(InvalidArguments) as refused:
        await runtime.catalog.call("update_gateway", context, HERE | arguments)
    assert field in problem_fields(refused.value)
    assert await runtime.plans.list() == []


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"servers": []}, "servers"),
        ({"name": "Web"}, "name"),
        ({"name": "a.b"}, "metadata.name"),
        ({"namespace": "*"}, "namespace"),
        ({"namespace": "../kube-system"}, "namespace"),
        ({"servers": [HTTP, HTTP]}, "servers[http].port.name"),
        ({"servers": [HTTP | {"port": HTTP["port"] | {"number": 0}}]}, "servers[http].port.number"),
        (
            {"servers": [HTTP | {"port": HTTP["port"] | {"number": True}}]},
            "servers.0.port.number",
        ),
        ({"servers": [HTTP | {"hosts": ["a\x00.example.com"]}]}, "servers[http].hosts[0]"),
    ],
)
async def test_a_wrong_gateway_is_refused_with_the_field_named(
    runtime: Runtime, context: Any, arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidArguments) as refused:
        await runtime.catalog.call("create_gateway", context, NEW | arguments)
    assert field in problem_fields(refused.value)


async def test_a_field_the_clusters_crd_does_not_know_is_named(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    tls = HTTPS["tls"] | {"ecdhCurves": ["X25519"]}
    with pytest.raises(ClusterRejected) as refused:
        await propose(runtime, "create_gateway", **(NEW | {"servers": [HTTPS | {"tls": tls}]}))
    assert "ecdhCurves" in str(refused.value.details["fields"])


async def test_a_selector_that_matches_a_pod_is_not_warned_about(
    runtime: Runtime, simulated: SimulatedCluster, cluster: Cluster
) -> None:
    simulated.store.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "gw", "namespace": "default", "labels": SELECTOR},
            "spec": {"containers": [{"name": "proxy", "image": "registry.example.com/proxy:1"}]},
        }
    )
    await mirrored(cluster, "Pod", "gw")
    plan = await propose(runtime, "create_gateway", **NEW)
    assert plan.warnings == []
    other = await propose(runtime, "create_gateway", **(NEW | {"selector": {"app": "none"}}))
    assert other.warnings == ["the selector app=none matches no pod now, so nothing will listen"]


async def test_what_nobody_checked_is_said(runtime: Runtime) -> None:
    plan = await propose(runtime, "create_gateway", **(NEW | {"servers": [HTTPS]}))
    assert any("Secret shop-cert" in text and "not checked" in text for text in plan.warnings)


async def test_the_virtual_services_that_lose_a_gateway_are_named(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    for name, namespace, gateways in (
        ("same-namespace", "default", ["web"]),
        ("qualified", "kube-system", ["mesh", "default/web"]),
        ("other-web", "kube-system", ["web"]),
        ("unrelated", "default", ["other"]),
    ):
        simulated.store.create(
            {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"hosts": ["shop.example.com"], "gateways": gateways},
            }
        )
    await existing(runtime)
    plan = await propose(runtime, "delete_gateway", **DELETE)
    assert plan.risk is Risk.DESTRUCTIVE
    assert plan.warnings == [
        "these VirtualServices lose their Gateway: default/same-namespace, kube-system/qualified"
    ]


async def test_users_that_cannot_be_listed_are_said_to_be_unknown(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)
    simulated.faults.deny("virtualservices.networking.istio.io", "list")
    plan = await propose(runtime, "delete_gateway", **DELETE)
    assert isinstance(plan, Plan)
    assert plan.warnings[0].startswith("which VirtualServices lose this Gateway is not known")
