"""The breaker: reads fail at once while a cluster cannot answer, and go on when it can."""

from __future__ import annotations

import pytest

from cloudpilot.errors import ClusterUnavailable, OutcomeUnknown
from cloudpilot.kube.breaker import Breaker
from tests.cloudpilot.kube.asking import GATEWAYS, NODES, client_of
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_five_failed_reads_in_a_row_open_it_until_a_probe_succeeds() -> None:
    broken = True

    def answer(asked: Asked) -> Reply:
        return Reply({}, 500 if broken and asked.path != "/version" else 200)

    async with ScriptedServer(answer) as server:
        client = client_of(server.url)
        for _ in range(5):
            with pytest.raises(ClusterUnavailable):
                await client.request("GET", NODES)
        with pytest.raises(ClusterUnavailable) as refused:
            await client.request("GET", NODES)
        assert refused.value.retry_after_seconds
        assert len(server.requests) == 5, "the sixth was not sent"

        with pytest.raises(OutcomeUnknown):
            await client.request("PATCH", f"{GATEWAYS}/x", body={})
        broken = False
        await client.probe(5)
        await client.request("GET", NODES)
        await client.close()


async def test_refusals_and_throttling_are_answers() -> None:
    statuses = iter([401, 403, 404, 410, 422, 429] * 3)
    async with ScriptedServer(lambda _asked: Reply({}, next(statuses))) as server:
        client = client_of(server.url)
        for _ in range(18):
            with pytest.raises(Exception, match="answered|credential"):
                await client.request("GET", NODES)
        assert len(server.requests) == 18
        assert not client.breaker.is_open
        await client.close()


def test_failures_far_apart_do_not_open_it() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    for _ in range(20):
        breaker.failed("no answer")
        clock.now += 2.6
    assert not breaker.is_open
    breaker.check()


def test_where_nobody_probes_one_read_is_let_through_after_a_while() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    for _ in range(5):
        breaker.failed("no answer")
    with pytest.raises(ClusterUnavailable, match="no answer"):
        breaker.check()
    clock.now += 5.1
    breaker.check()
    with pytest.raises(ClusterUnavailable):
        breaker.check()


def test_lost_cluster_refuses_watches_too_and_failed_reads_do_not() -> None:
    breaker = Breaker(clock=Clock())
    for _ in range(5):
        breaker.failed("no answer")
    breaker.check(watch=True)
    breaker.trip("gone", 10)
    with pytest.raises(ClusterUnavailable, match="gone"):
        breaker.check(watch=True)
    breaker.close()
    breaker.check()
    breaker.check(watch=True)
