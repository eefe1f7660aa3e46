"""The journal of one cluster: what changed when, in memory at once, stored a second later.

The mirror's handler only puts deltas aside; what they mean is worked out in small slices, so that
no burst of changes delays the mirror. Whatever cannot be kept is counted.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from cloudpilot.cache.delta import Delta
from cloudpilot.cache.mirror import Mirror
from cloudpilot.db.journal import JournalRepository
from cloudpilot.db.journal_records import Entry, EntryQuery, LastState, Occurrence, Period
from cloudpilot.errors import DatabaseUnavailable
from cloudpilot.graph.owners import top_owner
from cloudpilot.journal.changes import changes, is_noise
from cloudpilot.journal.events import EventKeeper
from cloudpilot.journal.logs import LogTails
from cloudpilot.journal.pods import FailingPods
from cloudpilot.journal.unseen import Unseen, unseen_of
from cloudpilot.journal.writer import JournalStats, JournalWriter
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.pace import Pace
from cloudpilot.settings import JournalSettings

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_LAST_WORDS_SECONDS = 2.0
_LAST_NOTE = timedelta(seconds=15)


def system_clock() -> datetime:
    """Return the present, in UTC."""
    return datetime.now(UTC)


class Journal:
    """Remembers the changes of one cluster.

    Promises: `observe` returns at once; memory is bounded; what was written survives a crash; an
    answer says when nobody was watching. Does not promise that a change which was undone between
    two looks is seen, nor the last second before a crash.
    """

    def __init__(
        self,
        cluster: str,
        client: KubeClient,
        repository: JournalRepository,
        settings: JournalSettings,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self.cluster = cluster
        self.clock = clock
        self._repository = repository
        self._settings = settings
        self._mirror: Mirror | None = None
        self._inbox: deque[tuple[Delta | Unseen, datetime]] = deque()
        self._arrived = asyncio.Event()
        self._ring: deque[Entry] = deque(maxlen=settings.ring_entries)
        self._events = EventKeeper(self._owner_of_name)
        self._failing = FailingPods()
        self._tails = LogTails(client, settings.log_tails_per_minute)
        self._writer = JournalWriter(cluster, repository, settings, clock, self._events)

    @property
    def stats(self) -> JournalStats:
        """Running figures, for metrics."""
        return self._writer.stats

    def attach(self, mirror: Mirror) -> None:
        """Follow a mirror from now on."""
        self._mirror = mirror
        mirror.add_handler(self.observe)

    def observe(self, delta: Delta) -> None:
        """Put a delta aside (called by the mirror)."""
        if delta.kind.name == "Event":
            self._events.note(delta, self.clock())
            return
        item: Delta | Unseen | None = delta
        if delta.is_in_initial_list:
            watched = self._writer.times.last.get(delta.kind.name)
            item = unseen_of(delta, watched) if self._may_have_changed(delta) else None
        elif is_noise(delta):
            return
        elif delta.raw is not None:
            # Pods have no managers worth the memory of a copy.
            raw = None if delta.kind.name == "Pod" else msgspec.Raw(bytes(delta.raw))
            item = replace(delta, raw=raw)
        if item is None:
            return
        self.stats.seen += 1
        if len(self._inbox) >= self._settings.inbox_deltas:
            self.stats.dropped += 1
            return
        self._inbox.append((item, self.clock()))
        self._arrived.set()

    async def run(self) -> None:
        """Work out what deltas mean and write it down, until cancelled; then write the rest."""
        try:
            await self._writer.recall()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._digest(), name=f"journal {self.cluster}")
                group.create_task(self._look(), name=f"journal times {self.cluster}")
                group.create_task(self._writer.run(), name=f"journal writer {self.cluster}")
                group.create_task(self._tails.run(), name=f"journal logs {self.cluster}")
        finally:
            await self._finish()

    # -- answers ---------------------------------------------------------------------------------

    async def entries(self, query: EntryQuery) -> list[Entry]:
        """Return entries, newest first, written or not.

        Raises:
            DatabaseUnavailable: only what is in memory could be told; `recent` tells it.
        """
        # Memory first: what is written meanwhile is then found in both, not in none.
        unwritten = [entry for entry in self._writer.unwritten() if query.wants(entry, entry.time)]
        stored = await self._repository.entries(self.cluster, query)
        merged = {entry.id: entry for entry in (*stored, *unwritten)}
        return _newest(merged.values(), query.limit)

    def recent(self, query: EntryQuery) -> list[Entry]:
        """Return the entries that are still in memory, newest first."""
        return _newest((e for e in self._ring if query.wants(e, e.time)), query.limit)

    async def occurrences(self, query: EntryQuery) -> list[Occurrence]:
        """Return Events, the latest first."""
        pending = self._events.pending()
        found = {item.key: item for item in await self._repository.occurrences(self.cluster, query)}
        for item in pending:
            if not query.wants(item, item.last):
                continue
            old = found.get(item.key)
            if old is not None:
                count = max(old.count + item.more, item.count)
                item = msgspec.structs.replace(item, count=count, first=min(old.first, item.first))
            found[item.key] = item
        latest = sorted(found.values(), key=lambda item: item.last, reverse=True)
        return latest[: query.limit]

    async def last_states(self, query: EntryQuery) -> list[LastState]:
        """Return pods that went away while they failed, the last ones first."""
        fresh = {pod.uid: pod for pod in self._writer.gone if query.wants(pod, pod.gone)}
        stored = {pod.uid: pod for pod in await self._repository.pods(self.cluster, query)}
        return sorted((fresh | stored).values(), key=lambda pod: pod.gone, reverse=True)[
            : query.limit
        ]

    async def periods(self) -> list[Period]:
        """Return every time of watching that is remembered."""
        unsaved = {period.id: period for period in self._writer.times.unsaved()}
        stored = await self._repository.coverage(self.cluster)
        return [*(p for p in stored if p.id not in unsaved), *unsaved.values()]

    def _may_have_changed(self, delta: Delta) -> bool:
        """Tell whether an object that is found must be looked at: a kind never seen has no past."""
        return delta.kind.name == "Pod" or self._writer.may_have_seen(delta.kind.name)

    # -- from deltas to entries ------------------------------------------------------------------

    async def _digest(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            pace = Pace()
            while self._inbox:
                item, now = self._inbox.popleft()
                try:
                    await self._take(item, now)
                except Exception:  # noqa: BLE001 - one odd object must not end the journal
                    logger.exception("the journal could not read a change")
                    self.stats.dropped += 1
                await pace.breathe()

    async def _take(self, item: Delta | Unseen, now: datetime) -> None:
        if isinstance(item, Unseen):
            await self._take_unseen(item, now)
            return
        obj: KubeObject = item.new if item.new is not None else item.old
        entries = changes(item, now)
        if item.kind.name != "Pod":
            self._add(entries, obj)
            return
        owner = self._owner_of(obj) if entries else ("", "")
        self._add(self._failing.follow(item, entries, owner), obj)
        self._writer.gone.extend(self._failing.gone)
        self._failing.gone.clear()
        failing = self._failing.get(obj.metadata.uid)
        if failing is not None and entries and item.new is not None:
            await self._tails.want(failing)
        if item.new is None:
            self._tails.forget(obj.metadata.uid)

    async def _take_unseen(self, item: Unseen, now: datetime) -> None:
        """Tell what happened to an object while nobody watched its kind."""
        watched = item.watched or self._writer.watched_before.get(item.kind.name)
        obj = item.object
        if item.pod is not None:
            told = self._failing.first_seen(item.pod, self._owner_of(obj), now)
            failing = self._failing.get(obj.metadata.uid)
            if failing is not None:
                await self._tails.want(failing)
            entries = [told] if told is not None and watched and told.time > watched else []
        else:
            entries = item.entries(watched) if watched is not None else []
        if entries and not await self._is_known(entries[0]):
            self._add(entries, obj)

    async def _is_known(self, entry: Entry) -> bool:
        """Tell whether it was told just before a crash, after the last note that it was watched."""
        query = EntryQuery(
            since=entry.time - _LAST_NOTE,
            until=entry.time + _LAST_NOTE,
            kind=entry.kind,
            namespace=entry.namespace,
            name=entry.name,
            owned=False,
            limit=1,
        )
        try:
            return bool(await self.entries(query))
        except DatabaseUnavailable:
            return False

    def _add(self, entries: Sequence[Entry], obj: KubeObject) -> None:
        if not entries:
            return
        kind, name = self._owner_of(obj)
        for entry in entries:
            told = msgspec.structs.replace(
                entry, id=self._writer.next_id(), owner_kind=kind, owner_name=name
            )
            self._ring.append(told)
            self._writer.add(told)

    def _owner_of(self, obj: KubeObject) -> tuple[str, str]:
        return top_owner(obj, self._find)

    def _owner_of_name(self, kind: str, namespace: str, name: str) -> tuple[str, str]:
        obj = self._find(kind, namespace, name)
        return self._owner_of(obj) if obj is not None else ("", "")

    def _find(self, kind: str, namespace: str, name: str) -> KubeObject | None:
        informer: Any = self._mirror.peek(kind) if self._mirror is not None else None
        found: KubeObject | None = informer.get(namespace, name) if informer is not None else None
        return found

    async def _look(self) -> None:
        """Follow which kinds are being watched, and find out which cluster this is."""
        while self._mirror is not None:
            self._writer.times.look(self.clock(), self._mirror.states())
            system = self._find("Namespace", "", "kube-system")
            if system is not None:
                # A simulated cluster has the same UIDs at each start, but was made at another time.
                metadata = system.metadata
                self._writer.identity = f"{metadata.uid} {metadata.creation_timestamp}"
            await asyncio.sleep(_LOOK_SECONDS)

    async def _finish(self) -> None:
        """Write what is left, within a moment."""
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                while self._inbox:
                    await self._take(*self._inbox.popleft())
                if self._mirror is not None:
                    self._writer.times.look(self.clock(), self._mirror.states())
                await self._writer.finish()
        except (TimeoutError, DatabaseUnavailable) as error:
            logger.warning("the end of the journal of %s is lost: %s", self.cluster, error)


def _newest(entries: Iterable[Entry], limit: int) -> list[Entry]:
    return sorted(entries, key=lambda entry: (entry.time, entry.id), reverse=True)[:limit]


@dataclass(frozen=True, slots=True)
class Journals:
    """What all clusters' journals have in common."""

    repository: JournalRepository
    settings: JournalSettings
    clock: Callable[[], datetime] = system_clock

    def of(self, cluster: str, client: KubeClient) -> Journal:
        """Begin the journal of a cluster, or go on with it."""
        return Journal(cluster, client, self.repository, self.settings, self.clock)

    async def forget(self, cluster: str) -> None:
        """Remove everything about a cluster."""
        await self.repository.forget(cluster)
