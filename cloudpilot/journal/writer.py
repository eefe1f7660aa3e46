"""Writes a journal to the database, in batches and behind everybody's back.

A database that is slow or down delays nobody: what waits is bounded, and what is lost is counted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from cloudpilot.db.journal import JournalRepository
from cloudpilot.db.journal_records import Entry, LastState
from cloudpilot.errors import DatabaseUnavailable
from cloudpilot.journal.coverage import WatchTimes
from cloudpilot.journal.events import EventKeeper
from cloudpilot.settings import JournalSettings

logger = logging.getLogger(__name__)

_WRITE_SECONDS = 1.0
_BATCH = 500
_COVER_SECONDS = 10.0
_PRUNE_SECONDS = 3600.0
_LONGEST_PAUSE = 30.0


@dataclass(slots=True)
class JournalStats:
    """Running figures, for metrics."""

    seen: int = 0
    """Deltas that may mean something."""
    entries: int = 0
    written: int = 0
    """Entries that are in the database."""
    dropped: int = 0
    """Deltas, entries and Events that were lost because there were too many at once."""
    failures: int = 0
    """Writes that the database refused."""
    queued: int = 0
    """Entries that wait to be written."""


class JournalWriter:
    """What waits to be written of one cluster's journal, and who writes it."""

    def __init__(
        self,
        cluster: str,
        repository: JournalRepository,
        settings: JournalSettings,
        clock: Callable[[], datetime],
        events: EventKeeper,
    ) -> None:
        self.stats = JournalStats()
        self._waiting: deque[Entry] = deque()
        self._writing: list[Entry] = []
        self.gone: deque[LastState] = deque(maxlen=_BATCH)
        self.times = WatchTimes(self.next_id)
        self.identity = ""
        """Which cluster this is; empty as long as nobody knows."""
        self.watched_before: dict[str, datetime] = {}
        """Until when each kind was watched before this run."""
        self._cluster = cluster
        self._repository = repository
        self._settings = settings
        self._clock = clock
        self._events = events
        self._recalled = False
        self._adopted = ""
        self._last_id = 0
        self._full_batch = asyncio.Event()
        self._next_cover = self._next_prune = 0.0

    def next_id(self) -> int:
        """Return an id that was never given before, nor in a run before this one."""
        self._last_id = max(self._last_id + 1, time.time_ns())
        return self._last_id

    def add(self, entry: Entry) -> None:
        """Have an entry written soon; the oldest makes room if there are too many."""
        self._waiting.append(entry)
        self.stats.entries += 1
        self._make_room()
        if len(self._waiting) >= _BATCH:
            self._full_batch.set()

    def unwritten(self) -> Iterator[Entry]:
        """Yield what is not known to be in the database yet."""
        yield from self._writing
        yield from self._waiting

    def may_have_seen(self, kind: str) -> bool:
        """Say whether a kind may have been watched before it is listed now."""
        return not self._recalled or kind in self.watched_before or kind in self.times.last

    async def recall(self) -> None:
        """Find out until when which kind was watched before; wait for a database that is down."""
        pause = _WRITE_SECONDS
        while not self._recalled:
            try:
                for period in await self._repository.coverage(self._cluster):
                    last = self.watched_before.get(period.kind, period.until)
                    self.watched_before[period.kind] = max(last, period.until)
                self._recalled = True
            except DatabaseUnavailable as error:
                pause = await self._wait(error, pause)

    async def run(self) -> None:
        """Write once a second, or as soon as there is a batch, until cancelled."""
        pause = _WRITE_SECONDS
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await self._full_batch.wait()
            try:
                await self._adopt()
                await self._write()
                await self._cover_and_prune()
                pause = _WRITE_SECONDS
            except DatabaseUnavailable as error:
                pause = await self._wait(error, pause)
            except Exception:  # noqa: BLE001 - no fault of the journal may stop the mirror
                logger.exception("journal of %s: the writer stumbled", self._cluster)

    async def finish(self) -> None:
        """Write the rest.

        Raises:
            DatabaseUnavailable: it cannot be written.
        """
        await self._write()
        await self._cover()

    async def _adopt(self) -> None:
        """Make sure that what is stored under this name is about this cluster."""
        if self.identity == self._adopted:
            return
        identity = self.identity
        if await self._repository.adopt(self._cluster, identity):
            logger.warning("%s is another cluster than before: its journal begins", self._cluster)
            self.watched_before.clear()
        self._adopted = identity

    async def _write(self) -> None:
        """Write everything that waits, batch by batch."""
        self._full_batch.clear()
        while True:
            entries = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            occurrences = self._events.take(_BATCH)
            pods = list(self.gone)
            if not (entries or occurrences or pods):
                return
            self._writing = entries
            try:
                await self._repository.write(self._cluster, entries, occurrences, pods)
                self.stats.written += len(entries)
            except (DatabaseUnavailable, asyncio.CancelledError):
                self._events.put_back(occurrences)
                self._waiting.extendleft(reversed(entries))
                raise
            except Exception:  # noqa: BLE001 - what the database refuses now it refuses for ever
                logger.exception("journal of %s: a batch cannot be stored", self._cluster)
                self.stats.dropped += len(entries) + len(occurrences)
            finally:
                self._writing = []
                self._make_room()
            self._forget(pods)

    def _make_room(self) -> None:
        """Drop the oldest of what waits if it is too much."""
        while len(self._waiting) > self._settings.ring_entries:
            self._waiting.popleft()
            self.stats.dropped += 1
        self.stats.queued = len(self._waiting) + len(self._writing)

    def _forget(self, pods: list[LastState]) -> None:
        """Take off the queue what was written, as far as it was not dropped meanwhile."""
        written = {pod.uid for pod in pods}
        while self.gone and self.gone[0].uid in written:
            self.gone.popleft()

    async def _cover_and_prune(self) -> None:
        now = time.monotonic()
        if now >= self._next_cover:
            await self._cover()
            self._next_cover = now + _COVER_SECONDS
        if now >= self._next_prune:
            before = self._clock() - timedelta(days=self._settings.retention_days)
            stored = self._settings.stored_entries
            removed = await self._repository.prune(self._cluster, before, stored)
            if removed:
                logger.info("journal of %s: %d old rows removed", self._cluster, removed)
            self._next_prune = now + _PRUNE_SECONDS

    async def _cover(self) -> None:
        periods = self.times.unsaved()
        await self._repository.cover(self._cluster, self._adopted, periods)
        self.times.saved(periods)

    async def _wait(self, error: DatabaseUnavailable, pause: float) -> float:
        """Wait for the database; return how long to wait the next time."""
        if not self.stats.failures:
            logger.warning("journal of %s: %s", self._cluster, error.message)
        self.stats.failures += 1
        await asyncio.sleep(pause)
        return min(pause * 2, _LONGEST_PAUSE)
