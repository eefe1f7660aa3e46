"""Pods of the demo's cluster: which there are, which fail and why."""

from __future__ import annotations

from typing import Any

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext
from cloudpilot.errors import ClusterForbidden, InvalidArguments, NotFound
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tools.pods import PodAnswer, get_pod, list_pods


async def test_pods_of_a_namespace_are_listed(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    answer = await list_pods(context, "shop")
    assert answer.total == answer.shown == len(shop.store.list("pods", "shop"))
    assert answer.next is None
    assert {row.namespace for row in answer.items} == {"shop"}
    names = [row.name for row in answer.items]
    assert names == sorted(names)


async def test_star_and_nothing_mean_all_namespaces(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    every = len(shop.store.list("pods"))
    for namespace in ("*", None):
        answer = await list_pods(context, namespace)
        assert (answer.namespace, answer.total) == ("*", every)


async def test_failing_pods_come_with_the_reason(
    shop_cluster: Cluster, context: CallContext
) -> None:
    answer = await list_pods(context, "shop", failing=True)
    assert 0 < answer.total == answer.failing == len(answer.items)
    workloads = {row.name.split("-")[0]: row for row in answer.items}
    assert set(workloads) == {"cart", "storefront"}
    assert workloads["storefront"].reason in ("ImagePullBackOff", "ErrImagePull")
    assert "4.12.0-rc1" in (workloads["storefront"].message or "")
    everything = await list_pods(context, "shop")
    assert everything.failing == answer.failing
    healthy = [row for row in everything.items if row.reason is None]
    assert len(healthy) == everything.total - everything.failing


async def test_pods_of_a_node_are_listed(shop_cluster: Cluster, context: CallContext) -> None:
    answer = await list_pods(context, node="worker-2")
    assert {row.node for row in answer.items} == {"worker-2"}
    assert (await list_pods(context, node="worker-2", namespace="default")).total == 0
    with pytest.raises(NotFound, match="there is no node 'worker-9'"):
        await list_pods(context, node="worker-9")


@pytest.mark.parametrize("limit", [1, 3, 7, 500])
async def test_pages_show_every_pod_once(
    shop_cluster: Cluster, context: CallContext, limit: int
) -> None:
    seen: list[str] = []
    after: str | None = None
    while True:
        answer = await list_pods(context, limit=limit, after=after)
        assert len(answer.items) == answer.shown <= limit
        seen += [f"{row.namespace}/{row.name}" for row in answer.items]
        after = answer.next
        if after is None:
            break
    assert len(seen) == len(set(seen)) == answer.total


async def test_page_after_a_pod_that_is_gone_goes_on_behind_it(
    shop_cluster: Cluster, context: CallContext
) -> None:
    every = await list_pods(context)
    keys = [f"{row.namespace}/{row.name}" for row in every.items]
    answer = await list_pods(context, after=keys[4] + "-gone")
    assert f"{answer.items[0].namespace}/{answer.items[0].name}" == keys[5]
    assert (await list_pods(context, after="zzz")).items == []


async def test_absent_namespace_is_an_error_not_an_empty_list(
    shop_cluster: Cluster, context: CallContext
) -> None:
    with pytest.raises(NotFound) as missed:
        await list_pods(context, "shpo")
    assert "shop" in missed.value.hint


async def test_one_pod_is_shown_with_containers_and_events(
    shop_cluster: Cluster, context: CallContext
) -> None:
    [row] = (await list_pods(context, "shop", failing=True, limit=1)).items
    answer: PodAnswer = await get_pod(context, "shop", row.name)
    assert answer.pod.name == row.name
    assert answer.owner is not None
    assert answer.owner.startswith("ReplicaSet ")
    assert answer.conditions["PodScheduled"] == "True"
    [container] = answer.containers
    assert container.image.startswith("registry.example.com/shop/")
    assert container.state
    assert container.limits["memory"]
    assert answer.events
    times = [event.last_seen for event in answer.events if event.last_seen]
    assert times == sorted(times, reverse=True)
    assert len(answer.events) <= 20


async def test_absent_pod_names_the_nearest(shop_cluster: Cluster, context: CallContext) -> None:
    [row] = (await list_pods(context, "payments", limit=1)).items
    with pytest.raises(NotFound) as missed:
        await get_pod(context, "payments", row.name + "x")
    assert f"payments/{row.name}" in missed.value.details["nearest"]


async def test_forbidden_pods_are_not_absent_ones(
    shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    shop.faults.deny("pods")
    shop.faults.close_watches()
    await eventually(lambda: not shop_cluster.monitor.known("Pod"))
    with pytest.raises(ClusterForbidden):
        await get_pod(context, "shop", "cart")
    with pytest.raises(ClusterForbidden, match="Pods of demo cannot be read"):
        await list_pods(context, "shop")


async def test_secret_in_a_termination_message_is_masked(
    runtime: Runtime, shop_cluster: Cluster, shop: SimulatedCluster, context: CallContext
) -> None:
    ended = {"exitCode": 1, "reason": "Error", "message": "login failed: password=c4nary-123"}

    def leak(pod: dict[str, Any]) -> None:
        pod["status"]["containerStatuses"][0]["lastState"] = {"terminated": ended}

    [row] = (await list_pods(context, "payments", limit=1)).items
    shop.store.edit("pods", row.name, "payments", leak)

    def arrived() -> bool:
        pod = shop_cluster.cache["Pod"].get("payments", row.name)
        return bool(pod and pod.status.container_statuses[0].last_state.terminated)

    await eventually(arrived)
    arguments = {"namespace": "payments", "name": row.name}
    answer = await runtime.catalog.call("get_pod", context, arguments)
    assert "c4nary" not in answer.model_dump_json()
    assert "password=[masked]" in answer.model_dump_json()


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("list_pods", {"limit": 0}),
        ("list_pods", {"limit": -1}),
        ("list_pods", {"limit": 501}),
        ("list_pods", {"limit": 10**9}),
        ("list_pods", {"limit": "0x10"}),
        ("list_pods", {"namespace": ""}),
        ("list_pods", {"namespace": "**"}),
        ("list_pods", {"namespace": "Shop"}),
        ("list_pods", {"namespace": "sh\u043ep"}),
        ("list_pods", {"namespace": "shop\n"}),
        ("list_pods", {"namespace": "x" * 64}),
        ("list_pods", {"node": "../x"}),
        ("list_pods", {"after": "x" * 401}),
        ("get_pod", {"namespace": "shop"}),
        ("get_pod", {"namespace": "*", "name": "a"}),
        ("get_pod", {"namespace": "shop", "name": "a/b"}),
        ("get_pod", {"namespace": "shop", "name": "\U0001f600"}),
    ],
)
async def test_wrong_arguments_are_refused(
    runtime: Runtime, context: CallContext, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArguments):
        await runtime.catalog.call(operation, context, arguments)
