"""The request budget, on a clock of the test's own and on the real one."""

from __future__ import annotations

import asyncio

import pytest

from cloudpilot.errors import ClusterUnavailable
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.limiter import Limiter, Priority
from tests.cloudpilot.kube.asking import GATEWAYS, NODES, always
from tests.cloudpilot.waiting import eventually
from tests.fakes.scripted_server import ScriptedServer


async def let_through(limiter: Limiter, who: str, priority: Priority, order: list[str]) -> None:
    await limiter.acquire(priority)
    order.append(who)


async def test_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    loop = asyncio.get_running_loop()
    limiter = Limiter(100, 5)
    started = loop.time()
    for _ in range(15):
        await limiter.acquire()
    # Never earlier than the budget allows; how much later is the machine's matter.
    assert loop.time() - started >= 0.09
    assert limiter.waiting == 0


async def test_tokens_come_back_up_to_the_burst_and_no_further() -> None:
    now = 0.0
    limiter = Limiter(20, 3, clock=lambda: now)
    for _ in range(3):
        await limiter.acquire()
    now = 3600.0
    for _ in range(3):
        await asyncio.wait_for(limiter.acquire(), 1)
    late = asyncio.create_task(limiter.acquire())
    await eventually(lambda: limiter.waiting == 1)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)


async def test_writes_go_first_and_reads_in_their_order() -> None:
    limiter = Limiter(50, 1)
    await limiter.acquire()
    order: list[str] = []
    async with asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(let_through(limiter, f"read {n}", Priority.READ, order))
        for n in range(2):
            group.create_task(let_through(limiter, f"write {n}", Priority.WRITE, order))
    assert order == ["write 0", "write 1", "read 0", "read 1", "read 2"]


async def test_probe_never_waits_and_its_token_is_owed() -> None:
    now = 0.0
    limiter = Limiter(1, 1, clock=lambda: now)
    await limiter.acquire()
    await asyncio.wait_for(limiter.acquire(Priority.PROBE), 1)
    now = 1.5
    late = asyncio.create_task(limiter.acquire())
    await eventually(lambda: limiter.waiting == 1)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)


async def test_cancelled_waiter_leaves_its_turn_to_the_next() -> None:
    limiter = Limiter(20, 1)
    await limiter.acquire()
    order: list[str] = []
    first = asyncio.create_task(let_through(limiter, "first", Priority.READ, order))
    second = asyncio.create_task(let_through(limiter, "second", Priority.READ, order))
    await eventually(lambda: limiter.waiting == 2)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert limiter.waiting == 1
    await asyncio.wait_for(second, 10)
    assert order == ["second"]


async def test_waiter_cancelled_after_its_turn_came_gives_the_token_back() -> None:
    now = 0.0
    limiter = Limiter(1, 1, clock=lambda: now)
    await limiter.acquire()
    first = asyncio.create_task(limiter.acquire())
    await eventually(lambda: limiter.waiting == 1)
    now = 1.0
    # The second one's arrival lets the first through; it is cancelled before it runs.
    second = asyncio.create_task(limiter.acquire(Priority.READ))
    asyncio.get_running_loop().call_soon(first.cancel)
    await asyncio.wait_for(second, 10)
    with pytest.raises(asyncio.CancelledError):
        await first


@pytest.mark.parametrize(("method", "path"), [("GET", NODES), ("PATCH", f"{GATEWAYS}/x")])
async def test_request_whose_deadline_passes_in_the_queue_was_not_sent(
    method: str, path: str
) -> None:
    async with ScriptedServer(always({})) as server:
        client = KubeClient(
            direct(server.url, "a-token"),
            connect_seconds=0.1,
            read_seconds=0.2,
            requests_per_second=0.001,
            request_burst=1,
        )
        await client.request("GET", NODES)
        with pytest.raises(ClusterUnavailable, match="budget") as refused:
            await client.request(method, path, body={})
        assert type(refused.value) is ClusterUnavailable, "nothing can have happened"
        assert len(server.requests) == 1
        await client.probe(5)
        assert len(server.requests) == 2
        await client.close()


async def test_watches_and_lists_of_one_cluster_share_the_budget() -> None:
    async with ScriptedServer(always({"kind": "Status"})) as server:
        client = KubeClient(
            direct(server.url, "a-token"),
            connect_seconds=5,
            read_seconds=10,
            requests_per_second=100,
            request_burst=10,
        )

        async def watch() -> None:
            async for _ in client.watch(NODES, {}):
                pass

        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.gather(
            *(client.request("GET", NODES) for _ in range(10)), *(watch() for _ in range(10))
        )
        assert loop.time() - started >= 0.09
        assert client.requests == {("GET", "2xx"): 10, ("WATCH", "2xx"): 10}
        await client.close()
