"""A conversation over HTTP: streamed, resumed without a gap, refused before it streams."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from agent.assistant import Assistant
from cloudpilot.clusters import Cluster
from cloudpilot.context import Actor
from tests.api.envelopes import data_of, error_of, fields_of
from tests.api.sse import Frame, frames

QUESTION = {"message": "which pods are failing in shop?"}
WRITE = {
    "message": "create a gateway named web in shop for host web.example.com on port 8080",
    "cluster": "demo",
}


async def ask(client: httpx.AsyncClient, **more: str) -> tuple[httpx.Response, list[Frame]]:
    response = await client.post("/api/v1/chat", json={**QUESTION, **more})
    return response, frames(response)


async def test_a_question_is_streamed_from_its_start_to_its_end(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    response, told = await ask(client, cluster="demo", namespace="shop")
    kinds = [frame.event for frame in told]
    assert kinds[0] == "run_started"
    assert kinds[-1] == "run_finished"
    assert {"tool_started", "tool_finished", "token", "answer", "usage"} <= set(kinds)
    assert [frame.id for frame in told] == list(range(1, len(told) + 1))
    for frame in told:
        assert frame.data["thread_id"] == response.headers["x-thread-id"]
        assert frame.data["run_id"] == response.headers["x-run-id"]
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["cache-control"] == "no-store"
    answer = next(frame for frame in told if frame.event == "answer").data["text"]
    assert "No language model is configured" in answer


async def test_a_stream_is_resumed_exactly_where_it_was_left(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    response, told = await ask(client)
    run = f"/api/v1/runs/{response.headers['x-run-id']}/events"
    thread = f"/api/v1/threads/{response.headers['x-thread-id']}/events"
    for path in (run, thread):
        assert frames(await client.get(path)) == told
        for seen in range(len(told) + 1):
            rest = told[seen:]
            assert frames(await client.get(path, headers={"Last-Event-ID": str(seen)})) == rest
            assert frames(await client.get(path, params={"after": seen})) == rest
    both = await client.get(run, params={"after": 0}, headers={"Last-Event-ID": "2"})
    assert frames(both) == told[2:]


async def test_a_second_message_goes_on_in_the_thread_and_its_numbers(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    response, first = await ask(client)
    thread_id = response.headers["x-thread-id"]
    again, second = await ask(client, thread_id=thread_id)
    assert again.headers["x-thread-id"] == thread_id
    assert [frame.id for frame in first + second] == list(range(1, len(first + second) + 1))
    whole = await client.get(f"/api/v1/threads/{thread_id}/events")
    assert frames(whole) == first + second


@pytest.mark.parametrize("position", ["-1", "abc", "1.5", "0x1", "9" * 30, "1;2", "NaN"])
async def test_a_position_that_is_no_number_is_a_422(
    client: httpx.AsyncClient, shop_cluster: Cluster, position: str
):
    response, _ = await ask(client)
    path = f"/api/v1/runs/{response.headers['x-run-id']}/events"
    assert fields_of(await client.get(path, params={"after": position})) == {"after"}
    wrong = await client.get(path, headers={"Last-Event-ID": position})
    assert fields_of(wrong) == {"Last-Event-ID"}


async def test_a_position_in_the_future_of_an_ended_run_is_an_empty_stream(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    response, _ = await ask(client)
    path = f"/api/v1/runs/{response.headers['x-run-id']}/events"
    assert frames(await client.get(path, headers={"Last-Event-ID": "100000"})) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "message"),
        ({"message": ""}, "message"),
        ({"message": " \n\t "}, "message"),
        ({"message": "x" * 16_001}, "message"),
        ({"message": 7}, "message"),
        ({"message": None}, "message"),
        ({"message": "hi", "thread_id": "../x"}, "thread_id"),
        ({"message": "hi", "thread_id": "x" * 65}, "thread_id"),
        ({"message": "hi", "cluster": "Not A Name"}, "cluster"),
        ({"message": "hi", "namespace": "a/b"}, "namespace"),
        ({"message": "hi", "namespace": "\N{GRINNING FACE}"}, "namespace"),
        ({"message": "hi", "actor": "admin"}, "actor"),
        ({"message": "hi", "messages": []}, "messages"),
    ],
)
async def test_a_bad_request_is_an_ordinary_error_and_starts_nothing(
    client: httpx.AsyncClient, body: dict[str, object], field: str
):
    assert fields_of(await client.post("/api/v1/chat", json=body)) == {field}
    assert data_of(await client.get("/api/v1/threads"))["total"] == 0


async def test_what_does_not_exist_is_a_404(client: httpx.AsyncClient, shop_cluster: Cluster):
    nothing = "0" * 32
    for body in ({"thread_id": nothing}, {"cluster": "elsewhere"}):
        error_of(await client.post("/api/v1/chat", json={**QUESTION, **body}), 404)
    for path in (
        f"/api/v1/runs/{nothing}",
        f"/api/v1/runs/{nothing}/events",
        f"/api/v1/threads/{nothing}",
        f"/api/v1/threads/{nothing}/events",
    ):
        error_of(await client.get(path), 404)
    error_of(await client.delete(f"/api/v1/threads/{nothing}"), 404)
    cancel = await client.post(
        f"/api/v1/runs/{nothing}/cancel", headers={"Content-Type": "application/json"}
    )
    error_of(cancel, 404)


async def test_anothers_conversation_does_not_exist(
    client: httpx.AsyncClient, assistant: Assistant, shop_cluster: Cluster
):
    started = await assistant.start("hello", actor=Actor("somebody-else"))
    for path in (
        f"/api/v1/threads/{started.thread_id}",
        f"/api/v1/threads/{started.thread_id}/events",
        f"/api/v1/runs/{started.run_id}",
        f"/api/v1/runs/{started.run_id}/events",
    ):
        error_of(await client.get(path), 404)
    error_of(await client.delete(f"/api/v1/threads/{started.thread_id}"), 404)
    body = {**QUESTION, "thread_id": started.thread_id}
    error_of(await client.post("/api/v1/chat", json=body), 404)
    assert data_of(await client.get("/api/v1/threads"))["items"] == []


async def test_a_thread_is_listed_read_and_deleted(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    response, _ = await ask(client, cluster="demo")
    thread_id, run_id = response.headers["x-thread-id"], response.headers["x-run-id"]
    listed = data_of(await client.get("/api/v1/threads"))
    assert (listed["total"], [item["id"] for item in listed["items"]]) == (1, [thread_id])
    assert listed["items"][0]["title"] == QUESTION["message"]
    read = data_of(await client.get(f"/api/v1/threads/{thread_id}"))
    assert [message["role"] for message in read["messages"]] == ["user", "assistant"]
    assert [run["id"] for run in read["runs"]] == [run_id]
    assert data_of(await client.get(f"/api/v1/runs/{run_id}"))["status"] == "finished"
    assert data_of(await client.delete(f"/api/v1/threads/{thread_id}")) is None
    error_of(await client.get(f"/api/v1/threads/{thread_id}"), 404)
    error_of(await client.get(f"/api/v1/runs/{run_id}/events"), 404)


async def test_a_pending_approval_makes_a_new_message_a_409(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    response = await client.post("/api/v1/chat", json=WRITE)
    told = frames(response)
    card = next(frame for frame in told if frame.event == "approval_required")
    assert told[-1].data["status"] == "waiting"
    thread_id = response.headers["x-thread-id"]
    busy = await client.post("/api/v1/chat", json={**QUESTION, "thread_id": thread_id})
    assert error_of(busy, 409)["type"] == "ThreadBusy"
    plan = card.data["plan"]
    approve = await client.post(
        f"/api/v1/plans/{plan['id']}/approve",
        json={"digest": plan["digest"], "confirmation": plan["confirmation"]},
    )
    assert data_of(approve)["state"] in ("succeeded", "unhealthy")
    path = f"/api/v1/threads/{thread_id}/events"
    rest = frames(await client.get(path, headers={"Last-Event-ID": str(told[-1].id)}))
    assert rest[0].event == "run_started"
    assert rest[-1].event == "run_finished"
    assert rest[-1].data["status"] == "finished"


async def test_a_waiting_run_is_cancelled(client: httpx.AsyncClient, shop_cluster: Cluster):
    response = await client.post("/api/v1/chat", json=WRITE)
    run = f"/api/v1/runs/{response.headers['x-run-id']}"
    headers = {"Content-Type": "application/json"}
    for _ in range(2):
        cancelled = await client.post(f"{run}/cancel", headers=headers)
        assert data_of(cancelled)["status"] == "cancelled"
    rest = frames(await client.get(f"{run}/events", params={"after": 0}))
    assert rest[-1].event == "run_finished"


async def test_leaving_the_stream_does_not_stop_the_run(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    leaving = asyncio.create_task(client.post("/api/v1/chat", json=QUESTION))
    async with asyncio.timeout(20):
        # A request a turn: the run is there long before it has ended.
        while not (runs := await runs_of_the_newest_thread(client)):
            assert not leaving.done()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    async with asyncio.timeout(20):
        told = frames(await client.get(f"/api/v1/runs/{runs[0]['id']}/events"))
    assert told[-1].data["status"] == "finished"


async def runs_of_the_newest_thread(client: httpx.AsyncClient) -> list[dict[str, str]]:
    threads = data_of(await client.get("/api/v1/threads"))["items"]
    if not threads:
        return []
    conversation = data_of(await client.get(f"/api/v1/threads/{threads[0]['id']}"))
    runs: list[dict[str, str]] = conversation["runs"]
    return runs
