"""The reflector: lists a kind, watches it for ever, and keeps a store up to date.

It hides that a server closes streams, expires them (410), falls silent, or forbids watching; it
never hides that the mirror is behind: its state says so.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import msgspec

from cloudpilot.cache.listwatch import ListWatch
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
    synced: bool = False
    """Whether it was listed completely at least once."""
    reason: str = ""
    contact: datetime | None = None
    """When the server last confirmed the content."""

    @property
    def known(self) -> bool:
        """Whether the content can be spoken of: forbidden and absent kinds have none."""
        return self.synced and self.status not in (
            SyncStatus.FORBIDDEN,
            SyncStatus.NOT_INSTALLED,
        )

    @property
    def as_of(self) -> datetime | None:
        """The time the content is true for: now while a watch is open."""
        if self.status is SyncStatus.LIVE:
            return datetime.now(UTC)
        return self.contact


T_contra = TypeVar("T_contra", contravariant=True)


class ReflectorStore(Protocol[T_contra]):
    """The two methods a reflector needs of a store."""

    def replace(self, items: Sequence[T_contra]) -> None:
        """Make this the whole content."""

    def apply(self, event_type: str, item: T_contra, raw: msgspec.Raw | None) -> None:
        """Apply one event; `raw` is the object as it was sent."""


class Backoff:
    """client-go's: 0.8 s to 30 s, doubled, with jitter, reset after two quiet minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = 0.8
        self._last = clock()

    def next(self) -> float:
        """Return how long to wait before the next attempt, in seconds."""
        if self._clock() - self._last > 120:
            self._seconds = 0.8
        self._last = self._clock()
        wait = self._seconds * random.uniform(1, 2)  # noqa: S311 - jitter
        self._seconds = min(self._seconds * 2, 30.0)
        return min(wait, 30.0)


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
    ) -> None:
        self.name = name
        self.state = SyncState()
        self._source = source
        self._store = store
        self._poll_seconds = poll_seconds
        self.settled = asyncio.Event()
        """Set once the kind is live, or why it could not be is known."""
        self._backoff = Backoff()
        self._version: str | None = None

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                await self._list_and_watch()
            except ClusterGone as error:
                if self._version is None:  # the list itself
                    await asyncio.sleep(self._fail(ClusterUnavailable(error.message)))
                    continue
                self._version = None
                self._change(SyncStatus.SYNCING, f"listing again: {error.message}")
                await asyncio.sleep(self._backoff.next())
            except CloudPilotError as error:
                await asyncio.sleep(self._fail(error))
            except Exception as error:  # noqa: BLE001 - the loop of one kind outlives any surprise
                logger.exception("%s: the reflector stumbled", self.name)
                self._version = None
                await asyncio.sleep(self._fail(ClusterUnavailable(type(error).__name__)))

    async def _list_and_watch(self) -> None:
        if self._version is None:
            items, version = await self._source.list()
            self._store.replace(items)
            self._version = version
            # Until the watch is open the content is as old as the list.
            self._confirm(self.state.status)
        started = time.monotonic()
        try:
            await self._watch(self._version)
        except (ClusterForbidden, MethodNotAllowed) as error:
            self._confirm(SyncStatus.POLLING, f"watch: {error.message}")
            self._version = None
            await asyncio.sleep(self._poll_seconds)
            return
        if time.monotonic() - started < 1.0:
            await asyncio.sleep(self._backoff.next())

    async def _watch(self, version: str) -> None:
        async with aclosing(self._source.watch(version)) as stream:
            async for events in stream:
                for event in events:
                    if event.object is not None:
                        self._store.apply(event.type, event.object, event.raw)
                    if event.resource_version:
                        self._version = event.resource_version
                self._confirm(SyncStatus.LIVE)

    def _confirm(self, status: SyncStatus, reason: str = "") -> None:
        self.state.synced = True
        self.state.contact = datetime.now(UTC)
        self._change(status, reason)

    def _fail(self, error: CloudPilotError) -> float:
        """Note why the kind is behind; return how long to wait, in seconds."""
        if isinstance(error, ClusterForbidden):
            self._version = None
            self._store.replace([])  # what may not be read may not be shown either
            self._change(SyncStatus.FORBIDDEN, error.message)
            return self._poll_seconds
        if isinstance(error, NotFound):
            self._version = None
            self._store.replace([])
            self._change(SyncStatus.NOT_INSTALLED, error.message)
            return self._poll_seconds
        if isinstance(error, ClusterRejected):
            self._version = None
        self._change(SyncStatus.UNREACHABLE, error.message)
        wait = self._backoff.next()
        retry_after = getattr(error, "retry_after_seconds", None)
        return max(wait, retry_after or 0.0)

    def _change(self, status: SyncStatus, reason: str = "") -> None:
        changed = status is not self.state.status
        self.state.status = status
        self.state.reason = reason
        if status is not SyncStatus.SYNCING:
            self.settled.set()
        if changed:
            logger.info("%s: %s%s", self.name, status.value, f" ({reason})" if reason else "")
