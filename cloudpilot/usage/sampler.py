"""The sampler of one cluster: takes a sample every minute and hands it to the history."""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloudpilot.cache.connection import ConnectionState
from cloudpilot.cache.mirror import Mirror
from cloudpilot.db.samples import StoredBlock
from cloudpilot.errors import DatabaseUnavailable
from cloudpilot.kube.client import KubeClient
from cloudpilot.usage.history import UsageHistory
from cloudpilot.usage.points import MINUTE, Point
from cloudpilot.usage.sample import Sample, Scope, take_sample

logger = logging.getLogger(__name__)

_SPREAD_SECONDS = 20
"""Clusters are sampled in the first seconds of a minute, each at its own, the same every minute."""
_MOST_PENDING = 60
"""So many minutes wait for a database that fails; the oldest are given up."""


@dataclass(slots=True)
class SamplerStats:
    """What happened since the start."""

    taken: int = 0
    written: int = 0
    failed: int = 0
    """Writes that failed; what they held waits, up to an hour of it."""
    lost: int = 0
    """Samples that waited too long."""


class Sampler:
    """Samples one cluster.

    Promises: nothing that fails stops it; a minute in which the cluster could not be seen is not
    sampled, rather than filled with what was true before.
    """

    def __init__(
        self,
        cluster: str,
        mirror: Mirror,
        client: KubeClient,
        history: UsageHistory,
    ) -> None:
        self.history = history
        self.stats = SamplerStats()
        self.latest: Sample | None = None
        self._cluster = cluster
        self._mirror = mirror
        self._client = client
        self._pending: deque[list[StoredBlock]] = deque()
        self._measuring = asyncio.Lock()

    async def run(self) -> None:
        """Sample every minute until cancelled; not at all where the settings say so."""
        if not self.history.enabled:
            return
        offset = 1 + zlib.crc32(self._cluster.encode()) % _SPREAD_SECONDS
        while True:
            seconds = (offset - self.history.clock().timestamp()) % MINUTE
            # Waking a moment too early must not be taken for a minute that is still to come.
            await asyncio.sleep(seconds if seconds > 1 else seconds + MINUTE)
            try:
                await self.sample_once()
            except Exception:  # noqa: BLE001 - one bad minute must not end the history
                logger.exception("sampling %s failed", self._cluster)

    async def sample_once(self) -> Sample:
        """Take a sample, store it, and do what the history needs from time to time."""
        async with self._measuring:
            sample = await self._measure()
        self.stats.taken += 1
        packed = await self.history.pack(sample)
        if packed:
            self._pending.append(packed)
        try:
            await self._write()
            await self.history.tend(self._cluster)
        except DatabaseUnavailable as error:
            self.stats.failed += 1
            logger.warning("samples of %s wait: %s", self._cluster, error.message)
        return sample

    async def current(self) -> Sample:
        """Return a sample of the last minute, taking one if there is none.

        Of a cluster that cannot be seen now it is the last sample in which it was.
        """
        async with self._measuring:
            newest = self.latest
            dead = self._mirror.connection.state is ConnectionState.UNREACHABLE
            young = newest and self.history.clock() - newest.at < timedelta(seconds=MINUTE)
            if newest and (young or dead):
                return newest
            return await self._measure()

    async def oldest(self) -> datetime | None:
        """Return since when there are samples."""
        return await self.history.oldest(self._cluster)

    async def series(
        self,
        subject: tuple[Scope, str],
        field: str,
        since: datetime,
        until: datetime,
        *,
        fine: bool = True,
    ) -> list[Point]:
        """Return what is known of one figure of this cluster (see `UsageHistory.series`)."""
        return await self.history.series(self._cluster, subject, field, since, until, fine=fine)

    async def _measure(self) -> Sample:
        sample = await take_sample(self._mirror, self._client, self.history.clock())
        if self.latest is None or any(sample.figures.values()):
            self.latest = sample
        return sample

    async def _write(self) -> None:
        while len(self._pending) > _MOST_PENDING:
            self._pending.popleft()
            self.stats.lost += 1
        minutes = list(self._pending)
        await self.history.write(self._cluster, [block for packed in minutes for block in packed])
        self._pending.clear()
        self.stats.written += len(minutes)
