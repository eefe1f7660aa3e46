"""Fault knobs for tests, and the record of what was asked.

Every knob is explicit and narrow: it names what it hits and goes away by itself or by `clear`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from simulator.status import ApiError
from simulator.store import Store
from simulator.watch import WatchHub


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """One request as the server saw it; the bearer token is left out."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def user_agent(self) -> str:
        """The client's name for itself."""
        return self.headers.get("user-agent", "")


@dataclass(slots=True)
class _Failure:
    left: int
    status: int
    retry_after: int | str | None
    method: str
    path: str


@dataclass(slots=True)
class Faults:
    """What goes wrong on purpose.

    Attributes:
        delay: seconds that every request waits before it is answered.
        http_gone: answer watches from a forgotten version with HTTP 410 instead of an ERROR event.
        watch_list: whether lists can be streamed (`sendInitialEvents`); older servers cannot.
    """

    store: Store
    watches: WatchHub
    delay: float = 0.0
    http_gone: bool = False
    watch_list: bool = True
    _denied: set[tuple[str, str, str]] = field(default_factory=set)
    _failures: list[_Failure] = field(default_factory=list)
    _drops: list[tuple[str, str]] = field(default_factory=list)

    def deny(self, resource: str, verb: str = "*", namespace: str = "*") -> None:
        """Refuse a verb on a resource (`secrets`, `deployments.apps`) as RBAC does: 403.

        A namespace limits it to requests in that namespace; `""` to requests across all.
        """
        self._denied.add((resource, verb, namespace))

    def allow(self, resource: str, verb: str = "*", namespace: str = "*") -> None:
        """Take a `deny` back."""
        self._denied.discard((resource, verb, namespace))

    def denies(self, resource: str, verb: str, namespace: str) -> bool:
        """Whether a `deny` hits this request."""
        return any(
            hit_resource in (resource, "*")
            and hit_verb in (verb, "*")
            and hit_namespace in (namespace, "*")
            for hit_resource, hit_verb, hit_namespace in self._denied
        )

    def gone(self, *, http: bool = False) -> None:
        """Forget the history: older watches and continue tokens get 410."""
        self.http_gone = http
        self.store.compact()

    def close_watches(self) -> None:
        """End every open watch in good order."""
        self.watches.close()

    def lose_events(self, resource: str, times: int = 1) -> None:
        """Keep the next changes of a resource (`configmaps`) from all watches: silent drift."""
        self.watches.lose(resource, times)

    def fail(
        self,
        times: int,
        status: int = 503,
        retry_after: int | str | None = None,
        *,
        method: str = "",
        path: str = "",
    ) -> None:
        """Answer the next matching requests with an error, before they do anything.

        Args:
            times: how many requests fail.
            status: the HTTP status, e.g. 429, 500 or 503.
            retry_after: what the Retry-After header says: seconds, a date, or nonsense.
            method: only requests with this method.
            path: only requests whose path contains this.
        """
        self._failures.append(_Failure(times, status, retry_after, method, path))

    def drop_response(self, method: str = "", path: str = "") -> None:
        """Do what the next matching request asks, then cut the connection without an answer."""
        self._drops.append((method, path))

    def clear(self) -> None:
        """Turn every knob off."""
        self._denied.clear()
        self._failures.clear()
        self._drops.clear()
        self.delay, self.http_gone, self.watch_list = 0.0, False, True

    # -- asked by the server ---------------------------------------------------------------

    async def before(self, method: str, path: str) -> None:
        """Wait and fail as the knobs say.

        Raises:
            ApiError: the failure that was asked for.
        """
        if self.delay:
            await asyncio.sleep(self.delay)
        for failure in self._failures:
            if failure.left and failure.method in ("", method) and failure.path in path:
                failure.left -= 1
                raise _failure(failure.status, failure.retry_after)

    def takes_drop(self, method: str, path: str) -> bool:
        """Whether this request's answer is to be cut off; uses the knob up."""
        for drop in self._drops:
            if drop[0] in ("", method) and drop[1] in path:
                self._drops.remove(drop)
                return True
        return False


def _failure(status: int, retry_after: int | str | None) -> ApiError:
    reasons = {
        429: ("TooManyRequests", "Too many requests, please try again later."),
        500: ("InternalError", "Internal error occurred: the simulator was told to fail"),
        503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504: ("Timeout", "Timeout: request did not complete within the allotted timeout"),
    }
    reason, text = reasons.get(status, ("", "the simulator was told to fail"))
    details = {"retryAfterSeconds": retry_after} if isinstance(retry_after, int) else {}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return ApiError(status, reason, text, details, headers=headers)
