"""Plans over HTTP: what a human decides, bound to the digest that was shown."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.kube.kinds import KINDS
from simulator import SimulatedCluster
from tests.api.envelopes import data_of, error_of, fields_of
from tests.api.test_operations import GATEWAY, GATEWAYS


@pytest.fixture
async def plan(client: httpx.AsyncClient, shop_cluster: Cluster) -> dict[str, Any]:
    found: dict[str, Any] = data_of(await client.post(GATEWAYS, json=GATEWAY), 202)
    return found


def approval(plan: dict[str, Any]) -> dict[str, Any]:
    return {"digest": plan["digest"], "confirmation": plan["confirmation"]}


async def test_an_approved_plan_is_written_and_its_outcome_answered(
    client: httpx.AsyncClient, plan: dict[str, Any]
):
    response = await client.post(f"/api/v1/plans/{plan['id']}/approve", json=approval(plan))
    done = data_of(response)
    assert done["state"] in ("succeeded", "unhealthy")
    assert done["decided_by"] == "local"
    data_of(await client.get(f"{GATEWAYS}/new"))
    again = await client.post(f"/api/v1/plans/{plan['id']}/approve", json=approval(plan))
    assert error_of(again, 409)["type"] == "PlanNotApprovable"


async def test_fifty_approvals_at_once_write_once(
    client: httpx.AsyncClient, plan: dict[str, Any], shop: SimulatedCluster
):
    path = f"/api/v1/plans/{plan['id']}/approve"
    answers = await asyncio.gather(*(client.post(path, json=approval(plan)) for _ in range(50)))
    assert sorted({answer.status_code for answer in answers}) == [200, 409]
    written = [
        r
        for r in shop.requests
        if r.method != "GET" and "gateways" in r.path and r.query.get("dryRun") != "All"
    ]
    assert len(written) == 1


async def test_a_denied_plan_is_not_written(client: httpx.AsyncClient, plan: dict[str, Any]):
    deny = await client.post(f"/api/v1/plans/{plan['id']}/deny", json={"reason": "not today"})
    denied = data_of(deny)
    assert denied["state"] == "denied"
    assert "not today" in denied["outcome"]
    error_of(await client.get(f"{GATEWAYS}/new"), 404)
    late = await client.post(f"/api/v1/plans/{plan['id']}/approve", json=approval(plan))
    error_of(late, 409)
    again = await client.post(GATEWAYS, json=GATEWAY)
    assert error_of(again, 429)["type"] == "TooManyRequests"


async def test_a_plan_whose_object_changed_is_a_409_with_the_fresh_diff(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    path = "/api/v1/clusters/demo/namespaces/istio-system/gateways/public-gateway"
    live = data_of(await client.get(path))
    changed = {**live["servers"][0], "hosts": ["wanted.example.com"]}
    plan = data_of(await client.patch(path, json={"set_servers": [changed]}), 202)
    other = [*live["servers"]]
    other[0] = {**other[0], "hosts": ["somebody-else.example.com"]}
    await shop_cluster.client.patch(
        KINDS["Gateway"], "public-gateway", "istio-system", {"spec": {"servers": other}}
    )
    response = await client.post(f"/api/v1/plans/{plan['id']}/approve", json=approval(plan))
    error = error_of(response, 409)
    assert error["type"] == "PlanNotApprovable"
    assert error["details"]["state"] == "stale"
    assert "somebody-else.example.com" in str(error["details"]["fresh_diff"])
    assert data_of(await client.get(path))["servers"][0]["hosts"] == ["somebody-else.example.com"]


async def test_another_digest_and_a_wrong_confirmation_approve_nothing(
    client: httpx.AsyncClient, plan: dict[str, Any]
):
    path = f"/api/v1/plans/{plan['id']}/approve"
    error_of(await client.post(path, json={**approval(plan), "digest": "0" * 64}), 409)
    for digest in ("", "abc", "Z" * 64, None, plan["digest"].upper()):
        wrong = await client.post(path, json={**approval(plan), "digest": digest})
        assert fields_of(wrong) == {"digest"}
    if plan["confirmation"]:
        wrong = await client.post(path, json={"digest": plan["digest"], "confirmation": "no"})
        assert fields_of(wrong) == {"confirmation"}
    assert data_of(await client.get(f"/api/v1/plans/{plan['id']}"))["state"] == "proposed"


async def test_plans_are_listed_by_state_thread_and_cluster(
    client: httpx.AsyncClient, plan: dict[str, Any]
):
    async def ids(**filters: str) -> list[str]:
        listed = data_of(await client.get("/api/v1/plans", params=filters))
        return [item["id"] for item in listed["items"]]

    assert await ids() == [plan["id"]]
    assert await ids(state="proposed", cluster="demo") == [plan["id"]]
    assert await ids(state="denied") == []
    assert await ids(cluster="other") == []
    assert await ids(thread_id="none") == []
    for name, value in (("state", "open"), ("limit", "0"), ("limit", "501"), ("stat", "x")):
        wrong = await client.get("/api/v1/plans", params={name: value})
        assert fields_of(wrong) == {name}


@pytest.mark.parametrize(
    "plan_id", ["none", "0" * 32, "x" * 65, "a%20b", "%00", "a;b", "%E2%80%AE"]
)
async def test_an_unknown_plan_is_a_404_and_a_bad_id_a_422(client: httpx.AsyncClient, plan_id: str):
    for method, path, body in (
        ("GET", f"/api/v1/plans/{plan_id}", None),
        ("POST", f"/api/v1/plans/{plan_id}/approve", {"digest": "0" * 64}),
        ("POST", f"/api/v1/plans/{plan_id}/deny", {}),
    ):
        response = await client.request(method, path, json=body)
        assert response.status_code in (404, 422)
        error_of(response, response.status_code)
