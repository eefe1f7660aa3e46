"""Long work in small slices, so that whoever waits for the event loop waits only for one."""

from __future__ import annotations

import asyncio
import time

_SLICE_SECONDS = 0.005


class Pace:
    """Slices work by time, not by number: objects and machines differ too much."""

    def __init__(self) -> None:
        self._until = time.perf_counter() + _SLICE_SECONDS

    async def breathe(self) -> None:
        """Let others run if this slice of the work has lasted long enough."""
        if time.perf_counter() >= self._until:
            await asyncio.sleep(0)
            self._until = time.perf_counter() + _SLICE_SECONDS
