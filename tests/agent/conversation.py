"""What the agent's tests share: an assistant over a script, and its events read to the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.language_models import BaseChatModel

from agent.assistant import Assistant, Started
from cloudpilot.context import Actor
from cloudpilot.db.thread_records import StoredEvent
from cloudpilot.operation import Catalog
from cloudpilot.runtime import Runtime
from tests.fakes.chat_model import Reply, ScriptedModel

ME = Actor("local")
SECONDS = 20


@asynccontextmanager
async def assistant_with(
    runtime: Runtime, model: BaseChatModel | None, catalog: Catalog | None = None
) -> AsyncIterator[Assistant]:
    """Open an assistant; without a model the one of the settings."""
    async with Assistant.open(
        runtime.settings,
        catalog or runtime.catalog,
        runtime.clusters,
        runtime.database,
        runtime.plans,
        model=model,
    ) as opened:
        yield opened


def script(*replies: Reply) -> ScriptedModel:
    """Return a model with this script."""
    return ScriptedModel(replies=list(replies))


async def ask(assistant: Assistant, message: str, **where: Any) -> list[StoredEvent]:
    """Ask and return every event of the run."""
    started = await assistant.start(message, actor=ME, **where)
    return await read(assistant, started)


async def read(assistant: Assistant, started: Started, after: int = 0) -> list[StoredEvent]:
    """Return the events of a run until it ends or waits."""
    async with asyncio.timeout(SECONDS):
        stream = assistant.stream(started.thread_id, after, run_id=started.run_id)
        return [event async for event in stream]


async def read_thread(assistant: Assistant, thread_id: str, after: int = 0) -> list[StoredEvent]:
    """Return the events of a thread until it is idle."""
    async with asyncio.timeout(SECONDS):
        return [event async for event in assistant.stream(thread_id, after)]


async def wait_for(
    assistant: Assistant, started: Started, type_: str, after: int = 0
) -> StoredEvent:
    """Return the first event of a type."""
    async with asyncio.timeout(SECONDS):
        async for event in assistant.stream(started.thread_id, after):
            if event.type == type_:
                return event
    raise AssertionError(f"the stream ended without {type_}")


def types(events: Iterable[StoredEvent]) -> list[str]:
    """Return the types of the events, neighbouring tokens as one."""
    names: list[str] = []
    for event in events:
        if not (event.type == "token" and names and names[-1] == "token"):
            names.append(event.type)
    return names


def only(events: Iterable[StoredEvent], type_: str) -> list[dict[str, Any]]:
    """Return the data of the events of one type."""
    return [event.data for event in events if event.type == type_]
