"""Runs behind their seam: any turn, no graph."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.events import Answer, Event, Token
from agent.runs import Emit, Runs, Turn, TurnEnd
from cloudpilot.db.session import Database
from cloudpilot.db.thread_records import NewRun, Run, RunStatus, StoredEvent
from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import Conflict, NotFound, ThreadBusy
from cloudpilot.settings import Settings
from tests.agent.conversation import SECONDS, only, types

THREAD = "thread-1"


class Bench:
    """A store with one thread, and runs over a turn."""

    def __init__(self, database: Database) -> None:
        self.store = ThreadStore(database)

    @asynccontextmanager
    async def runs(self, turn: Turn, deadline_seconds: float = 30) -> AsyncIterator[Runs]:
        """Open runs; stop them at the end."""
        runs = Runs(self.store, turn, deadline_seconds=deadline_seconds)
        try:
            yield runs
        finally:
            await runs.aclose()

    async def read(
        self, runs: Runs, run_id: str | None = None, after: int = 0
    ) -> list[StoredEvent]:
        """Read a stream to its end."""
        async with asyncio.timeout(SECONDS):
            return [event async for event in runs.events(THREAD, after, run_id=run_id)]


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    """A database with one thread."""
    async with Database.open(settings.database.url) as database:
        bench = Bench(database)
        await bench.store.create(THREAD, "local", "title", None, None)
        yield bench


def request(run_id: str = "run-1", *, resumes: bool = False) -> NewRun:
    """Return what a door would submit."""
    return NewRun(run_id, THREAD, "local", {"message": "hello"}, resumes)


def saying(*events: Event, waiting: bool = False) -> Turn:
    """Return a turn that tells these events and ends."""

    async def turn(run: Run, emit: Emit) -> TurnEnd:
        for event in events:
            emit(event)
        return TurnEnd(waiting, [Answer(text="done")] if not waiting else [])

    return turn


def holding(started: asyncio.Event, release: asyncio.Event) -> Turn:
    """Return a turn that says a word, then waits."""

    async def turn(run: Run, emit: Emit) -> TurnEnd:
        emit(Token(text=f"attempt {run.attempts}", message_id="m"))
        started.set()
        await release.wait()
        return TurnEnd(False, [Answer(text="done")])

    return turn


async def test_the_same_id_is_one_run_however_often_submitted(bench: Bench) -> None:
    async with bench.runs(saying()) as runs:
        first = await asyncio.gather(*(runs.submit(request()) for _ in range(10)))
        events = await bench.read(runs, "run-1")
        assert await runs.submit(request()) == "run-1"
    assert set(first) == {"run-1"}
    assert types(events) == ["run_started", "answer", "run_finished"]


async def test_tokens_are_stored_in_few_batches_without_gaps(bench: Bench) -> None:
    async def turn(run: Run, emit: Emit) -> TurnEnd:
        for number in range(1_000):
            emit(Token(text=f"{number} ", message_id="m"))
            await asyncio.sleep(0)
        return TurnEnd(False, [Answer(text="done")])

    async with bench.runs(turn) as runs:
        await runs.submit(request())
        events = await bench.read(runs, "run-1")
    tokens = only(events, "token")
    assert "".join(token["text"] for token in tokens).split() == [str(n) for n in range(1_000)]
    assert len(tokens) < 200
    assert [event.seq for event in events] == list(range(1, len(events) + 1))


async def test_texts_of_two_messages_are_not_run_together(bench: Bench) -> None:
    said = [Token(text="a", message_id="1"), Token(text="b", message_id="2")]
    async with bench.runs(saying(*said)) as runs:
        await runs.submit(request())
        events = await bench.read(runs, "run-1")
    assert [token["text"] for token in only(events, "token")] == ["a", "b"]


async def test_a_turn_over_its_deadline_fails_and_says_so(bench: Bench) -> None:
    turn = holding(asyncio.Event(), asyncio.Event())
    async with bench.runs(turn, deadline_seconds=0.1) as runs:
        await runs.submit(request())
        events = await bench.read(runs, "run-1")
    assert only(events, "error")[0]["type"] == "DeadlineExceeded"
    assert only(events, "run_finished") == [{"status": "failed"}]


async def test_a_bug_in_a_turn_is_told_without_its_text(bench: Bench) -> None:
    async def turn(run: Run, emit: Emit) -> TurnEnd:
        raise ValueError("password=secret")

    async with bench.runs(turn) as runs:
        await runs.submit(request())
        events = await bench.read(runs, "run-1")
    assert only(events, "error")[0]["message"] == "an internal error ended the run"


async def test_after_cancel_nothing_follows_but_its_end(bench: Bench) -> None:
    started = asyncio.Event()

    async def stubborn(run: Run, emit: Emit) -> TurnEnd:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            emit(Token(text="too late", message_id="m"))
        raise AssertionError

    async with bench.runs(stubborn) as runs:
        await runs.submit(request())
        await started.wait()
        await runs.cancel("run-1")
        events = await bench.read(runs, "run-1")
        assert await runs.status("run-1") is RunStatus.CANCELLED
    assert types(events)[-1] == "run_finished"
    assert only(events, "token") == []
    assert only(events, "run_finished") == [{"status": "cancelled"}]


async def test_a_new_run_waits_until_a_cancelled_one_has_let_go(bench: Bench) -> None:
    inside: list[str] = []
    started, release = asyncio.Event(), asyncio.Event()

    async def slow_to_stop(run: Run, emit: Emit) -> TurnEnd:
        inside.append(f"in {run.id}")
        started.set()
        try:
            if run.id == "run-1":
                await asyncio.Event().wait()
        finally:
            if run.id == "run-1":
                await release.wait()
            inside.append(f"out {run.id}")
        return TurnEnd(False, [])

    async with bench.runs(slow_to_stop) as runs:
        await runs.submit(request("run-1"))
        await started.wait()
        cancelling = asyncio.create_task(runs.cancel("run-1"))
        assert types(await bench.read(runs, "run-1"))[-1] == "run_finished"
        await runs.submit(request("run-2"))
        release.set()
        await cancelling
        await bench.read(runs, "run-2")
    assert inside == ["in run-1", "out run-1", "in run-2", "out run-2"]


async def test_cancel_of_an_unknown_run_is_not_found(bench: Bench) -> None:
    async with bench.runs(saying()) as runs:
        with pytest.raises(NotFound):
            await runs.cancel("nothing")


async def test_a_stop_ends_subscribers_and_the_next_start_goes_on(bench: Bench) -> None:
    started = asyncio.Event()
    async with bench.runs(holding(started, asyncio.Event())) as runs:
        await runs.submit(request())
        await started.wait()
        reading = asyncio.create_task(bench.read(runs, "run-1"))
        await asyncio.sleep(0)
    before = await reading
    assert types(before) == ["run_started", "token"]
    assert (await bench.store.run("run-1")).status is RunStatus.RUNNING  # type: ignore[union-attr]
    with pytest.raises(Conflict):
        await runs.submit(request("run-2"))
    release = asyncio.Event()
    release.set()
    async with bench.runs(holding(asyncio.Event(), release)) as runs:
        await runs.recover()
        rest = await bench.read(runs, "run-1", after=before[-1].seq)
    assert only(rest, "run_started") == [{"attempt": 2, "message": "hello", "plan_id": None}]
    assert types(rest) == ["run_started", "token", "answer", "run_finished"]
    assert [event.seq for event in (*before, *rest)] == list(range(1, len(before) + len(rest) + 1))


async def test_a_run_that_keeps_being_interrupted_is_given_up(bench: Bench) -> None:
    for life in range(3):
        started = asyncio.Event()
        async with bench.runs(holding(started, asyncio.Event())) as runs:
            await (runs.submit(request()) if life == 0 else runs.recover())
            await started.wait()
    async with bench.runs(saying()) as runs:
        await runs.recover()
        events = await bench.read(runs, "run-1")
        assert await runs.status("run-1") is RunStatus.FAILED
        await runs.submit(request("run-2"))
        assert only(await bench.read(runs, "run-2"), "answer") == [
            {"text": "done", "complete": True}
        ]
    assert [data["attempt"] for data in only(events, "run_started")] == [1, 2, 3]
    assert "3 times" in only(events, "error")[0]["message"]


async def test_a_resume_waits_for_the_run_in_progress(bench: Bench) -> None:
    started, release = asyncio.Event(), asyncio.Event()
    async with bench.runs(holding(started, release)) as runs:
        await runs.submit(request("run-1"))
        await started.wait()
        assert await runs.submit(request("resume-1", resumes=True)) == "resume-1"
        assert await runs.status("resume-1") is RunStatus.QUEUED
        release.set()
        events = await bench.read(runs)
    assert [event.run_id for event in events if event.type == "run_started"] == [
        "run-1",
        "resume-1",
    ]


async def test_a_queued_run_starts_after_a_restart(bench: Bench) -> None:
    started = asyncio.Event()
    async with bench.runs(holding(started, asyncio.Event())) as runs:
        await runs.submit(request("run-1"))
        await started.wait()
        await runs.submit(request("resume-1", resumes=True))
    async with bench.runs(saying()) as runs:
        await runs.recover()
        events = await bench.read(runs)
    assert [data["status"] for data in only(events, "run_finished")] == ["finished"] * 2


async def test_a_resume_where_nothing_waits_is_no_run(bench: Bench) -> None:
    async with bench.runs(saying()) as runs:
        assert await runs.submit(request("resume-1", resumes=True)) is None
        with pytest.raises(NotFound):
            await runs.status("resume-1")


async def test_a_waiting_run_keeps_its_thread_busy_until_it_is_cancelled(bench: Bench) -> None:
    async with bench.runs(saying(waiting=True)) as runs:
        await runs.submit(request("run-1"))
        events = await bench.read(runs, "run-1")
        assert only(events, "run_finished") == [{"status": "waiting"}]
        with pytest.raises(ThreadBusy):
            await runs.submit(request("run-2"))
        await runs.cancel("run-1")
        await runs.submit(request("run-2"))


@pytest.mark.parametrize("position", [0, 1, 2, 3, 10])
async def test_a_stream_after_any_number_ends_with_the_run(bench: Bench, position: int) -> None:
    async with bench.runs(saying()) as runs:
        await runs.submit(request())
        whole = await bench.read(runs, "run-1")
        assert await bench.read(runs, "run-1", after=position) == whole[position:]
