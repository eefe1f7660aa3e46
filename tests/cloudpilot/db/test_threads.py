"""Threads, runs and events in the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cloudpilot.db.session import Database
from cloudpilot.db.thread_records import NewEvent, NewRun, Run, RunStatus
from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import NotFound, ThreadBusy
from cloudpilot.settings import Settings


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[ThreadStore]:
    """An empty store."""
    async with Database.open(settings.database.url) as database:
        yield ThreadStore(database)


async def begin(store: ThreadStore, run_id: str = "run", *, resumes: bool = False) -> Run:
    """Admit a run on thread `t`."""
    admitted = await store.admit(NewRun(run_id, "t", "local", {"message": "m"}, resumes))
    assert admitted is not None
    return admitted[0]


def card(plan_id: str) -> NewEvent:
    """Return the event that announces a plan."""
    return NewEvent("approval_required", {"call_id": "c", "plan": {"id": plan_id}})


async def test_concurrent_writers_number_events_without_gaps(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    run = await begin(store)
    batches = [[NewEvent("token", {"text": f"{n}"})] * (n % 3 + 1) for n in range(30)]
    await asyncio.gather(*(store.append(run, batch) for batch in batches))
    events = await store.events("t")
    assert [event.seq for event in events] == list(range(1, sum(map(len, batches)) + 1))


async def test_of_many_ends_one_counts(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    run = await begin(store)
    last = [NewEvent("run_finished", {})]
    ends = [RunStatus.FINISHED, RunStatus.CANCELLED] * 5
    won = await asyncio.gather(*(store.end(run, status, last) for status in ends))
    assert sum(won) == 1
    assert len(await store.events("t")) == 1


async def test_an_ended_run_takes_no_events(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    run = await begin(store)
    await store.end(run, RunStatus.CANCELLED, [])
    assert not await store.append(run, [NewEvent("token", {})])
    assert await store.events("t") == []


async def test_runs_that_waited_end_with_the_last_one(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    first = await begin(store, "first")
    await store.end(first, RunStatus.WAITING, [card("p1"), card("p2")])
    assert await store.waiting_plans("t") == ["p1", "p2"]
    new = NewRun("second", "t", "local", {"plan_id": "p1"}, resumes=True)
    second, start = await store.admit(new) or (first, False)
    assert start
    assert await store.waiting_plans("t") == ["p2"]
    await store.end(second, RunStatus.WAITING, [])
    assert {run.status for run in await store.active("t")} == {RunStatus.WAITING}
    third = await begin(store, "third", resumes=True)
    await store.end(third, RunStatus.FINISHED, [])
    assert await store.active() == []


async def test_a_busy_thread_says_what_it_waits_for(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    run = await begin(store)
    with pytest.raises(ThreadBusy, match="in progress"):
        await begin(store, "other")
    await store.end(run, RunStatus.WAITING, [card("plan-1")])
    with pytest.raises(ThreadBusy, match="plan-1"):
        await begin(store, "other")


async def test_an_unknown_thread_is_not_found(store: ThreadStore) -> None:
    with pytest.raises(NotFound):
        await begin(store)
    assert await store.find("t") is None
    assert await store.promote("t") is None
    assert not await store.append(_unknown(), [NewEvent("token", {})])
    assert not await store.end(_unknown(), RunStatus.FAILED, [])


async def test_a_deleted_thread_takes_its_runs_and_events_along(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    run = await begin(store)
    await store.append(run, [NewEvent("token", {})])
    await store.delete("t")
    assert await store.run("run") is None
    assert await store.events("t") == []


async def test_threads_are_paged_and_counted_by_owner(store: ThreadStore) -> None:
    for number in range(5):
        await store.create(f"t{number}", "local", f"title {number}", None, None)
    await store.create("theirs", "stranger", "title", None, None)
    first = await store.owned("local", limit=3)
    rest = await store.owned("local", limit=3, offset=3)
    assert {thread.id for thread in (*first, *rest)} == {f"t{n}" for n in range(5)}
    assert await store.count("local") == 5


async def test_events_can_be_asked_for_by_type_and_number(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    run = await begin(store)
    await store.append(run, [NewEvent("token", {}), NewEvent("answer", {}), NewEvent("token", {})])
    assert [event.seq for event in await store.events("t", types=["token"])] == [1, 3]
    assert [event.seq for event in await store.events("t", 1, limit=1)] == [2]
    assert await store.events("t", run_id="other") == []


async def test_only_a_running_run_counts_another_attempt(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    run = await begin(store)
    assert await store.retry("run") == replace(run, attempts=2)
    await store.end(run, RunStatus.FAILED, [])
    assert await store.retry("run") is None


def _unknown() -> Run:
    return Run("gone", "nowhere", "local", RunStatus.RUNNING, {}, 1, datetime.now(UTC), None)


async def test_a_cancelled_writer_locks_nobody_out(store: ThreadStore) -> None:
    await store.create("t", "local", "title", None, None)
    run = await begin(store)
    for step in range(40):
        writing = asyncio.create_task(store.append(run, [NewEvent("token", {})] * 3))
        await asyncio.sleep(step * 0.0003)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        assert await store.append(run, [NewEvent("token", {})])
    events = await store.events("t")
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
