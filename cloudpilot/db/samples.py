"""Stored samples: packed blocks by cluster, tier and time. What is in a block nobody here knows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Table, bindparam, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from cloudpilot.db.models import SampleRow
from cloudpilot.db.session import Database

_KEY = ("cluster", "tier", "start", "scope", "part")


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """One block."""

    tier: str
    start: int
    """Seconds since the epoch."""
    scope: str
    part: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """Blocks of one scope that begin in a time: `since` and later, before `until`."""

    scope: str
    tiers: tuple[str, ...]
    since: int
    until: int
    part: int | None = None
    """None: every part."""


class SampleRepository:
    """Writes, reads and forgets blocks; each call is one transaction.

    Raises DatabaseUnavailable wherever the database fails.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, cluster: str, blocks: Sequence[StoredBlock]) -> None:
        """Store blocks; one that is there already is replaced."""
        async with self._database.transaction() as session:
            await _write(session, cluster, blocks)

    async def replace(self, cluster: str, span: Span, blocks: Sequence[StoredBlock]) -> None:
        """Remove the blocks of a span and store others, all or nothing."""
        async with self._database.transaction() as session:
            await session.execute(delete(SampleRow).where(*_in(cluster, span)))
            await _write(session, cluster, blocks)

    async def read(self, cluster: str, span: Span) -> list[StoredBlock]:
        """Return the blocks of a span, in the order of their times."""
        query = (
            select(SampleRow.tier, SampleRow.start, SampleRow.scope, SampleRow.part, SampleRow.data)
            .where(*_in(cluster, span))
            .order_by(SampleRow.start)
        )
        async with self._database.transaction() as session:
            return [StoredBlock(*row) for row in await session.execute(query)]

    async def places(self, cluster: str, tier: str, before: int) -> Sequence[tuple[int, str, int]]:
        """Return start, scope and part of the blocks of a tier that begin before a time."""
        query = (
            select(SampleRow.start, SampleRow.scope, SampleRow.part)
            .where(SampleRow.cluster == cluster, SampleRow.tier == tier, SampleRow.start < before)
            .order_by(SampleRow.start)
        )
        async with self._database.transaction() as session:
            return [(row[0], row[1], row[2]) for row in await session.execute(query)]

    async def oldest(self, cluster: str) -> int | None:
        """Return when the oldest block begins."""
        query = select(func.min(SampleRow.start)).where(SampleRow.cluster == cluster)
        async with self._database.transaction() as session:
            found: int | None = await session.scalar(query)
            return found

    async def prune(self, tiers: Iterable[str], before: int) -> None:
        """Remove the blocks of some tiers that begin before a time, of every cluster."""
        query = delete(SampleRow).where(SampleRow.tier.in_(tiers), SampleRow.start < before)
        async with self._database.transaction() as session:
            await session.execute(query)

    async def forget(self, cluster: str) -> None:
        """Remove everything about a cluster."""
        async with self._database.transaction() as session:
            await session.execute(delete(SampleRow).where(SampleRow.cluster == cluster))


def _in(cluster: str, span: Span) -> list[ColumnElement[bool]]:
    found = [
        SampleRow.cluster == cluster,
        SampleRow.tier.in_(span.tiers),
        SampleRow.start >= span.since,
        SampleRow.start < span.until,
        SampleRow.scope == span.scope,
    ]
    if span.part is not None:
        found.append(SampleRow.part == span.part)
    return found


async def _write(session: AsyncSession, cluster: str, blocks: Sequence[StoredBlock]) -> None:
    """Remove what has the same keys and insert: the same in every dialect, in two statements."""
    if not blocks:
        return
    table: Table = SampleRow.metadata.tables[SampleRow.__tablename__]
    rows = [{"cluster": cluster, **asdict(block)} for block in blocks]
    same = table.delete().where(*(table.c[name] == bindparam(f"key_{name}") for name in _KEY))
    await session.execute(same, [{f"key_{name}": row[name] for name in _KEY} for row in rows])
    await session.execute(insert(table), rows)
