"""Measures what the server does for its callers: requests, streams, and how late the loop is.

As a middleware around everything else, so that refusals and errors count like answers. What came
out of it is read by `api.metrics`.
"""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import header_values

_EVENT_STREAM = b"text/event-stream"
_NO_ROUTE = "none"
_TICK_SECONDS = 0.25
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LAG_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Traffic:
    """The figures of one application, in its own registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "cloudpilot_http_requests",
            "Requests answered, by operation and class of status.",
            ("operation", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            "cloudpilot_http_request_duration_seconds",
            "Time until a request was answered whole; event streams are left out.",
            ("operation",),
            registry=registry,
            buckets=_SECONDS,
        )
        self._streams = Gauge(
            "cloudpilot_http_event_streams",
            "Event streams that are open now.",
            registry=registry,
        )
        self._lag = Histogram(
            "cloudpilot_event_loop_lag_seconds",
            f"How late the event loop ran a timer of {_TICK_SECONDS:g} s.",
            registry=registry,
            buckets=_LAG_SECONDS,
        )
        self._timer: asyncio.TimerHandle | None = None

    def answered(self, operation: str, status: int, seconds: float | None) -> None:
        """Count an answer; without a time it was a stream."""
        self._requests.labels(operation, f"{status // 100}xx").inc()
        if seconds is not None:
            self._seconds.labels(operation).observe(seconds)

    def stream(self, step: int) -> None:
        """Count an event stream in or out."""
        self._streams.inc(step)

    def watch_loop(self) -> None:
        """Begin to measure the running event loop; once more does nothing."""
        if self._timer is None:
            self._tick(asyncio.get_running_loop(), None)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float | None) -> None:
        now = loop.time()
        if due is not None:
            self._lag.observe(max(0.0, now - due))
        due = now + _TICK_SECONDS
        self._timer = loop.call_at(due, self._tick, loop, due)


class Measured:
    """Measures every request that passes."""

    def __init__(self, app: ASGIApp, traffic: Traffic) -> None:
        self._app = app
        self._traffic = traffic

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._traffic.watch_loop()
        started, status, streaming = time.perf_counter(), 500, False

        async def watching(message: Message) -> None:
            nonlocal status, streaming
            if message["type"] == "http.response.start":
                status = message["status"]
                kind = header_values(message, b"content-type")
                streaming = bool(kind) and kind[0].startswith(_EVENT_STREAM)
                self._traffic.stream(+streaming)
            await send(message)

        try:
            await self._app(scope, receive, watching)
        finally:
            # The router, or whoever answers in its place, has left the route here.
            operation = getattr(scope.get("route"), "operation_id", None) or _NO_ROUTE
            seconds = None if streaming else time.perf_counter() - started
            self._traffic.stream(-streaming)
            self._traffic.answered(operation, status, seconds)
