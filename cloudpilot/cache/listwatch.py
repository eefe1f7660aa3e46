"""How one kind is listed and watched: pages of raw bytes in, projected objects out.

Two sources: objects of a kind, and the bare number of Secrets or ConfigMaps, for which only a
table without the objects is asked of the server, so that no content ever crosses the wire.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from cloudpilot.errors import ClusterGone, ClusterUnavailable, NotFound
from cloudpilot.kube.client import TABLE_WITHOUT_OBJECTS, KubeClient
from cloudpilot.kube.kinds import Kind, KubeObject
from cloudpilot.kube.status import error_of_event

logger = logging.getLogger(__name__)

T = TypeVar("T")
PAGE_SIZE = 500
_MOST_PAGES = 2000
_HEAD_START_SECONDS = 0.001
"""Enough for the loop to send the next request before a page is decoded on it."""


class ListMeta(msgspec.Struct, rename="camel", gc=False):
    """The metadata of a list."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")
    remaining_item_count: int | None = None


class _ListHead(msgspec.Struct):
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)


class _RawList(msgspec.Struct):
    items: list[msgspec.Raw] | None = None


class _RawEvent(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _EventMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""


class _EventObject(msgspec.Struct):
    metadata: _EventMeta = msgspec.field(default_factory=_EventMeta)


@dataclass(frozen=True, slots=True)
class WatchEvent(Generic[T]):
    """One event of a watch. `object` is None for a bookmark, or for an object nobody can read."""

    type: str
    object: T | None
    resource_version: str


class ListWatch(Protocol[T]):
    """What a reflector needs of a server."""

    async def list(self) -> tuple[Sequence[T], str]:
        """Return every item and the resourceVersion it is valid for."""

    def watch(self, resource_version: str) -> AsyncGenerator[Sequence[WatchEvent[T]], None]:
        """Yield batches of events after that version; an empty one as soon as it is open."""


O = TypeVar("O", bound=KubeObject)  # noqa: E741 - an object


class ObjectListWatch(Generic[O]):
    """Lists and watches the objects of a kind, over all namespaces.

    An object that cannot be read, even tolerantly, is skipped, counted and logged: one poisoned
    object never hides the others.
    """

    def __init__(self, client: KubeClient, kind: Kind, projection: type[O]) -> None:
        self._client = client
        self._kind = kind
        self._projection = projection
        self._decoder = msgspec.json.Decoder(projection)
        self._pages = msgspec.json.Decoder(_page_type(projection))
        self._events = msgspec.json.Decoder(_RawEvent)
        self.unreadable = 0

    async def list(self) -> tuple[Sequence[O], str]:
        """List page by page; an expired continue token starts the list again, once."""
        for attempt in (1, 2):
            try:
                return await self._list()
            except ClusterGone:
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    async def _list(self) -> tuple[Sequence[O], str]:
        path = await self._client.path(self._kind)
        items: deque[O] = deque()
        token = ""
        body = await self._fetch(path, token)
        for _ in range(_MOST_PAGES):
            meta = _checked(_decode_json(body, _ListHead).metadata)
            if not meta.continue_:
                items += self._decode_page(body)
                return tuple(items), meta.resource_version
            if meta.continue_ == token:
                break
            token = meta.continue_
            # The server makes the next page while this one is decoded.
            following = asyncio.create_task(self._fetch(path, token))
            try:
                await asyncio.sleep(_HEAD_START_SECONDS)
                items += self._decode_page(body)
                body = await following
            finally:
                following.cancel()
        raise ClusterUnavailable("the server's list never ends")

    async def _fetch(self, path: str, token: str) -> bytes:
        query: dict[str, str | int] = {"limit": PAGE_SIZE}
        if token:
            query["continue"] = token
        try:
            return (await self._client.request("GET", path, query=query, read_seconds=60.0)).body
        except NotFound:
            self._client.forget_version(self._kind)
            raise

    async def watch(self, resource_version: str) -> AsyncGenerator[Sequence[WatchEvent[O]], None]:
        """Watch with bookmarks."""
        path = await self._client.path(self._kind)
        query = {"resourceVersion": resource_version, "allowWatchBookmarks": "true"}
        async with aclosing(self._client.watch(path, query)) as stream:
            async for lines in stream:
                yield [self._decode_event(line) for line in lines if line]

    def _decode_page(self, body: bytes) -> Sequence[O]:
        try:
            page: Any = self._pages.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raw = _decode_json(body, _RawList)
            decoded = (self._decode_object(item) for item in raw.items or [])
            return [item for item in decoded if item is not None]
        return page.items or ()

    def _decode_object(self, raw: msgspec.Raw) -> O | None:
        try:
            return self._decoder.decode(raw)
        except (msgspec.ValidationError, UnicodeDecodeError):
            pass
        try:
            plain = _without_nulls(msgspec.json.decode(raw))
            return msgspec.convert(plain, self._projection, strict=False)
        except (msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            self.unreadable += 1
            logger.warning("skipped an unreadable %s: %s", self._kind.name, error)
            return None

    def _decode_event(self, line: bytes) -> WatchEvent[O]:
        event = _decode_event_line(self._events, line)
        if event.type in ("ADDED", "MODIFIED", "DELETED"):
            obj = self._decode_object(event.object)
            if obj is not None:
                return WatchEvent(event.type, obj, obj.metadata.resource_version)
        meta = _decode_json(event.object, _EventObject)
        return WatchEvent(event.type, None, meta.metadata.resource_version)


class CountListWatch:
    """Counts a core kind without ever receiving one of its objects."""

    def __init__(self, client: KubeClient, plural: str) -> None:
        self._client = client
        self._path = f"/api/v1/{plural}"
        self._events = msgspec.json.Decoder(_RawEvent)
        self._last: WatchEvent[int] | None = None

    async def list(self) -> tuple[Sequence[int], str]:
        """Return the number as a list of one."""
        answer = await self._client.request(
            "GET",
            self._path,
            query={"limit": 1, "includeObject": "None"},
            accept=TABLE_WITHOUT_OBJECTS,
        )
        table = _decode_json(answer.body, _Table)
        rest = table.metadata.remaining_item_count
        if table.kind != "Table" or (rest is None and table.metadata.continue_):
            raise ClusterUnavailable("the server does not tell how many there are")
        return [len(table.rows or []) + (rest or 0)], _checked(table.metadata).resource_version

    async def watch(self, resource_version: str) -> AsyncGenerator[Sequence[WatchEvent[int]], None]:
        """Yield +1 for each object that appears and -1 for each that goes."""
        query = {
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "includeObject": "None",
        }
        watch = self._client.watch(self._path, query, accept=TABLE_WITHOUT_OBJECTS)
        async with aclosing(watch) as stream:
            async for lines in stream:
                events = [self._decode_event(line) for line in lines if line]
                yield [event for event in events if not self._repeats(event)]

    def _decode_event(self, line: bytes) -> WatchEvent[int]:
        event = _decode_event_line(self._events, line)
        step = {"ADDED": 1, "DELETED": -1}.get(event.type)
        meta = _decode_json(event.object, _EventObject)
        return WatchEvent(event.type, step, meta.metadata.resource_version)

    def _repeats(self, event: WatchEvent[int]) -> bool:
        """Tell whether an event came twice: an object may be stored twice, but not counted."""
        repeated = event == self._last and event.resource_version != ""
        self._last = event
        return repeated


class _Table(msgspec.Struct):
    kind: str = ""
    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    rows: list[msgspec.Raw] | None = None


def _checked(meta: ListMeta) -> ListMeta:
    """Refuse what has no resourceVersion: it is no list of Kubernetes, and cannot be watched."""
    if not meta.resource_version:
        raise ClusterUnavailable("the server answered something that is not a Kubernetes list")
    return meta


def _page_type(projection: type[KubeObject]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        f"{projection.__name__}List",
        [
            ("items", list[projection] | None, None),  # type: ignore[valid-type]
        ],
    )


S = TypeVar("S", bound=msgspec.Struct)


def _decode_json(body: bytes | msgspec.Raw, shape: type[S]) -> S:
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ClusterUnavailable(f"the server answered unreadable JSON: {error}") from None


def _decode_event_line(decoder: msgspec.json.Decoder[_RawEvent], line: bytes) -> _RawEvent:
    try:
        event = decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # What it said is lost, so the content must be listed again.
        raise ClusterGone(f"the server sent an unreadable event: {error}") from None
    if event.type == "ERROR":
        status = msgspec.json.decode(event.object)
        raise error_of_event(status if isinstance(status, dict) else {})
    return event


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value
