"""Runs behind submit, cancel, status and events.

A run is detached from whoever asked for it: it goes on when the connection ends, and after a
restart from its last checkpoint. Here it happens to be an asyncio task of this process; nothing
outside this file may know, so that a durable queue can take its place.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from agent.event_writer import EventWriter
from agent.events import Event, Failure, RunFinished, RunStarted
from cloudpilot.db.thread_records import ACTIVE, NewRun, Run, RunStatus, StoredEvent
from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import (
    CloudPilotError,
    Conflict,
    DatabaseUnavailable,
    DeadlineExceeded,
    NotFound,
)

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
CANCEL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class TurnEnd:
    """How a turn ended, and the last events of its run."""

    waiting: bool
    events: Sequence[Event]


Emit = Callable[[Event], None]
Turn = Callable[[Run, Emit], Awaitable[TurnEnd]]


class _Feed:
    """Wakes those who wait for a thread's next event."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def notify(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Runs:
    """Executes turns, one at a time a thread, and serves their events.

    Promises: an event is stored before it is delivered; an acknowledged run is not lost; after
    `cancel` has returned no event follows but the one that says so. Does not promise that a turn
    is executed once: what it does must bear repetition.
    """

    def __init__(self, store: ThreadStore, turn: Turn, *, deadline_seconds: float) -> None:
        self._store = store
        self._turn = turn
        self._deadline = deadline_seconds
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._feeds: weakref.WeakValueDictionary[str, _Feed] = weakref.WeakValueDictionary()
        self._closing = False

    @property
    def closing(self) -> bool:
        """Whether no run is accepted any more."""
        return self._closing

    @property
    def running(self) -> int:
        """How many threads are being worked on."""
        return len(self._tasks)

    async def submit(self, new: NewRun) -> str | None:
        """Accept a run durably and start it.

        Returns:
            Its id; None if it would resume a thread that no longer waits.

        Raises:
            ThreadBusy: the thread has a run in progress or an approval pending.
            Conflict: the process is being stopped.
        """
        if self._closing:
            raise Conflict("CloudPilot is being stopped", hint="try again after the restart")
        admitted = await self._store.admit(new)
        if admitted is None:
            return None
        run, start = admitted
        if start:
            self._launch(run)
        return run.id

    async def status(self, run_id: str) -> RunStatus:
        """Return where the run is in its life."""
        return (await self._find(run_id)).status

    async def cancel(self, run_id: str) -> None:
        """Stop the run's thread: this run, what waits and what is queued there."""
        run = await self._find(run_id)
        if run.status not in ACTIVE:
            return
        last = [RunFinished(status="cancelled").stored()]
        for active in await self._store.active(run.thread_id):
            await self._store.end(active, RunStatus.CANCELLED, last)
        self._notify(run.thread_id)
        task = self._tasks.get(run.thread_id)
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_SECONDS)

    async def events(
        self, thread_id: str, after: int = 0, *, run_id: str | None = None
    ) -> AsyncIterator[StoredEvent]:
        """Yield events with a number over `after`, past ones and those to come.

        Ends with `run_finished` of the named run; without one when the thread is idle.
        """
        feed = self._feeds.setdefault(thread_id, _Feed())
        while True:
            changed = feed.changed
            ended = self._closing or await self._is_over(thread_id, run_id)
            batch = await self._store.events(thread_id, after, run_id=run_id)
            for event in batch:
                yield event
                after = event.seq
                if run_id and event.type == "run_finished":
                    return
            if not batch:
                if ended:
                    return
                await changed.wait()

    async def recover(self) -> None:
        """Go on with the runs that a crash or a stop has left."""
        active = await self._store.active()
        for run in active:
            if run.status is not RunStatus.RUNNING or run.thread_id in self._tasks:
                continue
            if run.attempts >= MAX_ATTEMPTS:
                logger.error("run %s is given up after %d attempts", run.id, run.attempts)
                error = CloudPilotError(
                    f"the run was interrupted {run.attempts} times and is given up",
                    hint="ask again; if it happens again, the log says what stops the process",
                )
                await self._end(run, RunStatus.FAILED, [Failure.of(error)])
            elif again := await self._store.retry(run.id):
                logger.warning("run %s goes on, attempt %d", run.id, again.attempts)
                self._launch(again)
        for thread_id in {run.thread_id for run in active}:
            await self._launch_next(thread_id)

    async def aclose(self) -> None:
        """Stop without ending anything: unfinished runs go on after the next start."""
        self._closing = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for feed in list(self._feeds.values()):
            feed.notify()

    def _launch(self, run: Run) -> None:
        if self._closing:
            return
        before = self._tasks.get(run.thread_id)
        task = asyncio.create_task(self._execute(run, before), name=f"run {run.id}")
        self._tasks[run.thread_id] = task
        task.add_done_callback(lambda done: self._forget(run.thread_id, done))

    def _forget(self, thread_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(thread_id) is task:
            del self._tasks[thread_id]
        if not task.cancelled() and (error := task.exception()):
            logger.error("a run on thread %s broke off", thread_id, exc_info=error)

    async def _launch_next(self, thread_id: str) -> None:
        if not self._closing and (run := await self._store.promote(thread_id)):
            self._launch(run)

    async def _execute(self, run: Run, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])  # a cancelled turn may still be writing its checkpoint
        writer = EventWriter(self._store, run, lambda: self._notify(run.thread_id))
        try:
            status, events = await self._attempt(run, writer.emit)
        finally:
            await writer.close()
        await asyncio.shield(self._end(run, status, events))
        await self._launch_next(run.thread_id)

    async def _attempt(self, run: Run, emit: Emit) -> tuple[RunStatus, list[Event]]:
        payload = run.payload
        emit(
            RunStarted(
                attempt=run.attempts,
                message=payload.get("message"),
                plan_id=payload.get("plan_id"),
            )
        )
        error: CloudPilotError
        deadline = asyncio.timeout(self._deadline)
        try:
            async with deadline:
                end = await self._turn(run, emit)
            return RunStatus.WAITING if end.waiting else RunStatus.FINISHED, list(end.events)
        except CloudPilotError as known:
            error = known
        except Exception as unexpected:  # noqa: BLE001 - the edge: a bug in a turn ends that turn
            if isinstance(unexpected, TimeoutError) and deadline.expired():
                error = DeadlineExceeded(
                    f"the run did not finish within {self._deadline:g} s",
                    hint="ask a narrower question",
                )
            else:
                logger.error("run %s failed", run.id, exc_info=unexpected)
                error = CloudPilotError("an internal error ended the run", hint="see the log")
        return RunStatus.FAILED, [Failure.of(error)]

    async def _end(self, run: Run, status: RunStatus, events: Sequence[Event]) -> None:
        last = RunFinished.model_validate({"status": status.value})
        try:
            await self._store.end(run, status, [event.stored() for event in (*events, last)])
        except DatabaseUnavailable:
            logger.exception("the end of run %s could not be stored", run.id)
        self._notify(run.thread_id)

    async def _find(self, run_id: str) -> Run:
        run = await self._store.run(run_id)
        if run is None:
            raise NotFound(f"there is no run {run_id!r}")
        return run

    async def _is_over(self, thread_id: str, run_id: str | None) -> bool:
        if run_id is None:
            return not await self._store.active(thread_id)
        run = await self._store.run(run_id)
        return run is None or run.status not in (RunStatus.QUEUED, RunStatus.RUNNING)

    def _notify(self, thread_id: str) -> None:
        if feed := self._feeds.get(thread_id):
            feed.notify()
