"""The plans' SQL: every change of a state is one conditional UPDATE with its audit row.

What the states mean and who may ask for a change is decided in `cloudpilot.plans`. All times are
the database's own, so that a wrong clock of one process expires nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Update, func, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from cloudpilot.db.audit import AuditEvent, AuditLog
from cloudpilot.db.models import PlanRow, ThreadRow
from cloudpilot.db.session import Database, clock
from cloudpilot.errors import TooManyRequests


class PlanRepository:
    """Stores plans. States are plain text here."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database = database
        self._audit = audit

    async def now(self) -> datetime:
        """Return the database's clock."""
        return await self._database.now()

    async def add(self, row: PlanRow, event: AuditEvent, *, open_limit: int) -> PlanRow:
        """Store a new plan; the stored one instead if its key is taken.

        Raises:
            TooManyRequests: its thread has `open_limit` undecided plans.
        """
        try:
            async with self._database.transaction() as session:
                if row.thread_id is not None:
                    await self._refuse_too_many(session, row.thread_id, row.key, open_limit)
                session.add(row)
                await session.flush()
                self._note(session, row, event, row.created_at)
        except IntegrityError:
            stored = await self.find(row.key)
            if stored is None:
                raise
            return stored
        return row

    async def get(self, plan_id: str) -> PlanRow | None:
        """Return one plan."""
        async with self._database.transaction() as session:
            return await session.get(PlanRow, plan_id)

    async def find(self, key: str | None) -> PlanRow | None:
        """Return the plan of an idempotency key."""
        if key is None:
            return None
        async with self._database.transaction() as session:
            found: PlanRow | None = await session.scalar(select(PlanRow).where(PlanRow.key == key))
            return found

    async def denied(self, intent: str, within: timedelta) -> PlanRow | None:
        """Return the latest plan of this intent that was denied within the given time."""
        async with self._database.transaction() as session:
            since = await clock(session) - within
            query = (
                select(PlanRow)
                .where(
                    PlanRow.intent == intent,
                    PlanRow.state == "denied",
                    PlanRow.decided_at > since,
                )
                .order_by(PlanRow.decided_at.desc())
                .limit(1)
            )
            found: PlanRow | None = await session.scalar(query)
            return found

    async def move(
        self,
        plan_id: str,
        sources: Collection[str],
        target: str,
        event: AuditEvent,
        *,
        unexpired: bool = False,
        stamp: Literal["decided_at", "claimed_at"] | None = None,
        **values: Any,
    ) -> PlanRow | None:
        """Change a plan's state if it is in one of `sources`, and audit it; None if it is not.

        Of any number of concurrent calls at most one gets the row.
        """
        async with self._database.transaction() as session:
            now = await clock(session)
            if stamp:
                values[stamp] = now
            change = (
                update(PlanRow)
                .where(PlanRow.id == plan_id, PlanRow.state.in_(sources))
                .values(state=target, **values)
                .execution_options(synchronize_session=False)
            )
            if unexpired:
                change = change.where(PlanRow.expires_at > now)
            if not await _changes_one(session, change):
                return None
            row = await session.get_one(PlanRow, plan_id)
            self._note(session, row, event, now)
            return row

    async def note(self, row: PlanRow, event: AuditEvent) -> None:
        """Write an audit row about a plan without changing it."""
        async with self._database.transaction() as session:
            self._note(session, row, event, await clock(session))

    async def overdue(self) -> list[PlanRow]:
        """Return undecided plans whose time is over."""
        async with self._database.transaction() as session:
            now = await clock(session)
            query = select(PlanRow).where(PlanRow.state == "proposed", PlanRow.expires_at <= now)
            return list(await session.scalars(query))

    async def unsettled(self, lease: timedelta, horizon: timedelta) -> list[PlanRow]:
        """Return plans that nobody is working on any more and whose outcome is not known.

        Those are plans approved or claimed longer ago than `lease`, and those whose write's fate
        is unknown, up to `horizon` old.
        """
        async with self._database.transaction() as session:
            now = await clock(session)
            query = select(PlanRow).where(
                or_(
                    (PlanRow.state == "approved") & (PlanRow.decided_at <= now - lease),
                    (PlanRow.state == "executing") & (PlanRow.claimed_at <= now - lease),
                    (PlanRow.state == "unknown") & (PlanRow.claimed_at > now - horizon),
                )
            )
            return list(await session.scalars(query))

    def _note(self, session: AsyncSession, row: PlanRow, event: AuditEvent, at: datetime) -> None:
        self._audit.add(session, at, event, subject=row.id, cluster=row.cluster)

    async def _refuse_too_many(
        self, session: AsyncSession, thread_id: str, key: str | None, limit: int
    ) -> None:
        # The update takes the lock that makes counting and inserting one step, on every database.
        lock = update(ThreadRow).where(ThreadRow.id == thread_id).values(owner=ThreadRow.owner)
        await session.execute(lock.execution_options(synchronize_session=False))
        if key is not None and await session.scalar(select(PlanRow.id).where(PlanRow.key == key)):
            return
        now = await clock(session)
        query = select(func.count()).where(
            PlanRow.thread_id == thread_id,
            PlanRow.state == "proposed",
            PlanRow.expires_at > now,
        )
        count = await session.scalar(query) or 0
        if count >= limit:
            raise TooManyRequests(
                f"{count} plans of this conversation wait for a decision already",
                hint="approve or deny one of them first",
            )

    async def list(
        self,
        *,
        state: str | None = None,
        thread_id: str | None = None,
        cluster: str | None = None,
        limit: int = 100,
    ) -> list[PlanRow]:
        """Return plans, the newest first."""
        query = select(PlanRow).order_by(PlanRow.created_at.desc(), PlanRow.id.desc()).limit(limit)
        if state is not None:
            query = query.where(PlanRow.state == state)
        if thread_id is not None:
            query = query.where(PlanRow.thread_id == thread_id)
        if cluster is not None:
            query = query.where(PlanRow.cluster == cluster)
        async with self._database.transaction() as session:
            return list(await session.scalars(query))


async def _changes_one(session: AsyncSession, change: Update) -> bool:
    result = await session.execute(change)
    return isinstance(result, CursorResult) and result.rowcount == 1
