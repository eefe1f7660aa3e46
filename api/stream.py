"""Renders stored events as server-sent events, with a farewell when the server stops.

`id` is the event's number, so `Last-Event-ID` resumes exactly; what the transport itself says
(`shutdown`, or an `error` of the stream) has no id and moves no client.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent

from cloudpilot.db.thread_records import StoredEvent
from cloudpilot.errors import CloudPilotError
from cloudpilot.log import request_id

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15
_FAREWELL_SECONDS = 1.0
EVENT_STREAM: dict[str, Any] = {
    "description": (
        "Server-sent events: `id` counts within the thread, `event` is the type"
        " (run_started, token, tool_started, tool_finished, approval_required, answer, usage,"
        " error, run_finished, shutdown), `data` is a JSON object."
    ),
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}


def event_stream(
    events: AsyncIterable[StoredEvent], headers: Mapping[str, str] | None = None
) -> EventSourceResponse:
    """Answer with the events until they end, the client leaves or the server stops."""
    stopping = anyio.Event()
    return EventSourceResponse(
        _frames(events, stopping),
        headers=headers,
        ping=HEARTBEAT_SECONDS,
        sep="\n",
        shutdown_event=stopping,
        shutdown_grace_period=_FAREWELL_SECONDS,
    )


async def _frames(
    events: AsyncIterable[StoredEvent], stopping: anyio.Event
) -> AsyncIterator[ServerSentEvent]:
    # One task iterates, so that waiting for the farewell never interrupts the iterator.
    queue: asyncio.Queue[ServerSentEvent | None] = asyncio.Queue(maxsize=1)

    async def pump() -> None:
        try:
            async for event in events:
                data = {**event.data, "thread_id": event.thread_id, "run_id": event.run_id}
                await queue.put(_frame(event.type, data, event.seq))
        except CloudPilotError as error:
            await queue.put(_error_frame(error))
        except Exception:  # noqa: BLE001 - the edge of the stream: its status is long sent
            logger.exception("a stream of events failed")
            await queue.put(_error_frame(CloudPilotError("internal error")))
        await queue.put(None)

    async def farewell() -> None:
        await stopping.wait()
        await queue.put(_frame("shutdown", {"message": "the server stops; reconnect to go on"}))
        await queue.put(None)

    tasks = [asyncio.create_task(pump()), asyncio.create_task(farewell())]
    try:
        while (frame := await queue.get()) is not None:
            yield frame
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _frame(event: str, data: Mapping[str, Any], seq: int | None = None) -> ServerSentEvent:
    # ASCII JSON holds no line break, so no text of a cluster can begin a field of its own.
    return ServerSentEvent(json.dumps(data), event=event, id=None if seq is None else str(seq))


def _error_frame(error: CloudPilotError) -> ServerSentEvent:
    return _frame(
        "error",
        {
            "error_type": error.type,
            "message": error.message,
            "hint": error.hint,
            "details": error.details,
            "request_id": request_id.get(),
        },
    )
