"""How one kind is listed and watched: pages of raw bytes in, projected objects out."""

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
from cloudpilot.kube.client import JSON, METADATA, METADATA_LIST, KubeClient
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.objects.meta import KubeObject
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
    raw: msgspec.Raw | None = None
    """The object as it was sent; borrowed from the batch, so copy what is to be kept."""


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
            answer = await self._client.request(
                "GET",
                path,
                query=query,
                accept=METADATA_LIST if self._kind.metadata_only else JSON,
                read_seconds=60.0,
            )
            return answer.body
        except NotFound:
            self._client.forget_version(self._kind)
            raise

    async def watch(self, resource_version: str) -> AsyncGenerator[Sequence[WatchEvent[O]], None]:
        """Watch with bookmarks."""
        path = await self._client.path(self._kind)
        query = {"resourceVersion": resource_version, "allowWatchBookmarks": "true"}
        accept = METADATA if self._kind.metadata_only else JSON
        async with aclosing(self._client.watch(path, query, accept=accept)) as stream:
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
                return WatchEvent(event.type, obj, obj.metadata.resource_version, event.object)
        meta = _decode_json(event.object, _EventObject)
        return WatchEvent(event.type, None, meta.metadata.resource_version)


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
