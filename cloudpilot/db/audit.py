"""The audit: what was asked, decided and written, in rows that are only ever added."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from cloudpilot.db.models import AuditRow
from cloudpilot.db.session import Database, clock
from cloudpilot.log import request_id


class CallEntry(Protocol):
    """One call of an operation; `cloudpilot.operation.CallRecord` is one."""

    @property
    def operation(self) -> str: ...  # noqa: D102
    @property
    def effect(self) -> str: ...  # noqa: D102
    @property
    def actor(self) -> str: ...  # noqa: D102
    @property
    def door(self) -> str: ...  # noqa: D102
    @property
    def cluster(self) -> str | None: ...  # noqa: D102
    @property
    def outcome(self) -> str: ...  # noqa: D102
    @property
    def duration_seconds(self) -> float: ...  # noqa: D102
    @property
    def request_id(self) -> str: ...  # noqa: D102
    @property
    def details(self) -> dict[str, Any]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What happened, and who made it happen."""

    kind: str
    actor: str
    details: dict[str, Any] = field(default_factory=dict)


class AuditLog:
    """Adds and reads rows; there is no way here to change or remove one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, entry: CallEntry) -> None:
        """Write one call durably.

        Raises:
            DatabaseUnavailable: it could not be written.
        """
        async with self._database.transaction() as session:
            session.add(
                AuditRow(
                    at=await clock(session),
                    kind="call",
                    actor=entry.actor,
                    cluster=entry.cluster,
                    subject=entry.operation,
                    request_id=entry.request_id,
                    details={
                        **entry.details,
                        "effect": entry.effect,
                        "door": entry.door,
                        "outcome": entry.outcome,
                        "duration_seconds": round(entry.duration_seconds, 3),
                    },
                )
            )

    def add(
        self,
        session: AsyncSession,
        at: datetime,
        event: AuditEvent,
        *,
        subject: str,
        cluster: str | None,
    ) -> None:
        """Add a row to a transaction that changes something else: both happen or neither."""
        session.add(
            AuditRow(
                at=at,
                kind=event.kind,
                actor=event.actor,
                cluster=cluster,
                subject=subject,
                request_id=request_id.get(),
                details=event.details,
            )
        )

    async def entries(
        self,
        *,
        subject: str | None = None,
        kind: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[AuditRow]:
        """Return rows in the order they were written, those after a sequence number."""
        query = select(AuditRow).where(AuditRow.seq > after).order_by(AuditRow.seq).limit(limit)
        if subject is not None:
            query = query.where(AuditRow.subject == subject)
        if kind is not None:
            query = query.where(AuditRow.kind == kind)
        async with self._database.transaction() as session:
            return list(await session.scalars(query))
