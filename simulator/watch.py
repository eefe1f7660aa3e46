"""Watch streams: replay from a resourceVersion, live changes, bookmarks, initial events, 410."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import msgspec

from simulator.kinds import Kind, Obj
from simulator.negotiate import View
from simulator.reads import in_version
from simulator.selectors import Selection
from simulator.status import ApiError, expired, future_version
from simulator.store import Change, Store

_ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class WatchRequest:
    """One watch: what is watched, from where on and in which form."""

    kind: Kind
    version: str
    namespace: str
    selection: Selection
    view: View
    start: int | None
    timeout_seconds: float
    bookmarks: bool = False
    initial_events: bool = False


@dataclass(slots=True)
class WatchHub:
    """All open watches of a server, so that a test or the shutdown can end them."""

    store: Store
    bookmark_seconds: float
    _queues: dict[asyncio.Queue[Change | None], str] = field(default_factory=dict)
    _losing: Counter[str] = field(default_factory=Counter)
    _lost: set[int] = field(default_factory=set)

    @property
    def open(self) -> int:
        """How many watches are open now."""
        return len(self._queues)

    def close(self) -> None:
        """End every open watch in good order, as at its timeout."""
        for queue in self._queues:
            queue.put_nowait(None)

    def end(self, resource: str) -> None:
        """End the open watches of one resource, after what has happened so far."""
        for queue, watched in self._queues.items():
            if watched == resource:
                queue.put_nowait(None)

    def lose(self, resource: str, times: int) -> None:
        """Keep the next changes of a resource from every watch that is open then."""
        self._losing[resource] += times

    def _loses(self, change: Change) -> bool:
        resource = change.kind.resource
        if change.version not in self._lost and self._losing[resource] > 0:
            self._losing[resource] -= 1
            self._lost.add(change.version)
        return change.version in self._lost

    async def stream(self, request: WatchRequest) -> AsyncIterator[bytes]:
        """Yield the lines of a watch until its timeout or until it is closed."""
        feed = _Feed(request)
        if refusal := self._refusal(request):
            yield _line("ERROR", refusal.body)
            return
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._queues[queue] = request.kind.resource

        def deliver(change: Change) -> None:
            if not self._loses(change):
                queue.put_nowait(change)

        unsubscribe = self.store.subscribe(request.kind, deliver)
        try:
            for line in self._beginning(request, feed):
                yield line
            async for line in self._live(request, feed, queue):
                yield line
        finally:
            unsubscribe()
            del self._queues[queue]

    def _refusal(self, request: WatchRequest) -> ApiError | None:
        start, store = request.start, self.store
        if start is None:
            return None
        if request.initial_events:
            return future_version(start, store.version) if start > store.version else None
        if start < store.compacted:
            return expired(f"too old resource version: {start} ({store.compacted + 1})")
        return None

    def _beginning(self, request: WatchRequest, feed: _Feed) -> Iterable[bytes]:
        if request.start is None or request.initial_events:
            for obj in self.store.snapshot(request.kind, request.namespace):
                if request.selection.matches(obj):
                    yield feed.event("ADDED", obj)
        else:
            for change in list(self.store.changes_after(request.kind, request.start)):
                yield from feed.change(change)
        if request.initial_events and request.bookmarks:
            marks = {"k8s.io/initial-events-end": "true"}
            yield feed.bookmark(self.store.version, marks)

    async def _live(
        self, request: WatchRequest, feed: _Feed, queue: asyncio.Queue[Change | None]
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + request.timeout_seconds
        before_end = deadline - min(2.0, request.timeout_seconds / 2)
        next_bookmark = min(loop.time() + self.bookmark_seconds, before_end)
        while (now := loop.time()) < deadline:
            wake = min(deadline, next_bookmark) if request.bookmarks else deadline
            try:
                # Not wait_for: in Python 3.11 it loses a cancellation that meets a change.
                async with asyncio.timeout(wake - now):
                    change = await queue.get()
            except TimeoutError:
                if request.bookmarks and loop.time() >= next_bookmark:
                    yield feed.bookmark(self.store.version, {})
                    next_bookmark = loop.time() + self.bookmark_seconds
                    if loop.time() < before_end < next_bookmark:
                        next_bookmark = before_end
                continue
            if change is None:
                return
            if change.version <= (request.start or 0):
                continue  # whoever asks from the future hears of nothing until then
            for line in feed.change(change):
                yield line


class _Feed:
    """Turns changes into the lines of one watch."""

    def __init__(self, request: WatchRequest) -> None:
        self._request = request
        self._first = True

    def change(self, change: Change) -> Iterable[bytes]:
        """Yield what the watcher sees of a change: joining and leaving a selection counts."""
        before = self._visible(change.before)
        after = self._visible(change.after)
        if after is not None:
            yield self.event("MODIFIED" if before is not None else "ADDED", after)
        elif before is not None:
            metadata = before["metadata"] | {"resourceVersion": str(change.version)}
            yield self.event("DELETED", before | {"metadata": metadata})

    def event(self, kind: str, obj: Obj) -> bytes:
        """Return one event line in the view of the watcher."""
        request = self._request
        obj = in_version(request.kind, request.version, obj)
        shown = request.view.event(request.kind, obj, self._first)
        self._first = False
        return _line(kind, shown)

    def bookmark(self, version: int, annotations: dict[str, str]) -> bytes:
        """Return a bookmark line: an empty object that only carries a resourceVersion."""
        request = self._request
        metadata: Obj = {"resourceVersion": str(version)}
        if annotations:
            metadata["annotations"] = annotations
        kind = request.kind
        empty: Obj = {
            "kind": kind.kind,
            "apiVersion": kind.at(request.version),
            "metadata": metadata,
        }
        if request.view.name == "PartialObjectMetadata":
            empty = request.view.item(kind, empty)
        elif request.view.name == "Table":
            empty = request.view.event(kind, {**empty, "metadata": metadata | {"name": ""}}, False)
            empty["rows"][0]["cells"] = []
        return _line("BOOKMARK", empty)

    def _visible(self, obj: Obj | None) -> Obj | None:
        if obj is None or not self._request.selection.matches(obj):
            return None
        namespace = self._request.namespace
        return obj if namespace in ("", obj["metadata"].get("namespace", "")) else None


def _line(kind: str, obj: Obj) -> bytes:
    return _ENCODER.encode({"type": kind, "object": obj}) + b"\n"
