"""A TCP proxy on loopback that makes bad networks: silence, cuts, slowness, refusal.

It passes bytes on without looking at them, so TLS goes through. What it holds back is not lost: as
on a network that heals, it is delivered afterwards, unless the connection was cut.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

_CHUNK = 65536
_SLICE_SECONDS = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to bytes on their way."""

    to_client: bool = True
    to_server: bool = True
    delay_seconds: float = 0.0
    bytes_per_second: float = math.inf
    """Towards the client."""


CALM = Weather()
BLACK_HOLE = Weather(to_client=False, to_server=False)
"""Connections stay open, new ones are taken, nothing arrives anywhere."""
HALF_OPEN = Weather(to_client=False)
"""The server hears the client; the client hears nothing and is not told why."""


class Connection:
    """One connection through the proxy."""

    def __init__(
        self,
        weather: Weather,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self.sent = 0
        """Bytes that the client got so far."""
        self._weather = weather
        self._changed = asyncio.Event()
        self._client = client
        self._server = server
        self._cut_at = math.inf
        self._resets = False

    def set(self, weather: Weather) -> None:
        """Change what happens to its bytes from now on."""
        self._weather = weather
        self._changed.set()
        self._changed = asyncio.Event()

    def cut(self, *, after_bytes: int = 0, reset: bool = True) -> None:
        """End it for both sides, once the client got so many more bytes; by RST or by FIN."""
        if after_bytes:
            self._cut_at = self.sent + after_bytes
            self._resets = reset
            return
        for _, writer in (self._client, self._server):
            if reset:
                _reset_on_close(writer)
            writer.transport.abort()

    async def run(self) -> None:
        """Pass bytes on until one side ends."""
        there = asyncio.create_task(self._to_server())
        back = asyncio.create_task(self._to_client())
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            for _, writer in (self._client, self._server):
                if self._resets:
                    _reset_on_close(writer)
                writer.close()

    async def _to_server(self) -> None:
        reader, writer = self._client[0], self._server[1]
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                await asyncio.sleep(self._weather.delay_seconds)
                await self._until(lambda: self._weather.to_server)
                writer.write(data)
                await writer.drain()

    async def _to_client(self) -> None:
        reader, writer = self._server[0], self._client[1]
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                await asyncio.sleep(self._weather.delay_seconds)
                while data:
                    await self._until(lambda: self._weather.to_client)
                    speed = self._weather.bytes_per_second
                    size = int(min(max(1, speed * _SLICE_SECONDS), len(data)))
                    size = int(min(self._cut_at - self.sent, size))
                    writer.write(data[:size])
                    await writer.drain()
                    self.sent += size
                    if self.sent >= self._cut_at:
                        return
                    data = data[size:]
                    await asyncio.sleep(size / speed)

    async def _until(self, flows: Callable[[], bool]) -> None:
        while not flows():
            await self._changed.wait()


class ChaosProxy:
    """Stands between clients and one server while the `async with` block runs.

    Args:
        target: the server's address, `https://127.0.0.1:6443`.
    """

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._scheme, self._host, self._target_port = parts.scheme, parts.hostname, parts.port
        self._weather = CALM
        self._port = 0
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = 0
        """How many connections were ever taken."""

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"{self._scheme}://127.0.0.1:{self._port}"

    @property
    def connections(self) -> Sequence[Connection]:
        """Those that are open now, oldest first."""
        return tuple(self._connections)

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, weather: Weather) -> None:
        """Change what happens to the bytes of every connection, now open or opened later."""
        self._weather = weather
        for connection in self._connections:
            connection.set(weather)

    def cut(self, *, after_bytes: int = 0, reset: bool = True) -> None:
        """End every open connection, each once its client got so many more bytes."""
        for connection in self.connections:
            connection.cut(after_bytes=after_bytes, reset=reset)

    async def refuse(self) -> None:
        """Refuse new connections; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def restore(self) -> None:
        """Pass everything on again, take new connections again."""
        self.set(CALM)
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
            self._port = self._server.sockets[0].getsockname()[1]

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server = await asyncio.open_connection(self._host, self._target_port)
        except OSError:
            _reset_on_close(writer)
            writer.transport.abort()
            return
        connection = Connection(self._weather, (reader, writer), server)
        self._connections[connection] = None
        try:
            await connection.run()
        finally:
            del self._connections[connection]


def _reset_on_close(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        held: socket.socket = writer.get_extra_info("socket")
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
