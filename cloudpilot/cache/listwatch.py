"""How one kind is listed and watched: raw bytes in, projected objects out.

The list is streamed by the watch itself where the server can do that, and fetched in pages where
not. What is decoded is decoded in small slices.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from cloudpilot.cache.decoder import ObjectDecoder
from cloudpilot.cache.pages import pages
from cloudpilot.cache.stats import InformerStats
from cloudpilot.cache.store import Key, key_of
from cloudpilot.errors import (
    CloudPilotError,
    ClusterForbidden,
    ClusterGone,
    ClusterRejected,
    ClusterUnavailable,
    MethodNotAllowed,
    NotFound,
)
from cloudpilot.kube.client import JSON, METADATA, METADATA_LIST, KubeClient
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.status import error_of_event
from cloudpilot.pace import Pace

logger = logging.getLogger(__name__)

T = TypeVar("T")

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
_BATCH = 16
"""Events decoded at once: a few milliseconds of work, their handlers included."""
_MOST_RAW_BYTES = 8 * 1024 * 1024
_SILENCE_SECONDS = 10.0


class _EventMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    annotations: dict[str, str] | None = None


class _EventObject(msgspec.Struct):
    metadata: _EventMeta = msgspec.field(default_factory=_EventMeta)


class _RawEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[T]):
    """One event of a watch. `object` is None for a bookmark, or for an object nobody can read."""

    type: str
    object: T | None
    resource_version: str
    raw: msgspec.Raw | None = None
    """The object as it was sent; borrowed from the batch, so copy what is to be kept."""
    ends_initial_events: bool = False


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """The whole content."""

    items: Sequence[T]
    resource_version: str
    """The version it is valid for."""
    raws: Mapping[Key, msgspec.Raw]
    """Items that differ from what was held, as they were sent, as far as that is at hand."""


News = Listed[T] | Sequence[WatchEvent[T]]


class ListWatch(Protocol[T]):
    """What a reflector needs of a server."""

    def list_and_watch(self, not_older_than: str) -> AsyncGenerator[News[T], None]:
        """Yield the whole content once, then batches of events; one as soon as it is watched."""

    def watch(self, resource_version: str) -> AsyncGenerator[Sequence[WatchEvent[T]], None]:
        """Yield batches of events after that version; an empty one as soon as it is open."""


O = TypeVar("O", bound=KubeObject)  # noqa: E741 - an object


class ObjectListWatch(Generic[O]):
    """Lists and watches the objects of a kind, over all namespaces.

    Args:
        client: Where to ask.
        kind: What to ask for.
        held: Returns the object that is held under a namespace and name.
        stats: Where to count.
        silence_seconds: How long a streamed list may pause before pages are tried instead.
    """

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        *,
        held: Callable[[str, str], O | None],
        stats: InformerStats,
        silence_seconds: float = _SILENCE_SECONDS,
    ) -> None:
        self._client = client
        self._kind = kind
        self._held = held
        self._stats = stats
        self._silence_seconds = silence_seconds
        self._decoder: ObjectDecoder[O] = ObjectDecoder(kind, held, stats)
        self._events = msgspec.json.Decoder(_RawEvent)
        self._streaming = _Streaming()

    async def list_and_watch(self, not_older_than: str) -> AsyncGenerator[News[O], None]:
        """List, by a stream or in pages, and go on watching from there."""
        if self._streaming.usable:
            try:
                async with aclosing(self._stream(not_older_than)) as stream:
                    async for news in stream:
                        yield news
                return
            except _NotStreamedError as error:
                logger.info("%s: listed in pages, since %s", self._kind.name, error)
        listed = await self._list(not_older_than)
        yield listed
        async with aclosing(self.watch(listed.resource_version)) as watch:
            async for events in watch:
                yield events

    def watch(self, resource_version: str) -> AsyncGenerator[Sequence[WatchEvent[O]], None]:
        """Watch with bookmarks."""
        return self._watch({"resourceVersion": resource_version, "allowWatchBookmarks": "true"})

    async def _stream(self, not_older_than: str) -> AsyncGenerator[News[O], None]:
        query = {
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "allowWatchBookmarks": "true",
        }
        if not_older_than:
            query["resourceVersion"] = not_older_than
        async with aclosing(self._watch(query)) as watch:
            try:
                listed, rest = await self._initial(watch)
            except (ClusterRejected, ClusterForbidden, MethodNotAllowed) as error:
                # Perhaps it may be listed all the same.
                self._streaming.refused()
                raise _NotStreamedError(error.message) from error
            except _NotStreamedError:
                self._streaming.refused()
                raise
            except (ClusterUnavailable, ClusterGone):
                self._streaming.failed()
                raise
            self._streaming.worked()
            yield listed
            yield rest
            async for events in watch:
                yield events

    async def _initial(
        self, watch: AsyncGenerator[Sequence[WatchEvent[O]], None]
    ) -> tuple[Listed[O], Sequence[WatchEvent[O]]]:
        """Collect until the server says that it sent everything; return what came after, too."""
        items: dict[Key, O] = {}
        raws = _Raws(self._held)
        await anext(watch)  # it is open; until then the client's own deadlines hold
        while True:
            try:
                async with asyncio.timeout(self._silence_seconds):
                    events = await anext(watch)
            except (StopAsyncIteration, TimeoutError):
                raise _NotStreamedError("the server never ended its initial events") from None
            for position, event in enumerate(events):
                if event.ends_initial_events:
                    self._stats.lists += 1
                    listed = Listed(tuple(items.values()), event.resource_version, raws.kept)
                    return listed, events[position + 1 :]
                if event.object is None:
                    continue
                key = key_of(event.object)
                if event.type == "DELETED":
                    items.pop(key, None)
                else:
                    items[key] = event.object
                    raws.keep(key, event)

    async def _list(self, not_older_than: str) -> Listed[O]:
        try:
            return await self._pages(not_older_than)
        except ClusterGone:  # a continue token expired, or that version is no longer known
            return await self._pages("")

    async def _pages(self, not_older_than: str) -> Listed[O]:
        accept = METADATA_LIST if self._kind.metadata_only else JSON
        items: dict[Key, O] = {}
        version = ""
        pace = Pace()
        async with aclosing(pages(self._client, self._kind, accept, not_older_than)) as listed:
            async for page in listed:
                version = page.metadata.resource_version
                for raw in page.items or ():
                    if (obj := self._decoder.decode(raw)) is not None:
                        items[key_of(obj)] = obj
                    await pace.breathe()
        self._stats.lists += 1
        return Listed(tuple(items.values()), version, {})

    async def _watch(
        self, query: Mapping[str, str]
    ) -> AsyncGenerator[Sequence[WatchEvent[O]], None]:
        accept = METADATA if self._kind.metadata_only else JSON
        pace = Pace()
        try:
            path = await self._client.path(self._kind)
            async with aclosing(self._client.watch(path, query, accept=accept)) as stream:
                async for lines in stream:
                    if not lines:
                        yield ()
                    for start in range(0, len(lines), _BATCH):
                        events, error = self._decode(lines[start : start + _BATCH])
                        yield events
                        if error is not None:
                            raise error
                        await pace.breathe()
        except NotFound:
            self._client.forget_version(self._kind)
            raise

    def _decode(
        self, lines: Sequence[bytes]
    ) -> tuple[Sequence[WatchEvent[O]], CloudPilotError | None]:
        """Return the events, and the error that ends them."""
        events: list[WatchEvent[O]] = []
        try:
            for line in lines:
                if line:
                    events.append(self._decode_event(line))
        except CloudPilotError as error:
            return events, error
        return events, None

    def _decode_event(self, line: bytes) -> WatchEvent[O]:
        try:
            event = self._events.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            # What it said is lost, so the content must be listed again.
            raise ClusterGone(f"the server sent an unreadable event: {error}") from None
        if event.type == "ERROR":
            status = msgspec.json.decode(event.object)
            raise error_of_event(status if isinstance(status, dict) else {})
        if event.type in ("ADDED", "MODIFIED", "DELETED"):
            obj = self._decoder.decode(event.object)
            if obj is not None:
                return WatchEvent(event.type, obj, obj.metadata.resource_version, event.object)
        try:
            meta = msgspec.json.decode(event.object, type=_EventObject).metadata
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return WatchEvent(event.type, None, "")
        ends = event.type == "BOOKMARK" and (meta.annotations or {}).get(INITIAL_EVENTS_END)
        return WatchEvent(
            event.type, None, meta.resource_version, ends_initial_events=ends == "true"
        )


class _Raws(Generic[O]):
    """Keeps what was sent of changed objects until a streamed list is complete, within limits."""

    def __init__(self, held: Callable[[str, str], O | None]) -> None:
        self.kept: dict[Key, msgspec.Raw] = {}
        self._held = held
        self._left = _MOST_RAW_BYTES

    def keep(self, key: Key, event: WatchEvent[O]) -> None:
        """Keep an event's object unless it is held already."""
        if event.raw is None or self._left <= 0 or self._held(*key) is event.object:
            return
        self._left -= memoryview(event.raw).nbytes
        self.kept[key] = event.raw


class _NotStreamedError(Exception):
    """The server does not stream lists; never leaves this module."""


class _Streaming:
    """Whether lists of a kind are streamed: found out by asking, and asked again later."""

    _REFUSED_SECONDS = 3600.0
    _FAILED_SECONDS = 60.0
    _MOST_FAILURES = 3

    def __init__(self) -> None:
        self._failures = 0
        self._not_before = 0.0

    @property
    def usable(self) -> bool:
        """Whether it is worth asking."""
        return time.monotonic() >= self._not_before

    def refused(self) -> None:
        """The server cannot do it."""
        self._not_before = time.monotonic() + self._REFUSED_SECONDS

    def failed(self) -> None:
        """It broke off; where it always does, pages may come through."""
        self._failures += 1
        if self._failures >= self._MOST_FAILURES:
            self._failures = 0
            self._not_before = time.monotonic() + self._FAILED_SECONDS

    def worked(self) -> None:
        """A list was streamed completely."""
        self._failures = 0
