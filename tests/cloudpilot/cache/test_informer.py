"""What handlers of an informer are told, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import time

from cloudpilot.cache.delta import Delta
from cloudpilot.cache.reflector import SyncStatus
from tests.cloudpilot.cache.script import Script, gone, live, pod, pods, reflected, streamed
from tests.cloudpilot.waiting import eventually
from tests.fakes.scripted_server import Reply

FORBIDDEN = Reply({"kind": "Status", "code": 403, "message": "forbidden"}, 403)


async def test_first_list_is_told_as_initial_and_nothing_after_it() -> None:
    script = Script(
        streams=[
            streamed(pod("a"), then=(("ADDED", pod("b", 11)), ("ERROR", gone()))),
            streamed(pod("a"), pod("b", 11), pod("c", 15), version=20),
        ]
    )
    told: list[tuple[str, bool]] = []
    async with reflected(script) as informer:
        informer.add_handler(lambda d: told.append((d.new.name, d.is_in_initial_list)))
        await eventually(lambda: len(told) == 3)
    assert told == [("a", True), ("b", False), ("c", False)]


async def test_content_that_may_no_longer_be_read_is_withdrawn_not_deleted() -> None:
    script = Script(
        lists=[pods(pod("a")), FORBIDDEN, pods(pod("a"))],
        watches=[Reply(gone(), 410), ()],
    )
    told: list[Delta] = []
    async with reflected(script) as informer:
        informer.add_handler(told.append)
        await eventually(lambda: len(told) == 3)
        await live(informer)
    first, withdrawn, again = told
    assert (first.is_in_initial_list, first.is_withdrawn) == (True, False)
    assert (withdrawn.old.name, withdrawn.new, withdrawn.is_withdrawn) == ("a", None, True)
    assert (again.new.name, again.is_in_initial_list) == ("a", True)


async def test_list_that_is_cut_short_while_it_is_told_is_told_to_its_end() -> None:
    many = [pod(f"p-{n:04}") for n in range(2000)]
    told: set[str] = set()
    async with reflected(Script(streams=[streamed(*many)], lists=[pods(*many)])) as informer:

        def listen(delta: Delta) -> None:
            told.add(delta.new.name)
            if len(told) == 10:
                informer.reconnect()

        informer.add_handler(listen)
        await eventually(lambda: len(told) == 2000)
        await live(informer)
        assert len(informer) == 2000


async def test_others_run_while_a_long_list_is_told() -> None:
    many = [pod(f"p-{n:03}") for n in range(200)]
    turns_while_telling: list[int] = []
    turns = 0

    async with reflected(Script(streams=[streamed(*many)])) as informer:

        def listen(_delta: Delta) -> None:
            turns_while_telling.append(turns)
            time.sleep(0.001)

        informer.add_handler(listen)

        async def count() -> None:
            nonlocal turns
            while informer.state.status is not SyncStatus.LIVE:
                turns += 1
                await asyncio.sleep(0)

        await asyncio.wait_for(count(), 30)
    assert len(turns_while_telling) == 200
    assert turns_while_telling[-1] > turns_while_telling[0]
