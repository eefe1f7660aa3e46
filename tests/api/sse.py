"""Reads server-sent events as a browser would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Frame:
    """One event of a stream."""

    event: str
    data: dict[str, Any]
    id: int | None


def frames(response: httpx.Response) -> list[Frame]:
    """Return the events of a stream that has ended."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    return frames_of(response.text)


def frames_of(text: str) -> list[Frame]:
    """Return the whole events of a piece of a stream; comments are heartbeats."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n")[:-1]:
        fields: dict[str, str] = {}
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            if name:
                assert name not in fields, f"a field twice: {block}"
                fields[name] = value.removeprefix(" ")
        if fields:
            number = int(fields["id"]) if "id" in fields else None
            found.append(Frame(fields["event"], json.loads(fields["data"]), number))
    return found
