"""A server of one kind that answers lists and watches from a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from tests.fakes.scripted_server import Asked, Reply

Event = tuple[str, dict[str, Any]]


def pod(name: str, version: int = 1, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"containers": [{"name": "c"}]}, **parts}


def pods(*items: Any, version: str = "10", **meta: Any) -> dict[str, Any]:
    return {"kind": "PodList", "metadata": {"resourceVersion": version, **meta}, "items": items}


def gone() -> dict[str, Any]:
    return {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}


async def stream(*events: Event | bytes) -> AsyncIterator[bytes]:
    """Events in order, then an open silence."""
    for event in events:
        if isinstance(event, bytes):
            yield event
        else:
            yield json.dumps({"type": event[0], "object": event[1]}).encode() + b"\n"
    await asyncio.Event().wait()


class Script:
    """Answers lists and watches in turn; the last of each repeats."""

    def __init__(self, *, lists: list[Any], watches: list[Any] | None = None) -> None:
        self._lists = lists
        self._watches = watches or [()]
        self.listed: list[Asked] = []
        self.watched: list[Asked] = []

    def __call__(self, asked: Asked) -> Reply:
        if asked.watches:
            answer = self._watches[min(len(self.watched), len(self._watches) - 1)]
            self.watched.append(asked)
            return answer if isinstance(answer, Reply) else Reply(stream(*answer))
        answer = self._lists[min(len(self.listed), len(self._lists) - 1)]
        self.listed.append(asked)
        return answer if isinstance(answer, Reply) else Reply(answer)
