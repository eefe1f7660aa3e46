"""Connections to an API server: pools that do not starve each other, and what was received."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from cloudpilot.errors import ClusterUnavailable
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from tests.cloudpilot.kube.asking import NODES, client_of
from tests.cloudpilot.waiting import eventually
from tests.fakes.scripted_server import SILENCE, Asked, Reply, ScriptedServer


async def drops() -> AsyncIterator[bytes]:
    while True:
        yield b"{}\n"
        await asyncio.sleep(0.05)


async def read(client: KubeClient) -> None:
    async for _ in client.watch(NODES, {}):
        pass


def unhurried(url: str) -> KubeClient:
    return KubeClient(
        direct(url, "a-token"),
        connect_seconds=20,
        read_seconds=20,
        requests_per_second=1000,
        request_burst=1000,
    )


async def stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_open_watches_leave_room_for_requests_and_hung_requests_for_probes() -> None:
    def answer(asked: Asked) -> Reply:
        if asked.watches:
            return Reply(drops())
        return SILENCE if asked.path == "/hangs" else Reply({})

    async with ScriptedServer(answer) as server:
        client = unhurried(server.url)
        watches = [asyncio.create_task(read(client)) for _ in range(120)]
        await eventually(lambda: client.requests["WATCH", "2xx"] == 120)
        await client.request("GET", NODES)
        hung = [asyncio.create_task(_ask(client, "/hangs")) for _ in range(60)]
        await eventually(lambda: any(asked.path == "/hangs" for asked in server.requests))
        await client.probe(10)
        await stop(*watches, *hung)
        await client.close()


async def _ask(client: KubeClient, path: str) -> None:
    await client.request("GET", path)


async def test_every_received_chunk_is_a_sign_of_life() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(drops()) if asked.watches else SILENCE

    async with ScriptedServer(answer) as server:
        client = unhurried(server.url)
        hung = asyncio.create_task(_ask(client, NODES))
        await eventually(lambda: server.requests)
        before = client.last_received
        watch = asyncio.create_task(read(client))
        await eventually(lambda: client.last_received > before)
        for _ in range(3):
            now = time.monotonic()
            await eventually(lambda t=now: client.last_received > t)  # type: ignore[misc]
        await stop(watch, hung)
        await client.close()


async def test_requests_are_counted_by_verb_and_outcome() -> None:
    statuses = iter([200, 404, 503])

    def answer(asked: Asked) -> Reply:
        return Reply({}, 200 if asked.watches else next(statuses))

    async with ScriptedServer(answer) as server:
        client = client_of(server.url)
        await asyncio.gather(*(_ask(client, NODES) for _ in range(3)), return_exceptions=True)
        await read(client)
    await asyncio.gather(_ask(client, NODES), client.probe(5), return_exceptions=True)
    assert client.requests == {
        ("GET", "2xx"): 1,
        ("GET", "4xx"): 1,
        ("GET", "5xx"): 1,
        ("WATCH", "2xx"): 1,
        ("GET", "error"): 1,
        ("PROBE", "error"): 1,
    }
    await client.close()


async def test_closed_client_opens_nothing_again() -> None:
    async with ScriptedServer(lambda _asked: Reply({})) as server:
        client = client_of(server.url)
        await _ask(client, NODES)
        await client.close()
        with pytest.raises(ClusterUnavailable, match="disconnected"):
            await _ask(client, NODES)
        with pytest.raises(ClusterUnavailable, match="disconnected"):
            await read(client)
        assert len(server.requests) == 1
