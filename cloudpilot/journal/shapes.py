"""The shapes in which the journal's records are answered."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from cloudpilot.db.journal_records import Entry, LastState, Occurrence, What
from cloudpilot.monitor.shapes import Shape

_REPEATING = frozenset({What.RESTART, What.CONDITION, What.READINESS, What.POD_FAILING})
"""What an object in trouble does over and over."""


class ChangeRow(Shape):
    """One change of one object."""

    time: datetime
    kind: str
    namespace: str | None
    name: str
    what: str
    """`created`, `deleted`, `image`, `replicas`, `spec`, `route`, `labels`, `data`, `condition`,
    `phase`, `restart`, `pod_failing` or `readiness`."""
    field: str | None
    before: str | None
    after: str | None
    who: str | None
    """The field manager that wrote it; null where the cluster does not tell."""
    owner: str | None
    """The controller at the top, `Deployment cart` of a pod."""
    reason: str | None
    exit_code: int | None
    message: str | None
    times: int = 1
    """How often the same happened: a crash loop's restarts are one row."""
    first: datetime | None = None
    """When it happened first, if it did more than once; `before` is from then."""

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Show an entry."""
        # What a deleted object was is a page of its own: `describe_at` shows it.
        before = None if entry.what is What.DELETED else entry.before
        owner = f"{entry.owner_kind} {entry.owner_name}" if entry.owner_name else None
        return cls(
            time=entry.time,
            kind=entry.kind,
            namespace=entry.namespace or None,
            name=entry.name,
            what=entry.what.value,
            field=entry.field or None,
            before=before,
            after=entry.after,
            who=entry.who,
            owner=owner,
            reason=entry.reason or None,
            exit_code=entry.exit_code,
            message=entry.message or None,
        )


def rows_of(entries: Iterable[Entry]) -> list[ChangeRow]:
    """Show entries, newest first, what goes on repeating as one row."""
    rows: list[ChangeRow] = []
    repeated: dict[tuple[str, ...], ChangeRow] = {}
    for entry in entries:
        key = (entry.kind, entry.namespace, entry.name, entry.what.value, entry.field)
        row = repeated.get(key) if entry.what in _REPEATING else None
        if row is None:
            row = ChangeRow.of(entry)
            rows.append(row)
            repeated[key] = row
        else:
            row.times += 1
            row.first, row.before = entry.time, entry.before
    return rows


class PastEvent(Shape):
    """An Event, kept longer than the cluster keeps it."""

    kind: str
    namespace: str | None
    name: str
    type: str
    reason: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime

    @classmethod
    def of(cls, item: Occurrence) -> Self:
        """Show an Event."""
        return cls(
            kind=item.kind,
            namespace=item.namespace or None,
            name=item.name,
            type=item.type,
            reason=item.reason,
            message=item.message,
            count=item.count,
            first_seen=item.first,
            last_seen=item.last,
        )


class CoverageGap(Shape):
    """A time in which changes of some kinds cannot be known."""

    since: datetime
    until: datetime
    kinds: list[str]


class LastSeen(Shape):
    """A pod that went away while it failed, as it was at the end."""

    name: str
    gone: datetime
    node: str | None
    reason: str
    message: str
    exit_code: int | None
    restarts: int
    container: str | None
    log: str | None
    """The end of the container's log, secret-shaped text masked."""
    log_note: str | None
    """Why there is no log."""

    @classmethod
    def of(cls, pod: LastState) -> Self:
        """Show a pod's last state."""
        return cls(
            name=pod.name,
            gone=pod.gone,
            node=pod.node or None,
            reason=pod.reason,
            message=pod.message,
            exit_code=pod.exit_code,
            restarts=pod.restarts,
            container=pod.container or None,
            log=pod.log,
            log_note=pod.log_note or None,
        )
