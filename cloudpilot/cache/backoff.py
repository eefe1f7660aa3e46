"""How long to wait before another attempt."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

_FIRST_SECONDS = 0.8
_LONGEST_SECONDS = 30.0
_QUIET_SECONDS = 120.0


class Backoff:
    """client-go's: 0.8 s to 30 s, doubled, with jitter, reset after two quiet minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = _FIRST_SECONDS
        self._last = clock()

    def next(self) -> float:
        """Return how long to wait before the next attempt, in seconds."""
        if self._clock() - self._last > _QUIET_SECONDS:
            self.reset()
        self._last = self._clock()
        wait = self._seconds * random.uniform(1, 2)  # noqa: S311 - jitter
        self._seconds = min(self._seconds * 2, _LONGEST_SECONDS)
        return min(wait, _LONGEST_SECONDS)

    def reset(self) -> None:
        """Start over: the server is known to answer again."""
        self._seconds = _FIRST_SECONDS
