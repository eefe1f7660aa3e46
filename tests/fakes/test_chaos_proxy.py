"""The bad networks, each felt by both sides of a connection."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.cloudpilot.waiting import eventually
from tests.fakes.chaos_proxy import BLACK_HOLE, CALM, HALF_OPEN, ChaosProxy, Weather


@dataclass
class Echo:
    """A server that says everything twice, and remembers what it heard and how it ended."""

    heard: bytes = b""
    ended: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(100):
                self.heard += data
                writer.write(data * 2)
                await writer.drain()
            self.ended.append("end")
        except ConnectionError:
            self.ended.append("reset")
        finally:
            writer.close()


@pytest.fixture
async def echo() -> Echo:
    return Echo()


@pytest.fixture
async def proxy(echo: Echo) -> AsyncIterator[ChaosProxy]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with ChaosProxy(f"http://127.0.0.1:{port}") as opened:
        yield opened
    server.close()


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def says(self, text: bytes) -> None:
        self.writer.write(text)
        await self.writer.drain()

    async def hears(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), 5)

    async def rest(self) -> bytes:
        """Everything until the end; fails on a reset."""
        return await asyncio.wait_for(self.reader.read(), 5)


@pytest.fixture
async def client(proxy: ChaosProxy) -> AsyncIterator[Client]:
    opened = await connect(proxy)
    await opened.says(b"-")
    assert await opened.hears(2) == b"--"
    yield opened
    opened.writer.close()
    with suppress(ConnectionError):
        await opened.writer.wait_closed()


async def connect(proxy: ChaosProxy) -> Client:
    port = int(proxy.url.rpartition(":")[2])
    return Client(*await asyncio.open_connection("127.0.0.1", port))


async def silent(client: Client) -> bool:
    """Whether nothing comes for a moment; what came is left to be read."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await client.reader.readexactly(1)
            return False
    return True


async def test_black_hole_delivers_nothing_until_it_is_over(
    proxy: ChaosProxy, client: Client, echo: Echo
):
    proxy.set(BLACK_HOLE)
    await client.says(b"ab")
    late = await connect(proxy)
    await late.says(b"c")
    assert await silent(client)
    assert await silent(late)
    assert echo.heard == b"-"
    await proxy.restore()
    assert await client.hears(4) == b"abab"
    assert await late.hears(2) == b"cc"
    late.writer.close()


async def test_half_open_lets_the_server_hear(proxy: ChaosProxy, client: Client, echo: Echo):
    proxy.set(HALF_OPEN)
    await client.says(b"a")
    await eventually(lambda: echo.heard == b"-a")
    assert await silent(client)
    proxy.set(CALM)
    assert await client.hears(2) == b"aa"


async def test_one_connection_can_suffer_alone(proxy: ChaosProxy, client: Client):
    proxy.connections[0].set(BLACK_HOLE)
    other = await connect(proxy)
    await other.says(b"a")
    assert await other.hears(2) == b"aa"
    await client.says(b"b")
    assert await silent(client)
    other.writer.close()


async def test_cut_resets_both_sides(proxy: ChaosProxy, client: Client, echo: Echo):
    proxy.cut()
    with pytest.raises(ConnectionResetError):
        await client.rest()
    await eventually(lambda: echo.ended == ["reset"])
    await eventually(lambda: not proxy.connections)


async def test_cut_can_come_in_the_middle_of_what_is_sent(proxy: ChaosProxy, client: Client):
    proxy.cut(after_bytes=3, reset=False)
    await client.says(b"abcd")
    assert await client.rest() == b"abc"


async def test_cut_in_the_middle_can_be_a_reset(proxy: ChaosProxy, client: Client, echo: Echo):
    proxy.cut(after_bytes=3)
    await client.says(b"abcd")
    with pytest.raises(ConnectionResetError):
        await client.rest()
        await client.rest()
    await eventually(lambda: echo.ended == ["reset"])


async def test_refused_connections_and_open_ones_that_stay(proxy: ChaosProxy, client: Client):
    address = proxy.url
    await proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await client.says(b"a")
    assert await client.hears(2) == b"aa"
    await proxy.restore()
    assert proxy.url == address
    again = await connect(proxy)
    await again.says(b"b")
    assert await again.hears(2) == b"bb"
    again.writer.close()


async def test_throttled_bytes_take_their_time(proxy: ChaosProxy, client: Client):
    proxy.set(Weather(bytes_per_second=100))
    began = time.monotonic()
    await client.says(b"a" * 20)
    assert await client.hears(40) == b"a" * 40
    assert time.monotonic() - began >= 0.3


async def test_delay_comes_before_each_delivery(proxy: ChaosProxy, client: Client):
    proxy.set(Weather(delay_seconds=0.1))
    began = time.monotonic()
    await client.says(b"a")
    assert await client.hears(2) == b"aa"
    assert time.monotonic() - began >= 0.2


async def test_nobody_behind_it_is_a_reset(proxy: ChaosProxy):
    async with ChaosProxy("http://127.0.0.1:1") as lonely:
        client = await connect(lonely)
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_it_ends_with_connections_held_back(echo: Echo):
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with ChaosProxy(f"http://127.0.0.1:{port}") as proxy:
        client = await connect(proxy)
        proxy.set(BLACK_HOLE)
        await client.says(b"a")
        await eventually(lambda: len(proxy.connections) == 1)
    with pytest.raises(ConnectionResetError):
        await client.rest()
    server.close()
