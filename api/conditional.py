"""Answers again what was answered a moment ago, and says 304 to who holds it already.

For the operations whose answer carries its own time (`Fresh`), and for nothing else. Two things
are promised, and neither can lie:

- A rendered answer is given again only while the mirror's revision is the one it was rendered at,
  and for a second at most, because a few words of an answer ("crashed 3 min ago") follow the
  clock. Its `as_of` stays the time it was rendered: an answer given again is as true as it says.
- The ETag is a digest of the content, so it holds over restarts and replicas, and who revalidates
  hears 304 although the cluster changed, as long as the answer did not. Left out of the digest are
  `request_id`, and `as_of` while nothing is stale: then it only moves forward. The tag is weak
  because of these two.
"""

from __future__ import annotations

import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from weakref import WeakKeyDictionary

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import header_values
from cloudpilot.cache.mirror import Mirror
from cloudpilot.clusters import Clusters
from cloudpilot.errors import CloudPilotError
from cloudpilot.log import request_id

LONGEST_SECONDS = 1.0
_MOST_BYTES = 4_000_000
_CLUSTER = re.compile(r"/api/v1/clusters/([^/]+)/")
_NOW = re.compile(rb'"as_of":"[^"\\]*"(?=,"stale":false)')
_TAGS = re.compile(rb'"([^"]*)"')
_HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"private, no-cache")]

Key = tuple[str, str, bytes]
"""Who asks, for which path, with which query."""


@dataclass(frozen=True, slots=True)
class _Answer:
    body: bytes
    """Up to the request's id, which is the envelope's last field."""
    tag: bytes
    route: Any
    """What the router chose, for whoever counts requests by route."""


@dataclass(slots=True)
class _Shelf:
    """The answers of one cluster that hold at one revision of its mirror."""

    revision: int
    since: float
    answers: dict[Key, _Answer] = field(default_factory=dict)
    size: int = 0

    def put(self, key: Key, answer: _Answer) -> None:
        if self.size + len(answer.body) <= _MOST_BYTES:
            self.answers[key] = answer
            self.size += len(answer.body)


class Conditional:
    """Keeps rendered answers while they hold, and answers `If-None-Match`."""

    def __init__(
        self,
        app: ASGIApp,
        clusters: Clusters,
        operations: Iterable[str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._clusters = clusters
        self._operations = frozenset(operations)
        self._clock = clock
        self._shelves: WeakKeyDictionary[Mirror, _Shelf] = WeakKeyDictionary()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        actor = scope.get("state", {}).get("actor")
        if scope["type"] != "http" or scope["method"] != "GET" or actor is None:
            await self._app(scope, receive, send)
            return
        key = (actor.name, scope["path"], scope["query_string"])
        # Before the work: what changes while it is done makes a new shelf.
        shelf = self._shelf(scope["path"])
        answer = shelf.answers.get(key) if shelf else None
        if answer is not None:
            scope["route"] = answer.route
            await _send(answer, scope, send)
            return
        held: list[Message] = []

        async def hold(message: Message) -> None:
            """Keep a start that may become an answer of ours until its body is here."""
            if message["type"] == "http.response.start" and self._is_ours(scope, message):
                held.append(message)
            elif not held:
                await send(message)
            elif (made := _render(message, scope["route"])) is not None:
                if shelf is not None:
                    shelf.put(key, made)
                await _send(made, scope, send)
            else:
                await send(held.pop())
                await send(message)

        await self._app(scope, receive, hold)

    def _shelf(self, path: str) -> _Shelf | None:
        """Return the answers that still hold for the cluster this path is about."""
        found = _CLUSTER.match(path)
        if found is None:
            return None
        try:
            mirror = self._clusters.get(found[1]).cache
        except CloudPilotError:  # the route will say what is wrong
            return None
        shelf, revision, now = self._shelves.get(mirror), mirror.revision, self._clock()
        if shelf is None or shelf.revision != revision or now - shelf.since > LONGEST_SECONDS:
            shelf = self._shelves[mirror] = _Shelf(revision, now)
        return shelf

    def _is_ours(self, scope: Scope, start: Message) -> bool:
        route = scope.get("route")
        return start["status"] == 200 and getattr(route, "operation_id", "") in self._operations


def _render(message: Message, route: Any) -> _Answer | None:
    """Take a body apart; None for one that is not the whole envelope."""
    end = b'"%s"}' % request_id.get().encode()
    body: bytes = message.get("body", b"")
    if message.get("more_body") or not body.endswith(b'"request_id":' + end):
        return None
    body = body.removesuffix(end)
    digest = blake2b(_NOW.sub(b"", body), digest_size=12).digest()
    return _Answer(body, b'W/"%s"' % urlsafe_b64encode(digest), route)


async def _send(answer: _Answer, scope: Scope, send: Send) -> None:
    headers = [(b"etag", answer.tag), *_HEADERS]
    if _is_known(answer.tag, header_values(scope, b"if-none-match")):
        # Without the content's headers, as RFC 9110 has it.
        headers.remove(_HEADERS[0])
        await send({"type": "http.response.start", "status": 304, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    body = b'%s"%s"}' % (answer.body, request_id.get().encode())
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_known(tag: bytes, given: list[bytes]) -> bool:
    """Compare weakly with every tag that was given, in any number of headers."""
    if not given:
        return False
    text = b",".join(given)
    return text.strip() == b"*" or tag[3:-1] in _TAGS.findall(text)
