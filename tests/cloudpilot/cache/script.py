"""A server of one kind that answers lists and watches from a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from cloudpilot.cache.informer import Informer
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import KINDS
from tests.cloudpilot.waiting import eventually
from tests.fakes.scripted_server import Asked, Reply, ScriptedServer

Event = tuple[str, dict[str, Any]]


def pod(name: str, version: int = 1, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c"}]}, **parts}


def pods(*items: Any, version: str = "10", **meta: Any) -> dict[str, Any]:
    return {"kind": "PodList", "metadata": {"resourceVersion": version, **meta}, "items": items}


def gone() -> dict[str, Any]:
    return {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}


def bookmark(version: int, *, ends_initial_events: bool = False) -> Event:
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if ends_initial_events:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    return "BOOKMARK", {"metadata": metadata}


def streamed(*items: dict[str, Any], version: int = 10, then: tuple[Event, ...] = ()) -> Any:
    """A list as a watch sends it, and what it sends afterwards."""
    added = (("ADDED", item) for item in items)
    return (*added, bookmark(version, ends_initial_events=True), *then)


async def stream(*events: Event | bytes) -> AsyncIterator[bytes]:
    """Events in order, then an open silence."""
    async for event in ended(*events):
        yield event
    await asyncio.Event().wait()


async def ended(*events: Event | bytes) -> AsyncIterator[bytes]:
    """Events in order; then the server ends the stream."""
    for event in events:
        if isinstance(event, bytes):
            yield event
        else:
            yield json.dumps({"type": event[0], "object": event[1]}).encode() + b"\n"


NOT_STREAMED = Reply(
    {"kind": "Status", "code": 422, "reason": "Invalid", "message": "sendInitialEvents: Forbidden"},
    422,
)
"""What a server answers that cannot stream lists."""


class Script:
    """Answers lists, streamed lists and watches in turn; the last of each repeats."""

    def __init__(
        self,
        *,
        lists: list[Any] | None = None,
        watches: list[Any] | None = None,
        streams: list[Any] | None = None,
    ) -> None:
        self._lists = lists or [Reply(b"", 500)]
        self._watches = watches or [()]
        self._streams = streams or [NOT_STREAMED]
        self.listed: list[Asked] = []
        self.watched: list[Asked] = []
        self.streamed: list[Asked] = []

    def __call__(self, asked: Asked) -> Reply:
        if "sendInitialEvents" in asked.query:
            return _next(self._streams, self.streamed, asked)
        if asked.watches:
            return _next(self._watches, self.watched, asked)
        return _next(self._lists, self.listed, asked)


def _next(answers: list[Any], asked_before: list[Asked], asked: Asked) -> Reply:
    answer = answers[min(len(asked_before), len(answers) - 1)]
    asked_before.append(asked)
    if isinstance(answer, Reply):
        return answer
    return Reply(answer if isinstance(answer, dict) else stream(*answer))


@asynccontextmanager
async def reflected(
    script: Callable[[Asked], Reply],
    *,
    kind: str = "Pod",
    read_seconds: float = 5,
    drift_seconds: float = 600,
) -> AsyncIterator[Informer[Any]]:
    """An informer that follows the script."""
    async with ScriptedServer(script) as server:
        client = KubeClient(direct(server.url, "x"), connect_seconds=2, read_seconds=read_seconds)
        informer: Informer[Any] = Informer(
            client, KINDS[kind], poll_seconds=0.05, drift_seconds=drift_seconds
        )
        task = asyncio.create_task(informer.run())
        try:
            yield informer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()


def names(informer: Informer[Any]) -> list[str]:
    return [obj.name for obj in informer.list()]


async def live(informer: Informer[Any]) -> None:
    await eventually(lambda: informer.state.status is SyncStatus.LIVE)
