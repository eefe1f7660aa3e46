"""An HTTP server that answers what a test says, broken answers included, and records requests.

For what no honest API server does: silence, cut and endless bodies, redirects, other people's JSON.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

Body = bytes | dict[str, Any] | AsyncIterator[bytes] | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The decoded path."""
        return unquote(self.target.partition("?")[0])

    @property
    def query(self) -> dict[str, str]:
        """The query, last value a key."""
        return dict(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    @property
    def watches(self) -> bool:
        """Whether it asks for a watch."""
        return "watch" in self.query


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer. A body of None means silence, an iterator is a stream of chunks."""

    body: Body = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    declared_length: int | None = None
    """A Content-Length that may be a lie."""


SILENCE = Reply(body=None)
"""Take the request and never answer."""

Answer = Callable[[Asked], Reply]


class ScriptedServer:
    """Serves on loopback while the `async with` block runs; every connection has one request."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._answer = answer
        self._tls = tls
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[Asked] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._port, ssl=self._tls
        )
        self._port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                asked = await _read(reader)
                self.requests.append(asked)
                reply = self._answer(asked)
                if reply.body is None:
                    await reader.read()
                else:
                    await _send(writer, reply)
            finally:
                writer.close()
                await writer.wait_closed()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ", 2)
    pairs = (line.split(": ", 1) for line in head[1:] if line)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, target, headers, body)


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    body, kind = reply.body, "application/json"
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {reply.status} X", "Connection: close"]
    headers = {"Content-Type": kind, **reply.headers}
    if isinstance(body, bytes):
        headers["Content-Length"] = str(reply.declared_length or len(body))
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    if isinstance(body, bytes):
        writer.write(body)
        await writer.drain()
        return
    assert body is not None
    async for chunk in body:
        writer.write(chunk)
        await writer.drain()
