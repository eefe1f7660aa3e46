"""The reflector: lists a kind, watches it for ever, and keeps a store up to date.

It hides that a server closes streams, expires them (410), falls silent, or forbids watching; it
never hides that the mirror is behind: its state says so.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import msgspec

from cloudpilot.cache.backoff import Backoff
from cloudpilot.cache.listwatch import Listed, ListWatch, WatchEvent
from cloudpilot.cache.stats import InformerStats
from cloudpilot.cache.store import Key
from cloudpilot.cache.versions import precedes
from cloudpilot.errors import (
    CloudPilotError,
    ClusterForbidden,
    ClusterGone,
    ClusterRejected,
    ClusterUnavailable,
    MethodNotAllowed,
    NotFound,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SHORTEST_WATCH_SECONDS = 1.0
_SPREAD_SECONDS = 0.5
"""All kinds of a cluster are told at once to go on; they do so one after another."""


class SyncStatus(StrEnum):
    """How current a kind is."""

    SYNCING = "syncing"
    LIVE = "live"
    POLLING = "polling"
    """Watching is forbidden; listed again on a timer."""
    FORBIDDEN = "forbidden"
    NOT_INSTALLED = "not installed"
    UNREACHABLE = "unreachable"


@dataclass(slots=True)
class SyncState:
    """Where a kind stands; read by everyone, written by its reflector."""

    status: SyncStatus = SyncStatus.SYNCING
    """Live until a broken stream is known not to come back."""
    synced: bool = False
    """Whether it was listed completely at least once."""
    reason: str = ""
    contact: datetime | None = None
    """When the server last confirmed the content."""
    streaming: bool = False
    """Whether a stream of changes is open now."""

    @property
    def known(self) -> bool:
        """Whether the content can be spoken of: forbidden and absent kinds have none."""
        return self.synced and self.status not in (
            SyncStatus.FORBIDDEN,
            SyncStatus.NOT_INSTALLED,
        )

    @property
    def as_of(self) -> datetime | None:
        """The time the content is true for: now while a stream is open."""
        if self.streaming and self.status is SyncStatus.LIVE:
            return datetime.now(UTC)
        return self.contact


T_contra = TypeVar("T_contra", contravariant=True)


class ReflectorStore(Protocol[T_contra]):
    """What a reflector needs of a store."""

    async def replace(
        self, items: Sequence[T_contra], raws: Mapping[Key, msgspec.Raw] | None = None
    ) -> None:
        """Make this the whole content; `raws` are some of the items as they were sent."""

    def apply(self, event_type: str, item: T_contra, raw: msgspec.Raw | None) -> None:
        """Apply one event; `raw` is the object as it was sent."""

    def withdraw(self) -> None:
        """Drop the content: it may no longer be read."""


class Reflector(Generic[T]):
    """Keeps one store equal to one kind of one cluster.

    Promises: events of one object are applied in order; after 410 everything is listed again; a
    failure is visible in `state` and retried for ever. Does not promise that every intermediate
    state is seen.
    """

    def __init__(
        self,
        name: str,
        source: ListWatch[T],
        store: ReflectorStore[T],
        *,
        poll_seconds: float,
        stats: InformerStats,
    ) -> None:
        self.name = name
        self.state = SyncState()
        self.settled = asyncio.Event()
        """Set once the kind is live, or why it could not be is known."""
        self.stats = stats
        self.version: str | None = None
        """The resourceVersion up to which everything was applied; None before a list."""
        self._source = source
        self._store = store
        self._poll_seconds = poll_seconds
        self._backoff = Backoff()
        self._not_older_than = ""
        self._must_list = ""
        self._scope: asyncio.Timeout | None = None
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            self._wake.clear()
            await self._pause(await self._attempt())

    def retry_now(self) -> None:
        """End a wait for the next attempt: the server is known to answer again."""
        self._backoff.reset()
        self._wake.set()

    def reconnect(self) -> None:
        """Drop what is open, which may be dead, and go on from the last resourceVersion."""
        self._wake.set()
        scope, self._scope = self._scope, None
        if scope is not None:
            scope.reschedule(asyncio.get_running_loop().time())

    def relist(self, reason: str) -> None:
        """Drop what is open and list everything again: the content is known to be wrong."""
        self._must_list = reason
        self.reconnect()

    async def _attempt(self) -> float:
        """List if need be, and watch for as long as it lasts; return how long to wait, in s."""
        if self._must_list:
            self.version, self._not_older_than = None, ""
            self._change(SyncStatus.SYNCING, f"listing again: {self._must_list}")
            self._must_list = ""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scope = scope
                try:
                    return await self._list_and_watch()
                finally:
                    self._scope = None
                    self.state.streaming = False
        except ClusterGone as error:
            return self._gone(error)
        except CloudPilotError as error:
            return await self._fail(error)
        except Exception as error:  # noqa: BLE001 - the loop of one kind outlives any surprise
            if scope.expired():  # reconnect() asked for that
                return 0.0
            logger.exception("%s: the reflector stumbled", self.name)
            self.version = None
            return await self._fail(ClusterUnavailable(type(error).__name__))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        await asyncio.sleep(random.uniform(0, _SPREAD_SECONDS))  # noqa: S311 - jitter

    async def _list_and_watch(self) -> float:
        started = time.monotonic()
        resumed = self.version is not None
        try:
            await self._follow()
        except (ClusterForbidden, MethodNotAllowed) as error:
            if self.version is None:  # the list itself
                raise
            self.version = None
            if resumed:
                return 0.0  # a list will tell what may still be read
            self._change(SyncStatus.POLLING, f"watch: {error.message}")
            return self._poll_seconds
        self._confirm(self.state.status)  # it ended in good order: nothing was missed till now
        short = time.monotonic() - started < _SHORTEST_WATCH_SECONDS
        return self._backoff.next() if short else 0.0

    async def _follow(self) -> None:
        if self.version is None:
            stream = self._source.list_and_watch(self._not_older_than)
        else:
            stream = self._source.watch(self.version)
        async with aclosing(stream) as all_news:
            async for news in all_news:
                if isinstance(news, Listed):
                    await self._store.replace(news.items, news.raws)
                    self.version, self._not_older_than = news.resource_version, ""
                    # Until the watch is open the content is as old as the list.
                    self._confirm(self.state.status)
                    continue
                if not self.state.streaming:
                    self.state.streaming = True
                    self.stats.watches += 1
                self._apply(news)
                self._confirm(SyncStatus.LIVE)

    def _apply(self, events: Sequence[WatchEvent[T]]) -> None:
        for event in events:
            if event.object is not None:
                self.stats.events += 1
                self._store.apply(event.type, event.object, event.raw)
            if event.resource_version and not precedes(event.resource_version, self.version or ""):
                self.version = event.resource_version

    def _confirm(self, status: SyncStatus) -> None:
        self.state.synced = True
        self.state.contact = datetime.now(UTC)
        self._change(status)

    def _gone(self, error: ClusterGone) -> float:
        """List again: not older than what is known, and at the second time just the newest."""
        self.stats.gone += 1
        if self.version is None and not self._not_older_than:
            self._change(SyncStatus.UNREACHABLE, error.message)
        else:
            self._change(SyncStatus.SYNCING, f"listing again: {error.message}")
        self._not_older_than, self.version = self.version or "", None
        return self._backoff.next()

    async def _fail(self, error: CloudPilotError) -> float:
        """Note why the kind is behind; return how long to wait, in seconds."""
        self.stats.errors += 1
        if self.version is None:
            self._not_older_than = ""  # perhaps no server is that new: one restored from a backup
        if isinstance(error, ClusterForbidden):
            self.version = None
            self._store.withdraw()  # what may not be read may not be shown either
            self._change(SyncStatus.FORBIDDEN, error.message)
            return self._poll_seconds
        if isinstance(error, NotFound):
            self.version = None
            await self._store.replace(())
            self._change(SyncStatus.NOT_INSTALLED, error.message)
            return self._poll_seconds
        if isinstance(error, ClusterRejected):
            self.version = None
        self._change(SyncStatus.UNREACHABLE, error.message)
        wait = self._backoff.next()
        retry_after = getattr(error, "retry_after_seconds", None)
        return max(wait, retry_after or 0.0)

    def _change(self, status: SyncStatus, reason: str = "") -> None:
        before = self.state.status
        self.state.status = status
        self.state.reason = reason
        if status is not SyncStatus.SYNCING:
            self.settled.set()
        if status is not before:
            # That all goes well, fifty times a cluster, is no news.
            expected = before is SyncStatus.SYNCING and status is SyncStatus.LIVE
            level = logging.DEBUG if expected else logging.INFO
            logger.log(level, "%s: %s%s", self.name, status.value, f" ({reason})" if reason else "")
