"""The tables. A cluster's objects are never stored here, only what CloudPilot itself must remember.

Of objects that changed the journal keeps the fields before and after, masked.
Times are UTC; the database's clock decides every expiry.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """The registry of all tables; constraint names are fixed so that migrations can name them."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {
        dict[str, Any]: JSON,
        list[Any]: JSON,
        datetime: DateTime(timezone=True),
    }


class ClusterRow(Base):
    """A registered cluster; its credential is sealed (see `sealing`)."""

    __tablename__ = "clusters"

    name: Mapped[str] = mapped_column(String(63), primary_key=True)
    server: Mapped[str] = mapped_column(Text)
    ca_data: Mapped[str | None] = mapped_column(Text)
    tls_server_name: Mapped[str | None] = mapped_column(Text)
    sealed_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_client_cert: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_client_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    description: Mapped[str] = mapped_column(Text, default="")
    uid: Mapped[str | None] = mapped_column(String(64))
    """UID of kube-system as first seen; another one later means another cluster."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ThreadRow(Base):
    """A conversation."""

    __tablename__ = "threads"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    owner: Mapped[str] = mapped_column(String(128))
    title: Mapped[str] = mapped_column(Text)
    cluster: Mapped[str | None] = mapped_column(String(63))
    namespace: Mapped[str | None] = mapped_column(String(63))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (Index(None, "owner", "updated_at"),)


class RunRow(Base):
    """One turn of a thread: submitted, running, waiting for an approval, or ended."""

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    thread_id: Mapped[str] = mapped_column(ForeignKey("threads.id", ondelete="CASCADE"), index=True)
    owner: Mapped[str] = mapped_column(String(128))
    status: Mapped[str] = mapped_column(String(16), index=True)
    payload: Mapped[dict[str, Any]]
    """What was asked, or which interrupt is answered: enough to start the turn again."""
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class EventRow(Base):
    """One event of a thread's stream; `seq` counts from 1 within the thread, without gaps."""

    __tablename__ = "events"

    thread_id: Mapped[str] = mapped_column(
        ForeignKey("threads.id", ondelete="CASCADE"), primary_key=True
    )
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    run_id: Mapped[str] = mapped_column(String(64), index=True)
    type: Mapped[str] = mapped_column(String(32))
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class PlanRow(Base):
    """A proposed change. `record` is what the digest covers and is never updated."""

    __tablename__ = "plans"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str | None] = mapped_column(String(200), unique=True)
    """Idempotency: thread and tool-call id of the proposal; the same call is the same plan."""
    state: Mapped[str] = mapped_column(String(16), index=True)
    cluster: Mapped[str] = mapped_column(String(63))
    thread_id: Mapped[str | None] = mapped_column(String(64), index=True)
    requester: Mapped[str] = mapped_column(String(128))
    intent: Mapped[str] = mapped_column(String(64), index=True)
    """Hash of the cluster, the object and what would become of it: denied, it cannot come back
    at once, however the call is worded."""
    digest: Mapped[str] = mapped_column(String(64))
    record: Mapped[dict[str, Any]]
    previous: Mapped[dict[str, Any] | None]
    """The object before the write, secret-shaped text masked, kept for an undo."""
    outcome: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None]
    """What was found beside the outcome, such as the fresh diff of a stale plan."""
    decided_by: Mapped[str | None] = mapped_column(String(128))
    decided_at: Mapped[datetime | None]
    claimed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(index=True)
    expires_at: Mapped[datetime]


class AuditRow(Base):
    """One audited act; rows are only ever added."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(32))
    """`call`, `plan.proposed`, `plan.approved`, `plan.intent`, `plan.outcome`, ..."""
    actor: Mapped[str] = mapped_column(String(128))
    cluster: Mapped[str | None] = mapped_column(String(63))
    subject: Mapped[str] = mapped_column(String(256))
    """The operation or the plan's id."""
    request_id: Mapped[str] = mapped_column(String(64))
    details: Mapped[dict[str, Any]]


class _JournalColumns:
    """The object that a row of the journal is about, and the controller at the top of it."""

    cluster: Mapped[str] = mapped_column(String(63))
    kind: Mapped[str] = mapped_column(String(63))
    namespace: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(253))
    uid: Mapped[str] = mapped_column(String(64))
    owner_kind: Mapped[str] = mapped_column(String(63))
    owner_name: Mapped[str] = mapped_column(String(253))


class JournalEntryRow(_JournalColumns, Base):
    """One change of one object of a cluster."""

    __tablename__ = "journal_entries"

    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    time: Mapped[datetime]
    what: Mapped[str] = mapped_column(String(16))
    field: Mapped[str] = mapped_column(Text)
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)
    who: Mapped[str | None] = mapped_column(String(128))
    reason: Mapped[str] = mapped_column(Text)
    exit_code: Mapped[int | None]
    message: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        Index(None, "cluster", "time"),
        Index(None, "cluster", "name"),
        Index(None, "cluster", "owner_name"),
    )


class JournalEventRow(_JournalColumns, Base):
    """An Event of a cluster and its repetitions, kept beyond the cluster's hour."""

    __tablename__ = "journal_events"

    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    digest: Mapped[str] = mapped_column(String(32), primary_key=True)
    """Of the object, the reason and the message: what makes two Events one."""
    type: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(128))
    message: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(128))
    count: Mapped[int]
    first: Mapped[datetime]
    last: Mapped[datetime]

    __table_args__ = (
        Index(None, "cluster", "last"),
        Index(None, "cluster", "name"),
        Index(None, "cluster", "owner_name"),
    )


class JournalPodRow(_JournalColumns, Base):
    """A pod that went away while it failed: its last state and the end of its log."""

    __tablename__ = "journal_pods"

    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    gone: Mapped[datetime]
    node: Mapped[str] = mapped_column(String(253))
    reason: Mapped[str] = mapped_column(String(128))
    message: Mapped[str] = mapped_column(Text)
    exit_code: Mapped[int | None]
    restarts: Mapped[int]
    container: Mapped[str] = mapped_column(String(63))
    packed_log: Mapped[bytes | None] = mapped_column(LargeBinary)
    log_note: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index(None, "cluster", "gone"), Index(None, "cluster", "name"))


class JournalCoverageRow(Base):
    """A time during which a kind of a cluster was watched without a break."""

    __tablename__ = "journal_coverage"

    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    identity: Mapped[str] = mapped_column(String(128))
    """Which cluster bore the name then; another one's journal is no use."""
    kind: Mapped[str] = mapped_column(String(63))
    since: Mapped[datetime]
    until: Mapped[datetime]


class SampleRow(Base):
    """A packed block of usage samples (see `cloudpilot.usage.blocks`)."""

    __tablename__ = "samples"

    cluster: Mapped[str] = mapped_column(String(63), primary_key=True)
    tier: Mapped[str] = mapped_column(String(8), primary_key=True)
    """How fine it is and how much time it covers."""
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Seconds since the epoch."""
    scope: Mapped[str] = mapped_column(String(16), primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes] = mapped_column(LargeBinary)
