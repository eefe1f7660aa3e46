"""A cluster's connection: judged by its kinds, lost when it falls silent, found when it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from cloudpilot.cache.connection import ConnectionState, Heartbeat, Rhythm, assess
from cloudpilot.cache.reflector import SyncState, SyncStatus
from cloudpilot.errors import ClusterUnavailable
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tests.fakes.chaos_proxy import BLACK_HOLE, CALM, HALF_OPEN, ChaosProxy, Weather
from tests.fakes.scripted_server import SILENCE, Asked, Reply, ScriptedServer

NODES = "/api/v1/nodes"
LIVE, SYNCING = SyncStatus.LIVE, SyncStatus.SYNCING
UNREACHABLE, POLLING = SyncStatus.UNREACHABLE, SyncStatus.POLLING
FORBIDDEN, NOT_INSTALLED = SyncStatus.FORBIDDEN, SyncStatus.NOT_INSTALLED
QUICK = Rhythm(silence_seconds=0.2, probe_seconds=0.5, second_try_seconds=0.05, retry_seconds=0.1)
PATIENT = Rhythm(silence_seconds=0.2, probe_seconds=5, second_try_seconds=0.05, retry_seconds=0.1)


def settled(*statuses: SyncStatus) -> Mapping[str, SyncState]:
    return {
        f"Kind{n}": SyncState(status, synced=True, reason=f"why {n}")
        for n, status in enumerate(statuses)
    }


@pytest.mark.parametrize(
    ("statuses", "state", "reason"),
    [
        ([LIVE, LIVE], ConnectionState.SYNCED, ""),
        ([LIVE, POLLING, NOT_INSTALLED, FORBIDDEN], ConnectionState.SYNCED, ""),
        ([LIVE, SYNCING], ConnectionState.STALE, "Kind1: why 1"),
        ([UNREACHABLE, LIVE], ConnectionState.STALE, "Kind0: why 0"),
        ([UNREACHABLE] * 5 + [LIVE], ConnectionState.STALE, "Kind0, Kind1, Kind2 and 2 more: why"),
        ([FORBIDDEN, FORBIDDEN, NOT_INSTALLED], ConnectionState.STALE, "why 0"),
        ([UNREACHABLE, UNREACHABLE, NOT_INSTALLED], ConnectionState.UNREACHABLE, "why 0"),
    ],
)
def test_state_follows_from_the_kinds(
    statuses: list[SyncStatus], state: ConnectionState, reason: str
) -> None:
    judged, why = assess(settled(*statuses), "", connecting=False)
    assert (judged, why.startswith(reason)) == (state, True)


def test_first_sync_is_connecting_unless_nobody_answers() -> None:
    assert assess({}, "", connecting=True)[0] is ConnectionState.CONNECTING
    assert assess(settled(LIVE), "", connecting=True)[0] is ConnectionState.CONNECTING
    assert assess(settled(UNREACHABLE), "", connecting=True)[0] is ConnectionState.UNREACHABLE
    lost = assess(settled(LIVE), "no answer in time", connecting=True)
    assert lost == (ConnectionState.UNREACHABLE, "no answer in time")


@dataclass
class Watched:
    """A client with a running heartbeat, and what it told."""

    client: KubeClient
    news: list[str] = field(default_factory=list)
    suspicious: bool = False


@asynccontextmanager
async def watched(
    url: str, token: str = "a-token", rhythm: Rhythm = QUICK
) -> AsyncIterator[Watched]:
    client = KubeClient(direct(url, token), connect_seconds=5, read_seconds=5)
    seen = Watched(client)
    heartbeat = Heartbeat(
        client,
        suspects=lambda: seen.suspicious,
        lost=lambda: seen.news.append(f"lost: {heartbeat.failure}"),
        found=lambda: seen.news.append("found"),
        rhythm=rhythm,
    )
    task = asyncio.create_task(heartbeat.run())
    try:
        yield seen
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


@pytest.mark.parametrize("weather", [BLACK_HOLE, HALF_OPEN])
async def test_silent_network_is_noticed_and_its_return_as_well(
    simulated: SimulatedCluster, weather: Weather
) -> None:
    async with (
        ChaosProxy(simulated.url) as proxy,
        watched(proxy.url, simulated.token) as seen,
    ):
        await eventually(lambda: seen.client.requests["PROBE", "2xx"] >= 2)
        proxy.set(weather)
        await eventually(lambda: seen.news)
        assert "no answer in time" in seen.news[0]
        with pytest.raises(ClusterUnavailable, match="no answer in time"):
            await seen.client.request("GET", NODES)
        assert seen.client.requests["GET", "error"] == 0, "it failed at once, unsent"
        proxy.set(CALM)
        await eventually(lambda: seen.news[1:] == ["found"])
        await seen.client.request("GET", NODES)


async def test_refused_connections_lose_a_cluster() -> None:
    async with SimulatedCluster("empty") as first:
        port, url, token = int(first.url.rpartition(":")[2]), first.url, first.token
    async with watched(url, token) as seen:
        await eventually(lambda: seen.news)
        async with SimulatedCluster("empty", port=port, token=token):
            await eventually(lambda: seen.news[1:] == ["found"])


@pytest.mark.parametrize("status", [200, 401, 403, 404, 429])
async def test_every_refusal_is_a_sign_of_life(status: int) -> None:
    async with (
        ScriptedServer(lambda _asked: Reply({}, status)) as server,
        watched(server.url, rhythm=PATIENT) as seen,
    ):
        await eventually(lambda: len(server.requests) >= 5)
        assert seen.news == []
        assert {asked.path for asked in server.requests} == {"/version"}


async def test_balancer_without_a_server_behind_it_is_a_lost_cluster() -> None:
    status = 503

    async with (
        ScriptedServer(lambda _asked: Reply(b"no healthy upstream", status)) as server,
        watched(server.url) as seen,
    ):
        await eventually(lambda: seen.news)
        assert "503" in seen.news[0]
        status = 200
        await eventually(lambda: seen.news[1:] == ["found"])


async def test_single_lost_probe_is_no_lost_cluster() -> None:
    replies = iter([SILENCE])

    async with (
        ScriptedServer(lambda _asked: next(replies, Reply({}))) as server,
        watched(server.url, rhythm=PATIENT) as seen,
    ):
        await eventually(lambda: len(server.requests) >= 4)
        assert seen.news == []


async def test_slow_probe_means_nothing_while_others_receive() -> None:
    def answer(asked: Asked) -> Reply:
        return SILENCE if asked.path == "/version" else Reply(drops())

    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b"{}\n"
            await asyncio.sleep(0.05)

    async with ScriptedServer(answer) as server, watched(server.url) as seen:
        seen.suspicious = True
        async with asyncio.timeout(30):
            async for _ in seen.client.watch(NODES, {}):
                if seen.client.requests["PROBE", "error"] >= 3:
                    break
        assert seen.news == []


async def test_cluster_that_sends_something_is_not_asked(simulated: SimulatedCluster) -> None:
    rhythm = Rhythm(silence_seconds=20)
    async with watched(simulated.url, simulated.token, rhythm) as seen:
        await seen.client.request("GET", NODES)
        for _ in range(3):
            await asyncio.sleep(0.05)
            await seen.client.request("GET", NODES)
        assert seen.client.requests["PROBE", "2xx"] == 0
        seen.suspicious = True
        await eventually(lambda: seen.client.requests["PROBE", "2xx"] >= 1)
