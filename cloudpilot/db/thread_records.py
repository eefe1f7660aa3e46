"""What is remembered of a conversation: threads, their runs and events, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cloudpilot.db.models import EventRow, RunRow, ThreadRow
from cloudpilot.db.session import utc


class RunStatus(StrEnum):
    """Where a run is in its life; the first three keep its thread busy."""

    QUEUED = "queued"
    """Accepted; begins when the thread's present run ends."""
    RUNNING = "running"
    WAITING = "waiting"
    """Stopped at a proposed write until a human decides."""
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING)


@dataclass(frozen=True, slots=True)
class Thread:
    """A conversation."""

    id: str
    owner: str
    title: str
    cluster: str | None
    namespace: str | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class NewRun:
    """A turn that is asked for."""

    id: str
    thread_id: str
    owner: str
    payload: dict[str, Any]
    resumes: bool = False
    """Answers a waiting run; refused quietly where none waits."""


@dataclass(frozen=True, slots=True)
class Run:
    """One turn of a thread."""

    id: str
    thread_id: str
    owner: str
    status: RunStatus
    payload: dict[str, Any]
    attempts: int
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has its number."""

    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of a thread's stream."""

    thread_id: str
    seq: int
    run_id: str
    type: str
    data: dict[str, Any]
    at: datetime


def thread_of(row: ThreadRow) -> Thread:
    """Return the thread of a row."""
    return Thread(
        id=row.id,
        owner=row.owner,
        title=row.title,
        cluster=row.cluster,
        namespace=row.namespace,
        created_at=utc(row.created_at),
        updated_at=utc(row.updated_at),
    )


def run_of(row: RunRow) -> Run:
    """Return the run of a row."""
    return Run(
        id=row.id,
        thread_id=row.thread_id,
        owner=row.owner,
        status=RunStatus(row.status),
        payload=row.payload,
        attempts=row.attempts,
        created_at=utc(row.created_at),
        finished_at=utc(row.finished_at) if row.finished_at else None,
    )


def event_of(row: EventRow) -> StoredEvent:
    """Return the event of a row."""
    return StoredEvent(
        thread_id=row.thread_id,
        seq=row.seq,
        run_id=row.run_id,
        type=row.type,
        data=row.data,
        at=utc(row.at),
    )
