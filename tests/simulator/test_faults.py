"""The fault knobs, each seen from a client."""

import asyncio
import json

import httpx
import pytest

from simulator import SimulatedCluster
from tests.simulator.client import until

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


async def test_deny_refuses_one_verb_of_one_resource(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    empty.faults.deny("secrets", verb="list")
    refused = await client.get("/api/v1/secrets")
    assert refused.status_code == 403
    assert refused.json()["message"] == (
        'secrets is forbidden: User "cloudpilot" cannot list resource "secrets" in API group "" '
        "at the cluster scope"
    )
    watched = await client.get("/api/v1/secrets", params={"watch": "1", "timeoutSeconds": "1"})
    assert watched.status_code == 200
    assert (await client.get("/api/v1/configmaps")).status_code == 200
    empty.faults.allow("secrets", verb="list")
    assert (await client.get("/api/v1/secrets")).status_code == 200


async def test_deny_shows_in_access_reviews(empty: SimulatedCluster, client: httpx.AsyncClient):
    empty.faults.deny("pods", verb="delete", namespace="default")
    allowed = []
    for namespace in ("default", "kube-system"):
        attributes = {"verb": "delete", "resource": "pods", "namespace": namespace}
        review = {"spec": {"resourceAttributes": attributes}}
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        allowed.append((await client.post(path, json=review)).json()["status"]["allowed"])
    assert allowed == [False, True]


async def test_fail_fails_so_often_and_says_when_to_retry(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    empty.faults.fail(2, status=503, retry_after=7, path="/configmaps")
    answers = [await client.get(MAPS) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [503, 503, 200]
    assert answers[0].headers["retry-after"] == "7"
    assert answers[0].json()["reason"] == "ServiceUnavailable"
    assert answers[0].json()["details"] == {"retryAfterSeconds": 7}


async def test_drop_response_writes_and_cuts_the_connection(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    empty.faults.drop_response(method="POST")
    with pytest.raises(httpx.TransportError):
        await client.post(MAPS, json=config_map("written"))
    assert empty.store.get("configmaps", "written", "default")
    assert (await client.post(MAPS, json=config_map("answered"))).status_code == 201


async def test_delay_makes_a_client_give_up(empty: SimulatedCluster, client: httpx.AsyncClient):
    empty.faults.delay = 30.0
    with pytest.raises(httpx.ReadTimeout):
        await client.get(MAPS, timeout=0.05)
    empty.faults.clear()
    assert (await client.get(MAPS)).status_code == 200


async def test_gone_is_an_error_event_or_an_http_error(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    version = (await client.get(MAPS)).json()["metadata"]["resourceVersion"]
    await client.post(MAPS, json=config_map("one"))
    empty.faults.gone()
    watch = {"watch": "1", "resourceVersion": version}
    streamed = await client.get(MAPS, params=watch)
    event = json.loads(streamed.text)
    assert (streamed.status_code, event["type"], event["object"]["code"]) == (200, "ERROR", 410)
    empty.faults.gone(http=True)
    refused = await client.get(MAPS, params=watch)
    assert (refused.status_code, refused.json()["reason"]) == (410, "Expired")


async def test_continue_token_expires_with_the_history(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    for name in ("a", "b", "c"):
        await client.post(MAPS, json=config_map(name))
    first = (await client.get(MAPS, params={"limit": "2"})).json()
    await client.post(MAPS, json=config_map("d"))
    empty.faults.gone()
    params = {"limit": "10", "continue": first["metadata"]["continue"]}
    expired = await client.get(MAPS, params=params)
    assert (expired.status_code, expired.json()["reason"]) == (410, "Expired")
    params["continue"] = expired.json()["metadata"]["continue"]
    rest = (await client.get(MAPS, params=params)).json()
    assert "d" in [item["metadata"]["name"] for item in rest["items"]]


async def test_close_watches_ends_the_streams(empty: SimulatedCluster, client: httpx.AsyncClient):
    async with client.stream("GET", MAPS, params={"watch": "1"}) as response:
        lines = response.aiter_lines()
        await asyncio.wait_for(anext(lines), 5)
        assert empty.open_watches == 1
        empty.faults.close_watches()
        async with asyncio.timeout(5):
            rest = [line async for line in lines]
    assert rest == []


async def test_short_history_forgets_by_itself():
    async with SimulatedCluster("empty", history=5) as sim:
        before = sim.store.version
        for number in range(10):
            obj = config_map(f"map-{number}")
            obj["metadata"]["namespace"] = "default"
            sim.store.create(obj)
        assert sim.store.compacted > before


async def test_requests_are_recorded_without_the_token(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    await client.get(MAPS, params={"limit": "3"}, headers={"User-Agent": "tester/1.0"})
    request = empty.requests[-1]
    assert (request.method, request.path, request.query) == ("GET", MAPS, {"limit": "3"})
    assert request.user_agent == "tester/1.0"
    assert empty.token not in str(request)


async def test_retry_after_can_be_anything(empty: SimulatedCluster, client: httpx.AsyncClient):
    for said in ("Wed, 21 Oct 2026 07:28:00 GMT", "-1", "soon"):
        empty.faults.fail(1, status=429, retry_after=said)
        answer = await client.get(MAPS)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, said)


async def test_older_server_refuses_to_stream_lists(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    empty.faults.watch_list = False
    params = {"watch": "1", "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
    answer = await client.get(MAPS, params=params)
    assert answer.status_code == 422
    assert answer.json()["message"] == (
        'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is '
        "forbidden for watch unless the WatchList feature gate is enabled"
    )


async def test_lost_event_reaches_no_watch_and_the_next_one_does(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    version = (await client.get(MAPS)).json()["metadata"]["resourceVersion"]
    params = {"watch": "1", "resourceVersion": version}
    async with (
        client.stream("GET", MAPS, params=params) as one,
        client.stream("GET", MAPS, params=params) as two,
    ):
        await until(lambda: empty.open_watches == 2)
        empty.faults.lose_events("configmaps")
        await client.post(MAPS, json=config_map("lost"))
        await client.post(MAPS, json=config_map("seen"))
        for response in (one, two):
            line = await asyncio.wait_for(anext(response.aiter_lines()), 5)
            assert json.loads(line)["object"]["metadata"]["name"] == "seen"
    assert len((await client.get(MAPS)).json()["items"]) == 3
