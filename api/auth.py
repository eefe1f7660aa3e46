"""Who is calling: the bearer token of the local human, checked before anything else is done.

As a middleware and not a dependency, so that a route cannot forget it: an unknown path, a wrong
method and the OpenAPI document need the token too.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from api.limits import header_values
from cloudpilot.context import LOCAL_HUMAN
from cloudpilot.errors import TooManyRequests, Unauthorized

PUBLIC_PATHS = frozenset({"/healthz", "/readyz"})
_BEARER = re.compile(rb"(?i:bearer) ([\x21-\x7e]{1,4096})")


class Authentication:
    """Lets a request through if it carries the token; sets `state["actor"]`."""

    def __init__(self, app: ASGIApp, token: SecretStr, throttle: Throttle) -> None:
        self._app = app
        self._digest = _digest(token.get_secret_value().encode())
        self._throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or refuse it."""
        if scope["type"] == "http" and scope["path"] not in PUBLIC_PATHS:
            self._check(scope)
            scope.setdefault("state", {})["actor"] = LOCAL_HUMAN
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        given = header_values(scope, b"authorization")
        if not given:
            raise Unauthorized("this needs a token")
        address = (scope.get("client") or ("unknown",))[0]
        # Every wrong form counts as a wrong token: no form may be free to try.
        found = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
        digest = _digest(found[1] if found else b"\0".join(given))
        self._throttle.check(address)
        if not (hmac.compare_digest(digest, self._digest) and found):
            self._throttle.wrong(address, digest)
            raise Unauthorized("the token is not valid")


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


@dataclass(slots=True)
class _Window:
    started: float
    attempts: int = 0
    tokens: set[bytes] = field(default_factory=set)


class Throttle:
    """Counts wrong tokens of an address within a window.

    Over the limit, wrong tokens get 429. Once that many *different* ones were tried the address
    is guessing, and is refused whatever it sends; a stale page that repeats one old token does
    not lock out the person in front of it. The limit is high: a token has 256 bits unless
    somebody chose a shorter one, and locking the operator out is the worse harm.
    """

    def __init__(
        self,
        limit: int = 300,
        seconds: float = 60.0,
        *,
        most_addresses: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._most_addresses = most_addresses
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def check(self, address: str) -> None:
        """Refuse an address that is guessing.

        Raises:
            TooManyRequests: it tried too many different tokens.
        """
        window = self._windows.get(address)
        if window and len(window.tokens) >= self._limit:
            if self._left(window) > 0:
                raise self._refusal(window)
            del self._windows[address]

    def wrong(self, address: str, digest: bytes) -> None:
        """Count a wrong token.

        Raises:
            TooManyRequests: it was one too many.
        """
        window = self._windows.get(address)
        if window is None or self._left(window) <= 0:
            self._windows.pop(address, None)
            if len(self._windows) >= self._most_addresses:
                del self._windows[next(iter(self._windows))]
            window = self._windows[address] = _Window(self._clock())
        window.attempts += 1
        window.tokens.add(digest)
        if window.attempts > self._limit:
            raise self._refusal(window)

    def _left(self, window: _Window) -> float:
        return window.started + self._seconds - self._clock()

    def _refusal(self, window: _Window) -> TooManyRequests:
        return TooManyRequests(
            "too many wrong tokens from this address",
            hint="wait, then send the right one",
            details={"retry_after_seconds": max(1, round(self._left(window)))},
        )
