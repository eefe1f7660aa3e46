"""The request budget of one cluster: a token bucket, writes first, else in order of arrival.

Like client-go's flow control it protects the API server from us. It never drops a request: whose
deadline passes while waiting was not sent.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from enum import IntEnum


class Priority(IntEnum):
    """Who goes first when the budget is short."""

    PROBE = 0
    """Never waits, so that a busy cluster is not taken for a dead one; its token is owed."""
    WRITE = 1
    READ = 2


class Limiter:
    """Lets `rate` requests a second through, and a burst after a quiet time.

    Args:
        rate: requests a second.
        burst: requests that may go at once after a quiet time.
        clock: monotonic seconds.
    """

    def __init__(
        self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled = clock()
        self._order = 0
        self._waiters: list[tuple[Priority, int, asyncio.Future[None]]] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many requests wait for the budget."""
        return sum(not future.done() for _, _, future in self._waiters)

    async def acquire(self, priority: Priority = Priority.READ) -> None:
        """Return when the request may be sent."""
        self._fill()
        if priority is Priority.PROBE or (self._tokens >= 1 and not self.waiting):
            self._tokens -= 1
            return
        future = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._waiters, (priority, self._order, future))
        self._wake()
        try:
            await future
        except asyncio.CancelledError:
            if not future.cancelled():  # let through and cancelled at once: another may go
                self._tokens += 1
                self._wake()
            raise

    def _wake(self) -> None:
        """Let through who may go now; come back when the next token is there."""
        self._fill()
        while self._waiters and self._tokens >= 1:
            _, _, future = heapq.heappop(self._waiters)
            if not future.done():
                self._tokens -= 1
                future.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.waiting:
            seconds = (1 - self._tokens) / self._rate
            self._timer = asyncio.get_running_loop().call_later(seconds, self._wake)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
