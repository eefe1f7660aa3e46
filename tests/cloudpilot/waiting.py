"""Waiting for a condition, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def eventually(probe: Callable[[], object], timeout_seconds: float = 15.0) -> None:
    """Return as soon as the probe is true; fail if it never is."""
    async with asyncio.timeout(timeout_seconds):
        while not probe():  # noqa: ASYNC110 - the probes look at memory, nobody signals
            await asyncio.sleep(0.01)
