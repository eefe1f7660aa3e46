"""What is decided about a request before its route is looked at, as plain ASGI middlewares.

Each one raises the errors of the tree; `Edge`, the outermost, renders them. Authentication lies
in `api.auth`, strict JSON in `api.body`.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import time
import uuid
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.envelope import failure
from cloudpilot.errors import BadRequest, CloudPilotError, Forbidden
from cloudpilot.log import request_id

logger = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_PORT = re.compile(r"(?::\d{1,5})?")
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_SECURITY_HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}


def header_values(scope: Scope, name: bytes) -> list[bytes]:
    """Return every value of a header, in order."""
    return [value for key, value in scope["headers"] if key == name]


class Edge:
    """Gives each request its id and each answer its headers; nothing escapes it unrendered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # there is no WebSocket here
            await send({"type": "websocket.close", "code": 1008})
            return
        given = header_values(scope, b"x-request-id")
        sane = len(given) == 1 and _REQUEST_ID.fullmatch(given[0])
        token = request_id.set(given[0].decode() if sane else uuid.uuid4().hex)
        try:
            await self._serve(scope, receive, send)
        finally:
            request_id.reset(token)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.monotonic()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _complete(message.get("headers", ()))}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001 - the edge of the HTTP door: all is answered
            if not isinstance(error, CloudPilotError):
                logger.exception("%s %s failed", scope["method"], scope["path"])
                error = CloudPilotError(
                    "internal error", hint="look for the request id in CloudPilot's log"
                )
            if not status:  # else the server sees an unfinished answer and cuts the connection
                await failure(error)(scope, receive, send_with_headers)
        finally:
            elapsed = (time.monotonic() - started) * 1000
            logger.debug("%s %s %d in %.0f ms", scope["method"], scope["path"], status, elapsed)


def _complete(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    present = list(headers)
    names = {name.lower() for name, _ in present}
    present.extend(item for item in _SECURITY_HEADERS.items() if item[0] not in names)
    present.append((b"x-request-id", request_id.get().encode()))
    return present


class HostAllowList:
    """Refuses requests that were addressed to another name: DNS rebinding ends here.

    Bound to every address, the literal address a connection came in on is accepted too: a
    rebinding page cannot have it as its origin, and a kubelet's probe uses it.
    """

    def __init__(self, app: ASGIApp, bound: str, extra: Iterable[str] = ()) -> None:
        self._app = app
        self._wildcard = bound in ("0.0.0.0", "::", "")  # noqa: S104 - compared, not bound
        names = {*_LOOPBACK_NAMES, *map(str.lower, extra)}
        if not self._wildcard:
            names.add(_as_host(bound.lower()))
        self._names = frozenset(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        if scope["type"] == "http" and not self._accepts(scope):
            raise BadRequest(
                "the Host header names no host that CloudPilot answers to",
                hint="add the name to server.allowed_hosts",
            )
        await self._app(scope, receive, send)

    def _accepts(self, scope: Scope) -> bool:
        given = header_values(scope, b"host")
        if len(given) != 1:
            return False
        name = given[0].decode("latin-1").lower()
        allowed = set(self._names)
        server = scope.get("server")
        if self._wildcard and server and _is_address(server[0]):
            allowed.add(_as_host(server[0]))
        return any(name.startswith(host) and _PORT.fullmatch(name[len(host) :]) for host in allowed)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _as_host(address: str) -> str:
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


class SameOrigin:
    """Refuses mutating requests that a foreign page made a browser send."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            host = b"".join(header_values(scope, b"host")).lower()
            for origin in header_values(scope, b"origin"):
                if origin.lower().partition(b"://")[2] != host:
                    raise Forbidden("the request comes from a page of another origin")
            for site in header_values(scope, b"sec-fetch-site"):
                if site.lower() not in (b"same-origin", b"none"):
                    raise Forbidden("the request comes from a page of another site")
        await self._app(scope, receive, send)
