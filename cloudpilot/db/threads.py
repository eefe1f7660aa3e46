"""Threads, their runs and the events of their streams.

Every change of a thread begins by touching its row: that takes the row's lock (SQLite: the
write lock), so numbering events and admitting runs are serial for each thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from cloudpilot.db.models import EventRow, RunRow, ThreadRow
from cloudpilot.db.session import Database, clock
from cloudpilot.db.thread_records import (
    ACTIVE,
    NewEvent,
    NewRun,
    Run,
    RunStatus,
    StoredEvent,
    Thread,
    event_of,
    run_of,
    thread_of,
)
from cloudpilot.errors import NotFound, ThreadBusy


class ThreadStore:
    """Reads and writes conversations. Knows nothing of what a run does."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, thread_id: str, owner: str, title: str, cluster: str | None, namespace: str | None
    ) -> Thread:
        """Add a thread."""
        async with self._database.transaction() as session:
            now = await clock(session)
            row = ThreadRow(
                id=thread_id,
                owner=owner,
                title=title,
                cluster=cluster,
                namespace=namespace,
                created_at=now,
                updated_at=now,
            )
            session.add(row)
            return thread_of(row)

    async def find(self, thread_id: str) -> Thread | None:
        """Return the thread, or None."""
        async with self._database.transaction() as session:
            row = await session.get(ThreadRow, thread_id)
            return thread_of(row) if row else None

    async def look_at(self, thread_id: str, cluster: str | None, namespace: str | None) -> None:
        """Remember which cluster and namespace the conversation is about now."""
        async with self._database.transaction() as session:
            await session.execute(
                update(ThreadRow)
                .where(ThreadRow.id == thread_id)
                .values(cluster=cluster, namespace=namespace)
            )

    async def owned(self, owner: str, *, limit: int = 50, offset: int = 0) -> list[Thread]:
        """Return the owner's threads, the last used first."""
        order = (ThreadRow.updated_at.desc(), ThreadRow.created_at.desc(), ThreadRow.id)
        query = select(ThreadRow).where(ThreadRow.owner == owner).order_by(*order)
        async with self._database.transaction() as session:
            rows = await session.scalars(query.limit(limit).offset(offset))
            return [thread_of(row) for row in rows]

    async def count(self, owner: str) -> int:
        """Return how many threads the owner has."""
        query = select(func.count()).select_from(ThreadRow).where(ThreadRow.owner == owner)
        async with self._database.transaction() as session:
            return await session.scalar(query) or 0

    async def delete(self, thread_id: str) -> None:
        """Remove a thread with its runs and events."""
        async with self._database.transaction() as session:
            await session.execute(delete(ThreadRow).where(ThreadRow.id == thread_id))

    async def admit(self, new: NewRun) -> tuple[Run, bool] | None:
        """Accept a run, and say whether it is to be started now.

        The same id is the same run, however often it is asked for. A message is refused while
        the thread is busy; a resume is queued behind the run in progress.

        Returns:
            None: it would resume a thread that no longer waits.

        Raises:
            NotFound: there is no such thread.
            ThreadBusy: a run is in progress or an approval is pending.
        """
        async with self._database.transaction() as session:
            now = await _touch(session, new.thread_id)
            if known := await session.get(RunRow, new.id):
                return run_of(known), False
            active = list(await session.scalars(_active(new.thread_id)))
            if new.resumes and not active:
                return None
            if active and not new.resumes:
                raise await _busy(session, new.thread_id, active)
            queued = any(run.status != RunStatus.WAITING for run in active)
            row = RunRow(
                id=new.id,
                thread_id=new.thread_id,
                owner=new.owner,
                status=RunStatus.QUEUED if queued else RunStatus.RUNNING,
                payload=new.payload,
                attempts=0 if queued else 1,
                created_at=now,
                finished_at=None,
            )
            session.add(row)
            return run_of(row), not queued

    async def promote(self, thread_id: str) -> Run | None:
        """Start the thread's oldest queued run if nothing runs there."""
        async with self._database.transaction() as session:
            if await session.get(ThreadRow, thread_id) is None:
                return None
            await _touch(session, thread_id)
            active = list(await session.scalars(_active(thread_id)))
            queued = [run for run in active if run.status == RunStatus.QUEUED]
            if not queued or any(run.status == RunStatus.RUNNING for run in active):
                return None
            queued[0].status = RunStatus.RUNNING
            queued[0].attempts = 1
            return run_of(queued[0])

    async def retry(self, run_id: str) -> Run | None:
        """Count one more attempt of a run that was interrupted; None if it has ended since."""
        async with self._database.transaction() as session:
            row = await session.get(RunRow, run_id)
            if row is None or row.status != RunStatus.RUNNING:
                return None
            row.attempts += 1
            return run_of(row)

    async def append(
        self, run: Run, events: Sequence[NewEvent], *, kept: Sequence[str] = (RunStatus.RUNNING,)
    ) -> bool:
        """Number and store events, unless the run has ended: then nothing is stored.

        Returns:
            Whether they were stored.
        """
        async with self._database.transaction() as session:
            now = await _touch_if_there(session, run.thread_id)
            row = await session.get(RunRow, run.id)
            if now is None or row is None or row.status not in kept:
                return False
            await _number(session, run.thread_id, run.id, events, now)
            return True

    async def end(self, run: Run, status: RunStatus, events: Sequence[NewEvent]) -> bool:
        """End a run (or let it wait) together with its last events, once.

        When the thread has nothing left to wait for, the runs that waited end with it.

        Returns:
            Whether this call ended it; False if it had ended before.
        """
        async with self._database.transaction() as session:
            now = await _touch_if_there(session, run.thread_id)
            row = await session.get(RunRow, run.id)
            if now is None or row is None or row.status not in ACTIVE or row.status == status:
                return False
            row.status = status
            if status != RunStatus.WAITING:
                row.finished_at = now
                for other in await session.scalars(_active(run.thread_id)):
                    if other.status == RunStatus.WAITING:
                        other.status, other.finished_at = status, now
            await _number(session, run.thread_id, run.id, events, now)
            return True

    async def run(self, run_id: str) -> Run | None:
        """Return the run, or None."""
        async with self._database.transaction() as session:
            row = await session.get(RunRow, run_id)
            return run_of(row) if row else None

    async def runs(self, thread_id: str) -> list[Run]:
        """Return the thread's runs, the oldest first."""
        query = select(RunRow).where(RunRow.thread_id == thread_id)
        async with self._database.transaction() as session:
            rows = await session.scalars(query.order_by(RunRow.created_at, RunRow.id))
            runs = [run_of(row) for row in rows]
            firsts = await session.execute(
                select(EventRow.run_id, func.min(EventRow.seq))
                .where(EventRow.thread_id == thread_id)
                .group_by(EventRow.run_id)
            )
            first: dict[str, int] = {run_id: seq for run_id, seq in firsts}
        # The database's clock may tick in seconds: the first event tells the true order.
        return sorted(runs, key=lambda run: first.get(run.id, 1 << 62))

    async def active(self, thread_id: str | None = None) -> list[Run]:
        """Return the runs that have not ended, of one thread or of all."""
        query = select(RunRow).where(RunRow.status.in_(ACTIVE))
        if thread_id is not None:
            query = query.where(RunRow.thread_id == thread_id)
        async with self._database.transaction() as session:
            rows = await session.scalars(query.order_by(RunRow.created_at, RunRow.id))
            return [run_of(row) for row in rows]

    async def events(
        self,
        thread_id: str,
        after: int = 0,
        *,
        run_id: str | None = None,
        types: Sequence[str] = (),
        limit: int = 500,
    ) -> list[StoredEvent]:
        """Return the events with a number over `after`, in order."""
        query = select(EventRow).where(EventRow.thread_id == thread_id, EventRow.seq > after)
        if run_id is not None:
            query = query.where(EventRow.run_id == run_id)
        if types:
            query = query.where(EventRow.type.in_(types))
        async with self._database.transaction() as session:
            rows = await session.scalars(query.order_by(EventRow.seq).limit(limit))
            return [event_of(row) for row in rows]

    async def waiting_plans(self, thread_id: str) -> list[str]:
        """Return the plans that the thread's waiting runs announced and no run has taken up."""
        async with self._database.transaction() as session:
            return await _waiting_plans(session, thread_id)


def _active(thread_id: str) -> Any:
    return (
        select(RunRow)
        .where(RunRow.thread_id == thread_id, RunRow.status.in_(ACTIVE))
        .order_by(RunRow.created_at, RunRow.id)
    )


async def _touch_if_there(session: AsyncSession, thread_id: str) -> datetime | None:
    now = await clock(session)
    touch = update(ThreadRow).where(ThreadRow.id == thread_id).values(updated_at=now)
    found = await session.scalar(touch.returning(ThreadRow.id))
    return now if found else None


async def _touch(session: AsyncSession, thread_id: str) -> datetime:
    now = await _touch_if_there(session, thread_id)
    if now is None:
        raise NotFound(f"there is no thread {thread_id!r}", hint="list the threads first")
    return now


async def _number(
    session: AsyncSession, thread_id: str, run_id: str, events: Sequence[NewEvent], now: datetime
) -> None:
    last = await session.scalar(
        select(func.max(EventRow.seq)).where(EventRow.thread_id == thread_id)
    )
    session.add_all(
        EventRow(
            thread_id=thread_id, seq=seq, run_id=run_id, type=event.type, data=event.data, at=now
        )
        for seq, event in enumerate(events, start=(last or 0) + 1)
    )


async def _waiting_plans(session: AsyncSession, thread_id: str) -> list[str]:
    waiting = select(RunRow.id).where(
        RunRow.thread_id == thread_id, RunRow.status == RunStatus.WAITING
    )
    rows = await session.scalars(
        select(EventRow)
        .where(EventRow.run_id.in_(waiting), EventRow.type == "approval_required")
        .where(EventRow.thread_id == thread_id)
        .order_by(EventRow.seq)
    )
    announced = dict.fromkeys(row.data["plan"]["id"] for row in rows)
    answers = await session.scalars(select(RunRow).where(RunRow.thread_id == thread_id))
    resumed = {run.payload.get("plan_id") for run in answers}
    return [plan_id for plan_id in announced if plan_id not in resumed]


async def _busy(session: AsyncSession, thread_id: str, active: Sequence[RunRow]) -> ThreadBusy:
    details: dict[str, Any] = {"thread_id": thread_id, "run_ids": [run.id for run in active]}
    if all(run.status == RunStatus.WAITING for run in active):
        plans = await _waiting_plans(session, thread_id)
        return ThreadBusy(
            f"the thread waits for a decision on plan {', '.join(plans)}",
            hint="approve or deny the plan, or cancel the run",
            details={**details, "plan_ids": plans},
        )
    return ThreadBusy(
        "a run is in progress on this thread",
        hint="wait until it has finished, or cancel it",
        details=details,
    )
