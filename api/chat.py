"""The conversation: start a run, follow, read and stop it; list, read and delete threads.

A run is detached from the request that started it: leaving its stream never stops it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import FastAPI, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sse_starlette import EventSourceResponse

from agent.assistant import LONGEST_MESSAGE
from api.deps import ActorDep, AssistantDep
from api.envelope import Route, add_enveloped_routes, success
from api.stream import EVENT_STREAM, event_stream
from cloudpilot.arguments import ClusterName, Namespace
from cloudpilot.db.thread_records import RunStatus

_NEWEST = 2**53  # what a browser can count to
ThreadId = Annotated[str, Path(description="Id of the thread.", pattern=r"^[A-Za-z0-9_-]{1,64}$")]
RunId = Annotated[str, Path(description="Id of the run.", pattern=r"^[A-Za-z0-9_-]{1,64}$")]
After = Annotated[
    int, Query(ge=0, le=_NEWEST, description="Only events with a greater id.", examples=[0])
]
LastEventId = Annotated[
    int | None,
    Header(alias="Last-Event-ID", ge=0, le=_NEWEST, description="As `after`; a browser sends it."),
]


class ChatRequest(BaseModel):
    """A message to the assistant."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"message": "which pods are failing and why?"}]},
    )

    message: str = Field(
        min_length=1, max_length=LONGEST_MESSAGE, description="The question or request."
    )
    thread_id: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="The conversation to go on with; a new one if absent.",
    )
    cluster: ClusterName | None = Field(default=None, description="The cluster it is about.")
    namespace: Namespace | None = Field(default=None, description="The namespace looked at.")


class RunView(BaseModel):
    """One turn of a thread."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    thread_id: str
    status: RunStatus
    created_at: datetime
    finished_at: datetime | None


class ThreadView(BaseModel):
    """A conversation."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    title: str
    cluster: str | None
    namespace: str | None
    created_at: datetime
    updated_at: datetime


class ThreadList(BaseModel):
    """Conversations, the last used first."""

    items: list[ThreadView]
    total: int = Field(description="How many there are in all.")


class MessageView(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(from_attributes=True)

    role: str = Field(examples=["user", "assistant"])
    text: str
    run_id: str
    status: RunStatus = Field(description="Of its run.")
    plan_ids: list[str] = Field(description="Plans that the message proposed.")


class Conversation(BaseModel):
    """A conversation as people read it; all that happened in it are its events."""

    thread: ThreadView
    runs: list[RunView]
    messages: list[MessageView]


def add_routes(app: FastAPI) -> None:
    """Add the routes of runs and threads."""
    routes: tuple[Route, ...] = (
        ("GET", "/api/v1/runs/{run_id}", get_run, RunView),
        ("POST", "/api/v1/runs/{run_id}/cancel", cancel_run, RunView),
        ("GET", "/api/v1/threads", list_threads, ThreadList),
        ("GET", "/api/v1/threads/{thread_id}", get_thread, Conversation),
        ("DELETE", "/api/v1/threads/{thread_id}", delete_thread, None),
    )
    add_enveloped_routes(app, "chat", routes)
    for method, path, stream in (
        ("POST", "/api/v1/chat", start_chat),
        ("GET", "/api/v1/runs/{run_id}/events", follow_run),
        ("GET", "/api/v1/threads/{thread_id}/events", follow_thread),
    ):
        app.add_api_route(
            path,
            stream,
            methods=[method],
            operation_id=stream.__name__,
            tags=["chat"],
            response_class=EventSourceResponse,
            responses={200: EVENT_STREAM},
        )


async def start_chat(assistant: AssistantDep, actor: ActorDep, body: ChatRequest) -> object:
    """Send a message and follow the run that answers it.

    The headers `X-Thread-ID` and `X-Run-ID` name them; a lost stream goes on at
    `/api/v1/runs/{run_id}/events` with `Last-Event-ID`.
    """
    started = await assistant.start(
        body.message,
        actor=actor,
        thread_id=body.thread_id,
        cluster=body.cluster,
        namespace=body.namespace,
    )
    headers = {"X-Thread-ID": started.thread_id, "X-Run-ID": started.run_id}
    events = assistant.stream(started.thread_id, run_id=started.run_id)
    return event_stream(events, headers)


async def get_run(assistant: AssistantDep, actor: ActorDep, run_id: RunId) -> object:
    """Say where a run is in its life."""
    return success(RunView.model_validate(await assistant.run(run_id, actor)))


async def cancel_run(assistant: AssistantDep, actor: ActorDep, run_id: RunId) -> object:
    """Stop a run, and what waits or is queued on its thread."""
    await assistant.cancel(run_id, actor)
    return success(RunView.model_validate(await assistant.run(run_id, actor)))


async def follow_run(
    assistant: AssistantDep,
    actor: ActorDep,
    run_id: RunId,
    after: After = 0,
    last_event_id: LastEventId = None,
) -> object:
    """Follow a run's events, past ones and those to come, until it ends or waits for a human."""
    run = await assistant.run(run_id, actor)
    position = after if last_event_id is None else last_event_id
    return event_stream(assistant.stream(run.thread_id, position, run_id=run.id))


async def follow_thread(
    assistant: AssistantDep,
    actor: ActorDep,
    thread_id: ThreadId,
    after: After = 0,
    last_event_id: LastEventId = None,
) -> object:
    """Follow a thread's events over all its runs, until nothing runs or waits there."""
    thread = await assistant.thread(thread_id, actor)
    position = after if last_event_id is None else last_event_id
    return event_stream(assistant.stream(thread.id, position))


async def list_threads(
    assistant: AssistantDep,
    actor: ActorDep,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=_NEWEST)] = 0,
) -> object:
    """List your conversations, the last used first."""
    found, total = await assistant.threads(actor, limit=limit, offset=offset)
    items = [ThreadView.model_validate(item) for item in found]
    return success(ThreadList(items=items, total=total))


async def get_thread(assistant: AssistantDep, actor: ActorDep, thread_id: ThreadId) -> object:
    """Read a conversation."""
    conversation = Conversation(
        thread=ThreadView.model_validate(await assistant.thread(thread_id, actor)),
        runs=[RunView.model_validate(run) for run in await assistant.runs(thread_id, actor)],
        messages=[
            MessageView.model_validate(message)
            for message in await assistant.messages(thread_id, actor)
        ],
    )
    return success(conversation)


async def delete_thread(assistant: AssistantDep, actor: ActorDep, thread_id: ThreadId) -> object:
    """Delete a conversation with its runs and events; a running one is stopped first."""
    await assistant.delete(thread_id, actor)
    return success(None)
