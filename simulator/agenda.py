"""Simulated time: what happens when, in the past of a scene, live, or as fast as a test wants.

Everything that develops does so through `Agenda.after`. A scene first plays its own past (the
clock stands still between two actions), then goes on in real time, scaled by `speed`.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

logger = logging.getLogger(__name__)

Action = Callable[[], None]


def system_clock() -> datetime:
    """Return the present, in UTC."""
    return datetime.now(UTC)


class Agenda:
    """A clock and the actions that are due later.

    Args:
        clock: real time.
        speed: how much faster than real time live developments go; timestamps stay real.
    """

    def __init__(self, clock: Callable[[], datetime] = system_clock, speed: float = 1.0) -> None:
        self._clock = clock
        self._speed = speed
        self._frozen: datetime | None = None
        self._offset = timedelta()
        self._due: list[tuple[datetime, int, Action]] = []
        self._order = itertools.count()
        self._wake = asyncio.Event()

    def now(self) -> datetime:
        """Return the simulated present."""
        return self._frozen or self._clock() + self._offset

    def after(self, seconds: float, action: Action) -> None:
        """Have an action done once, so many seconds from now."""
        scale = 1.0 if self._frozen else self._speed
        self._push(self.now() + timedelta(seconds=seconds / scale), action)

    def soon(self, action: Action) -> None:
        """Have an action done as the next thing."""
        self._push(self.now(), action)

    def _push(self, moment: datetime, action: Action) -> None:
        heapq.heappush(self._due, (moment, next(self._order), action))
        self._wake.set()

    def rewind(self, moment: datetime) -> None:
        """Go back to a moment and stand still there, to play the past with `advance_to`."""
        self._frozen = moment

    def advance_to(self, moment: datetime) -> None:
        """Do everything that is due until a moment, each at its own time."""
        while self._due and self._due[0][0] <= moment:
            due, _, action = heapq.heappop(self._due)
            self._frozen = max(due, self._frozen or due)
            action()
        self._frozen = moment

    def release(self) -> None:
        """Let time run again after the past has been played."""
        if self._frozen:
            self._offset = max(self._frozen - self._clock(), timedelta())
            self._frozen = None

    def advance(self, seconds: float) -> None:
        """Jump ahead: everything due in the next seconds of simulated time happens now."""
        start = self.now()
        self._frozen = start
        self.advance_to(start + timedelta(seconds=seconds))
        self.release()

    async def run(self) -> None:
        """Do what is due, forever."""
        while True:
            self._wake.clear()
            while self._due and self._due[0][0] <= self.now():
                try:
                    heapq.heappop(self._due)[2]()
                except Exception:  # noqa: BLE001 - the edge: one odd object must not stop all
                    logger.exception("an action of the simulated cluster failed")
            wait = (self._due[0][0] - self.now()).total_seconds() if self._due else None
            with suppress(TimeoutError):
                # Not wait_for: in Python 3.11 it loses a cancellation that meets the event.
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            await asyncio.sleep(0)
