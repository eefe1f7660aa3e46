"""The circuit breaker of one cluster: reads that cannot succeed fail at once instead of waiting.

It opens by itself after several failed reads in a short time, and by whoever probes the cluster. A
probe that succeeds closes it; where nobody probes, one read in a while is let through as the probe.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from cloudpilot.errors import ClusterUnavailable

_FAILURES = 5
_WINDOW_SECONDS = 10.0
_OPEN_SECONDS = 5.0


class Breaker:
    """Counts failed reads and refuses further ones while the cluster cannot answer.

    Writes are never refused: what a human approved is tried, and then known to have failed.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: deque[float] = deque(maxlen=_FAILURES)
        self._until: float | None = None
        self._reason = ""
        self._lost = False

    @property
    def is_open(self) -> bool:
        """Whether reads are refused."""
        return self._until is not None

    def check(self, *, watch: bool = False) -> None:
        """Refuse a read while the breaker is open; let one through when its time is over.

        Failed reads say nothing about watches: only a lost cluster refuses those as well.

        Raises:
            ClusterUnavailable: with the time after which to try again.
        """
        if self._until is None or (watch and not self._lost):
            return
        left = self._until - self._clock()
        if left > 0:
            raise ClusterUnavailable(self._reason, retry_after_seconds=left)
        self._until = self._clock() + _OPEN_SECONDS

    def failed(self, reason: str) -> None:
        """Count a read that was not answered, or answered with a server error."""
        now = self._clock()
        self._failed.append(now)
        if len(self._failed) == _FAILURES and now - self._failed[0] <= _WINDOW_SECONDS:
            self._until = now + _OPEN_SECONDS
            self._reason = self._reason if self._lost else reason

    def trip(self, reason: str, seconds: float) -> None:
        """Open: the cluster is lost, watches included, and will be probed again in a while."""
        self._lost = True
        self._reason = reason
        self._until = self._clock() + seconds

    def close(self) -> None:
        """Let everything through: a probe was answered."""
        self._lost = False
        self._until = None
        self._failed.clear()
