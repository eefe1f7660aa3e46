"""What changed, and how it was: the journal's answers about the demo's cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import CallContext
from cloudpilot.errors import InvalidArguments, NotFound
from cloudpilot.journal.shapes import ChangeRow
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.simulator.client import client_of, scale
from tools.changes import ChangeList, PastObject

Ask = Callable[..., Awaitable[ChangeList]]
BAD = "registry.example.com/shop/storefront:4.12.0-rc1"
GOOD = "registry.example.com/shop/checkout:3.3.1"


@pytest.fixture
def changed(runtime: Runtime, shop_cluster: Cluster, context: CallContext) -> Ask:
    """Ask the catalog for changes."""

    async def ask(**arguments: Any) -> ChangeList:
        answer = await runtime.catalog.call("list_changes", context, arguments)
        assert isinstance(answer, ChangeList)
        return answer

    return ask


@pytest.fixture
def described(runtime: Runtime, shop_cluster: Cluster, context: CallContext) -> Any:
    async def ask(**arguments: Any) -> PastObject:
        answer = await runtime.catalog.call("describe_at", context, arguments)
        assert isinstance(answer, PastObject)
        return answer

    return ask


async def roll_out(shop: SimulatedCluster, image: str) -> None:
    async with client_of(shop) as client:
        answer = await client.patch(
            "/apis/apps/v1/namespaces/shop/deployments/checkout",
            params={"fieldManager": "kubectl-set"},
            json=[
                {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}
            ],
            headers={"Content-Type": "application/json-patch+json"},
        )
        assert answer.status_code == 200, answer.text


async def until_told(ask: Ask, what: str, **arguments: Any) -> list[ChangeRow]:
    async with asyncio.timeout(20):
        while True:
            found = [row for row in (await ask(**arguments)).items if row.what == what]
            if found:
                return found
            await asyncio.sleep(0.05)


async def test_rollout_and_the_pods_that_died_of_it_are_one_answer(
    shop: SimulatedCluster, changed: Ask
) -> None:
    await roll_out(shop, BAD)
    await until_told(changed, "pod_failing", object="deployment/checkout")
    answer = await changed(object="deployment/checkout", namespace="shop")
    [image] = [row for row in answer.items if row.what == "image"]
    assert (image.kind, image.name, image.who) == ("Deployment", "checkout", "kubectl-set")
    assert (image.before, image.after) == (GOOD, BAD)
    failing = [row for row in answer.items if row.what == "pod_failing"]
    assert {row.owner for row in failing} == {"Deployment checkout"}
    assert {row.reason for row in failing} <= {"ErrImagePull", "ImagePullBackOff"}
    assert "ScalingReplicaSet" in {event.reason for event in answer.events}
    times = [row.time for row in answer.items]
    assert times == sorted(times, reverse=True)


async def test_what_repeats_is_one_row(shop: SimulatedCluster, changed: Ask) -> None:
    await roll_out(shop, "registry.example.com/shop/cart:2.7.9")
    await until_told(changed, "image", object="checkout")
    shop.advance(1800)
    await until_told(changed, "restart", object="checkout", limit=500)
    async with asyncio.timeout(20):
        while True:
            rows = await until_told(changed, "restart", object="checkout")
            if all(row.times > 3 for row in rows):
                break
            await asyncio.sleep(0.05)
    assert len({row.name for row in rows}) == len(rows)
    assert all((row.before, row.after) == ("0", str(row.times)) for row in rows)
    assert all(row.first is not None and row.first < row.time for row in rows)


async def test_answer_says_what_it_cannot_know(changed: Ask) -> None:
    await until_watched(changed)
    answer = await changed(since="2h", kinds="deploy,pods")
    [gap] = answer.gaps
    assert (gap.since, gap.kinds) == (answer.since, ["Deployment", "Pod"])
    assert answer.items == []


async def test_kinds_are_written_as_kubectl_does(shop: SimulatedCluster, changed: Ask) -> None:
    scale(shop, "shop", "catalog", 3)
    [row] = await until_told(changed, "replicas", kinds=["deploy"])
    assert (row.name, row.field, row.before, row.after) == ("catalog", "spec.replicas", "2", "3")
    assert all(item.kind == "Node" for item in (await changed(kinds=["nodes"])).items)


async def test_past_of_a_deployment_is_shown(
    shop: SimulatedCluster, changed: Ask, described: Any
) -> None:
    field = "spec.template.spec.containers[checkout].image"
    await until_watched(changed)
    before = (await described(object="deploy/checkout", time="0s")).time
    await asyncio.sleep(0)
    await roll_out(shop, BAD)
    await until_told(changed, "image", object="checkout")
    past = await described(object="deployment/checkout", namespace="shop", time=before.isoformat())
    assert (past.kind, past.namespace, past.existed) == ("Deployment", "shop", "yes")
    assert past.fields[field] == GOOD
    assert [row.what for row in past.after if row.what == "image"] == ["image"]
    now = await described(object="deployment/checkout", time="0s")
    assert now.fields[field] == BAD


async def until_watched(ask: Ask) -> None:
    async with asyncio.timeout(20):
        while not (await ask(kinds=["Deployment"])).watched_since:  # noqa: ASYNC110 - nobody signals
            await asyncio.sleep(0.05)


async def test_deleted_object_is_described_as_it_was(
    shop: SimulatedCluster, changed: Ask, described: Any
) -> None:
    await until_watched(changed)
    before = (await described(object="svc/catalog", time="0s")).time
    async with client_of(shop) as client:
        await client.delete("/api/v1/namespaces/shop/services/catalog")
    await until_told(changed, "deleted", kinds=["Service"])
    past = await described(object="service/catalog", time=before.isoformat())
    assert past.existed == "yes"
    assert past.fields["spec.selector.app"] == "catalog"
    assert (await described(object="service/catalog", time="0s")).existed == "no"


async def test_existence_before_watching_is_unknown_or_told_by_the_age(described: Any) -> None:
    old = await described(object="deployment/checkout", time="3h")
    assert (old.existed, old.certain) == ("yes", False)
    older = await described(object="deployment/checkout", time="300d")
    assert older.existed == "unknown"


async def test_ambiguous_object_is_asked_back(described: Any) -> None:
    with pytest.raises(InvalidArguments, match="deployment/cart.*service/cart"):
        await described(object="cart", time="1m")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"since": "yesterday"}, "since"),
        ({"since": "2020-13-45"}, "since"),
        ({"since": "1h", "until": "2h"}, "since"),
        ({"since": "2999-01-01T00:00:00Z"}, "since"),
        ({"kinds": ["Gizmo"]}, "kinds"),
        ({"object": "gizmo/cart"}, "object"),
        ({"limit": 0}, "limit"),
    ],
)
async def test_bad_arguments_are_named(changed: Ask, arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArguments) as raised:
        await changed(**arguments)
    assert raised.value.details["fields"][0]["field"] == field


async def test_object_that_never_was_is_named_with_the_nearest(
    changed: Ask, described: Any
) -> None:
    with pytest.raises(NotFound) as raised:
        await changed(object="deployment/chackout")
    assert "checkout" in raised.value.hint
    with pytest.raises(NotFound):
        await described(object="deployment/chackout", time="5m")
