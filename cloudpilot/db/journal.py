"""The journal's SQL: batches in, answers out, old rows away.

An entry that is written again, since the answer to its commit was lost, is stored once.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Executable,
    Select,
    and_,
    delete,
    func,
    insert,
    inspect,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession

from cloudpilot.db.journal_records import Entry, EntryQuery, LastState, Occurrence, Period, What
from cloudpilot.db.models import (
    Base,
    JournalCoverageRow,
    JournalEntryRow,
    JournalEventRow,
    JournalPodRow,
)
from cloudpilot.db.session import Database, utc

_TIMES = ("time", "first", "last", "gone", "since", "until")
_PRUNE_ROWS = 2_000
_AGED: tuple[tuple[type[Base], Any], ...] = (
    (JournalEntryRow, JournalEntryRow.time),
    (JournalEventRow, JournalEventRow.last),
    (JournalPodRow, JournalPodRow.gone),
    (JournalCoverageRow, JournalCoverageRow.until),
)


class JournalRepository:
    """Stores what the journals of all clusters remember."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(
        self,
        cluster: str,
        entries: Sequence[Entry] = (),
        occurrences: Sequence[Occurrence] = (),
        pods: Sequence[LastState] = (),
    ) -> None:
        """Add a batch in one transaction; an Event seen before is counted on.

        Raises:
            DatabaseUnavailable: nothing of it was written.
        """
        async with self._database.transaction() as session:
            await _add_entries(session, cluster, entries)
            await _add_occurrences(session, cluster, occurrences)
            for pod in pods:
                await session.merge(_pod_row(cluster, pod))

    async def cover(self, cluster: str, identity: str, periods: Sequence[Period]) -> None:
        """Store times of watching, new ones and those that went on."""
        if not periods:
            return
        async with self._database.transaction() as session:
            known = await _known_ids(session, JournalCoverageRow, cluster, periods)
            for period in periods:
                if period.id in known:
                    await session.execute(
                        update(JournalCoverageRow)
                        .where(
                            JournalCoverageRow.cluster == cluster,
                            JournalCoverageRow.id == period.id,
                        )
                        .values(until=period.until)
                        .execution_options(synchronize_session=False)
                    )
                else:
                    values = msgspec.structs.asdict(period)
                    session.add(JournalCoverageRow(cluster=cluster, identity=identity, **values))

    async def adopt(self, cluster: str, identity: str) -> bool:
        """Forget everything under this name if it was the name of another cluster before."""
        async with self._database.transaction() as session:
            query = select(JournalCoverageRow.id).where(
                JournalCoverageRow.cluster == cluster,
                JournalCoverageRow.identity.not_in(("", identity)),
            )
            if await session.scalar(query.limit(1)) is None:
                return False
            await _forget(session, cluster)
        return True

    async def forget(self, cluster: str) -> None:
        """Remove everything about a cluster."""
        async with self._database.transaction() as session:
            await _forget(session, cluster)

    async def entries(self, cluster: str, query: EntryQuery) -> list[Entry]:
        """Return entries, newest first."""
        rows = await self._rows(_wanted(JournalEntryRow, cluster, query, JournalEntryRow.time))
        return [Entry(**{**row, "what": What(row["what"])}) for row in rows]

    async def occurrences(self, cluster: str, query: EntryQuery) -> list[Occurrence]:
        """Return Events, those that were seen last first."""
        rows = await self._rows(_wanted(JournalEventRow, cluster, query, JournalEventRow.last))
        return [Occurrence(**_without(row, "digest")) for row in rows]

    async def pods(self, cluster: str, query: EntryQuery) -> list[LastState]:
        """Return pods that went away while they failed, the last ones first."""
        rows = await self._rows(_wanted(JournalPodRow, cluster, query, JournalPodRow.gone))
        found = []
        for row in rows:
            packed = row.pop("packed_log")
            log = zlib.decompress(packed).decode() if packed is not None else None
            found.append(LastState(**row, log=log))
        return found

    async def coverage(self, cluster: str, since: datetime | None = None) -> list[Period]:
        """Return the times of watching that end after `since`, oldest first."""
        table = JournalCoverageRow
        query = select(table.id, table.kind, table.since, table.until)
        query = query.where(table.cluster == cluster).order_by(table.since, table.id)
        if since is not None:
            query = query.where(table.until >= since)
        return [Period(**row) for row in await self._rows(query)]

    async def prune(self, cluster: str, before: datetime, most_rows: int) -> int:
        """Remove what is older than `before` and what is too much; return how many rows went.

        In small steps: whoever writes meanwhile waits a moment only.
        """
        gone = 0
        for table, time in _AGED:
            limit = most_rows // 100 if table is JournalPodRow else most_rows
            async with self._database.transaction() as session:
                mine = select(time).where(table.__table__.c.cluster == cluster)
                # The time of the first row that is one too many.
                oldest = await session.scalar(mine.order_by(time.desc()).offset(limit).limit(1))
            edge = max(before, utc(oldest)) if oldest is not None else before
            while removed := await self._remove(table, cluster, time <= edge):
                gone += removed
        return gone

    async def _remove(self, table: type[Base], cluster: str, condition: Any) -> int:
        keys = list(inspect(table).primary_key)
        async with self._database.transaction() as session:
            query = select(*keys).where(table.__table__.c.cluster == cluster, condition)
            found = [tuple(row) for row in await session.execute(query.limit(_PRUNE_ROWS))]
            if found:
                await session.execute(
                    delete(table)
                    .where(tuple_(*keys).in_(found))
                    .execution_options(synchronize_session=False)
                )
        return len(found)

    async def count(self, cluster: str) -> int:
        """Return how many entries are stored."""
        async with self._database.transaction() as session:
            query = select(func.count()).select_from(JournalEntryRow)
            return await session.scalar(query.where(JournalEntryRow.cluster == cluster)) or 0

    async def _rows(self, query: Executable) -> list[dict[str, Any]]:
        async with self._database.transaction() as session:
            rows = [dict(row) for row in (await session.execute(query)).mappings()]
        for row in rows:
            row.update({name: utc(row[name]) for name in _TIMES if name in row})
        return rows


async def _forget(session: AsyncSession, cluster: str) -> None:
    for table, _ in _AGED:
        await session.execute(
            delete(table)
            .where(table.__table__.c.cluster == cluster)
            .execution_options(synchronize_session=False)
        )


def _wanted(table: Any, cluster: str, query: EntryQuery, time: Any) -> Select[Any]:
    """Select what `EntryQuery.wants`."""
    columns = [column for column in table.__table__.c if column.name != "cluster"]
    found = select(*columns).where(table.cluster == cluster)
    if query.since is not None:
        found = found.where(time >= query.since)
    if query.until is not None:
        found = found.where(time <= query.until)
    if query.namespace is not None:
        found = found.where(table.namespace == query.namespace)
    if query.kinds:
        found = found.where(table.kind.in_(query.kinds))
    if query.name is not None:
        own, owned = table.name == query.name, table.owner_name == query.name
        if query.kind is not None:
            own = and_(own, table.kind == query.kind)
            owned = and_(owned, table.owner_kind == query.kind)
        found = found.where(or_(own, owned) if query.owned else own)
    order = (time.desc(), table.id.desc()) if table is JournalEntryRow else (time.desc(),)
    return found.order_by(*order).limit(query.limit)


async def _add_entries(session: AsyncSession, cluster: str, entries: Sequence[Entry]) -> None:
    if not entries:
        return
    known = await _known_ids(session, JournalEntryRow, cluster, entries)
    rows = [
        {**msgspec.structs.asdict(entry), "cluster": cluster, "what": entry.what.value}
        for entry in entries
        if entry.id not in known
    ]
    if rows:
        await session.execute(insert(JournalEntryRow), rows)


async def _add_occurrences(
    session: AsyncSession, cluster: str, occurrences: Iterable[Occurrence]
) -> None:
    new = {_digest(item): item for item in occurrences}
    if not new:
        return
    query = select(JournalEventRow).where(
        JournalEventRow.cluster == cluster, JournalEventRow.digest.in_(new)
    )
    for row in await session.scalars(query):
        item = new.pop(row.digest)
        row.count = max(row.count + item.more, item.count)
        row.first = min(utc(row.first), item.first)
        row.last = max(utc(row.last), item.last)
    for digest, item in new.items():
        values = _without(msgspec.structs.asdict(item), "more")
        session.add(JournalEventRow(cluster=cluster, digest=digest, **values))


async def _known_ids(
    session: AsyncSession, table: Any, cluster: str, records: Sequence[Any]
) -> set[int]:
    ids = [record.id for record in records]
    found = await session.scalars(
        select(table.id).where(table.cluster == cluster, table.id.in_(ids))
    )
    return set(found)


def _pod_row(cluster: str, pod: LastState) -> JournalPodRow:
    values = _without(msgspec.structs.asdict(pod), "log")
    packed = zlib.compress(pod.log.encode()) if pod.log is not None else None
    return JournalPodRow(cluster=cluster, packed_log=packed, **values)


def _digest(item: Occurrence) -> str:
    text = msgspec.json.encode(item.key)
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def _without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}
