"""Writes a run's events in small batches: stored first, delivered afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from agent.events import Event, Token
from cloudpilot.db.thread_records import Run
from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import DatabaseUnavailable

logger = logging.getLogger(__name__)

BATCH_SECONDS = 0.05
_RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0)


class EventWriter:
    """Buffers the events of one run; neighbouring tokens of one text become one event.

    `emit` never waits. Events of a run that has ended are dropped by the store.
    """

    def __init__(self, store: ThreadStore, run: Run, stored: Callable[[], None]) -> None:
        self._store = store
        self._run = run
        self._stored = stored
        self._buffer: list[Event] = []
        self._filled = asyncio.Event()
        self._closing = asyncio.Event()
        self._task = asyncio.create_task(self._write(), name=f"events of {run.id}")

    def emit(self, event: Event) -> None:
        """Take an event; it is stored within about 50 ms."""
        last = self._buffer[-1] if self._buffer else None
        if (
            isinstance(event, Token)
            and isinstance(last, Token)
            and last.message_id == event.message_id
        ):
            self._buffer[-1] = last.model_copy(update={"text": last.text + event.text})
        else:
            self._buffer.append(event)
        self._filled.set()

    async def close(self) -> None:
        """Store what is left.

        Raises:
            DatabaseUnavailable: it could not be stored.
        """
        self._closing.set()
        self._filled.set()
        await asyncio.shield(self._task)

    async def _write(self) -> None:
        while not self._closing.is_set():
            await self._filled.wait()
            await self._flush()
            try:
                async with asyncio.timeout(BATCH_SECONDS):
                    await self._closing.wait()
            except TimeoutError:
                continue
        await self._flush()

    async def _flush(self) -> None:
        batch, self._buffer = self._buffer, []
        self._filled.clear()
        if not batch:
            return
        events = [event.stored() for event in batch]
        for pause in _RETRY_SECONDS:
            try:
                await self._store.append(self._run, events)
                break
            except DatabaseUnavailable as error:
                logger.warning("events of run %s wait: %s", self._run.id, error)
                await asyncio.sleep(pause)
        else:
            await self._store.append(self._run, events)
        self._stored()
