"""The usage history of every cluster: samples kept, rolled up, pruned and read back.

A minute is kept for a day, the mean and maximum of 15 minutes for a month. Of a time without
samples nothing is made up: it has no points.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import groupby, islice

from cloudpilot.db.samples import SampleRepository, Span, StoredBlock
from cloudpilot.settings import SamplesSettings
from cloudpilot.usage.blocks import Block, block_of, merge, pack, part_of, roll_up, split, unpack
from cloudpilot.usage.points import MINUTE, QUARTER, Point, floor, minutes, quarters
from cloudpilot.usage.sample import Sample, Scope

DAY = 86_400
"""Seconds."""
_DAYS_AT_ONCE = 4
"""So many blocks of a day are packed after one sample: all at once would be much work."""


class Tier(StrEnum):
    """Names of what is stored: a single sample or point, and blocks that hold many of them."""

    MINUTE = "1m"
    MINUTES = "1m/15m"
    QUARTER = "15m"
    QUARTERS = "15m/1d"


_MINUTES = (Tier.MINUTE, Tier.MINUTES)
_QUARTERS = (Tier.QUARTER, Tier.QUARTERS)


class UsageHistory:
    """Keeps the samples of all clusters in the database.

    Promises: what `write` returned from is durable; a minute that was never sampled has no
    point; no method holds up the event loop, since packing happens in a thread.
    """

    def __init__(
        self,
        repository: SampleRepository,
        settings: SamplesSettings,
        clock: Callable[[], datetime],
    ) -> None:
        self.clock = clock
        self._repository = repository
        self._settings = settings

    @property
    def enabled(self) -> bool:
        """Whether samples are wanted."""
        return self._settings.enabled

    async def pack(self, sample: Sample) -> list[StoredBlock]:
        """Return a sample as it is stored, at the minute in which it was taken."""
        return await asyncio.to_thread(_packed, sample)

    async def write(self, cluster: str, packed: Sequence[StoredBlock]) -> None:
        """Store packed samples.

        Raises:
            DatabaseUnavailable: it could not be written.
        """
        await self._repository.write(cluster, packed)

    async def tend(self, cluster: str) -> None:
        """Roll up the quarters of an hour that are over, pack days that are, prune.

        What a stop or a failing database left undone is done the next time.

        Raises:
            DatabaseUnavailable: the database fails.
        """
        moment = int(self.clock().timestamp())
        waiting = await self._repository.places(cluster, Tier.MINUTE, floor(moment, QUARTER))
        if waiting:
            for scope, start in sorted({(s, floor(at, QUARTER)) for at, s, _ in waiting}):
                await self._roll_up(cluster, scope, start)
            await self._prune(moment)
        waiting = await self._repository.places(cluster, Tier.QUARTER, floor(moment, DAY))
        days = sorted({(floor(at, DAY), scope, part) for at, scope, part in waiting})
        for start, scope, part in islice(days, _DAYS_AT_ONCE):
            await self._pack_day(cluster, Span(scope, _QUARTERS, start, start + DAY, part))

    async def series(
        self,
        cluster: str,
        subject: tuple[Scope, str],
        field: str,
        since: datetime,
        until: datetime,
        *,
        fine: bool = True,
    ) -> list[Point]:
        """Return what is known of one figure from `since` to `until`, in order.

        Where minutes are still kept there is a point a minute, else one each 15 minutes.

        Args:
            cluster: Its name.
            subject: A scope, and what its samples call the subject: a node's or namespace's name,
                or `namespace/Kind/name`.
            field: One of `FIELDS`.
            since: The first moment.
            until: The moment after the last.
            fine: False: 15 minutes everywhere but at the end, which is much less to read.
        """
        first, last = int(since.timestamp()), int(until.timestamp())
        scope, name = subject
        part = part_of(name)
        stored = await self._repository.read(
            cluster, Span(scope, _QUARTERS, floor(first, DAY), last, part)
        )
        points = await asyncio.to_thread(quarters, _about(stored, name), name, field)
        begin = floor(first, QUARTER)
        if points and not fine:
            begin = max(begin, max(points) + QUARTER)
        stored = await self._repository.read(cluster, Span(scope, _MINUTES, begin, last, part))
        by_minute = await asyncio.to_thread(minutes, _about(stored, name), name, field)
        known = {floor(time, QUARTER) for time in by_minute}
        points = {time: point for time, point in points.items() if time not in known} | by_minute
        return [points[time] for time in sorted(points) if first <= time < last]

    async def oldest(self, cluster: str) -> datetime | None:
        """Return since when there are samples of a cluster."""
        found = await self._repository.oldest(cluster)
        return None if found is None else datetime.fromtimestamp(found, UTC)

    async def forget(self, cluster: str) -> None:
        """Remove the history of a cluster."""
        await self._repository.forget(cluster)

    async def _roll_up(self, cluster: str, scope: str, start: int) -> None:
        span = Span(scope, _MINUTES, start, start + QUARTER)
        stored = await self._repository.read(cluster, span)
        packed: list[StoredBlock] = []
        for part, same in groupby(sorted(stored, key=_part), key=_part):
            packed += await asyncio.to_thread(_rolled_up, scope, start, part, list(same))
        await self._repository.replace(cluster, span, packed)

    async def _pack_day(self, cluster: str, span: Span) -> None:
        stored = await self._repository.read(cluster, span)
        data = await asyncio.to_thread(_merged, stored)
        block = StoredBlock(Tier.QUARTERS, span.since, span.scope, stored[0].part, data)
        await self._repository.replace(cluster, span, [block])

    async def _prune(self, moment: int) -> None:
        """Remove the blocks that hold nothing young enough to be kept."""
        minutes = moment - self._settings.minute_hours * 3600
        quarters = moment - self._settings.quarter_days * DAY
        await self._repository.prune(_MINUTES, floor(minutes, QUARTER))
        await self._repository.prune(_QUARTERS, floor(quarters, DAY))


def _part(block: StoredBlock) -> int:
    return block.part


def _packed(sample: Sample) -> list[StoredBlock]:
    start = floor(int(sample.at.timestamp()), MINUTE)
    return [
        StoredBlock(Tier.MINUTE, start, scope, part, pack(block))
        for scope, figures in sample.figures.items()
        for part, block in split(block_of(start, figures)).items()
    ]


def _rolled_up(
    scope: str, start: int, part: int, stored: Sequence[StoredBlock]
) -> list[StoredBlock]:
    block = merge(unpack(item.data) for item in stored)
    return [
        StoredBlock(Tier.MINUTES, start, scope, part, pack(block)),
        StoredBlock(Tier.QUARTER, start, scope, part, pack(roll_up(block, start))),
    ]


def _merged(stored: Sequence[StoredBlock]) -> bytes:
    return pack(merge(unpack(item.data) for item in stored))


def _about(stored: Sequence[StoredBlock], subject: str) -> Iterator[Block]:
    return (unpack(item.data, subject) for item in stored)
