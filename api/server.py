"""Runs uvicorn inside our own event loop, with our logging and our way to stop."""

from __future__ import annotations

import asyncio
import errno
import math
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from cloudpilot.errors import CloudPilotError, SettingsError
from cloudpilot.settings import ServerSettings


def bind(settings: ServerSettings) -> socket.socket:
    """Take the address before the slow part of a start; who connects meanwhile waits.

    Raises:
        SettingsError: the host is none of this machine.
        CloudPilotError: the port is taken or may not be used.
    """
    host, port = settings.host.strip("[]"), settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise SettingsError.field("server.host", f"{host!r} is not an address") from None
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRNOTAVAIL:
            problem = f"{host!r} is not an address of this machine"
            raise SettingsError.field("server.host", problem) from None
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"is refused: {error.strerror}"
        raise CloudPilotError(
            f"port {port} on {host} {reason}", hint="choose another with --port, or 0 for any"
        ) from None
    listener.setblocking(False)
    return listener


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run on the quickest event loop that is installed; return what it returns."""
    with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
        return runner.run(main)


async def serve(
    app: ASGIApp,
    settings: ServerSettings,
    listener: socket.socket,
    ready: Callable[[str], None],
    prepare: Callable[[], None] = lambda: None,
) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code.

    Args:
        app: The application.
        settings: Where and how.
        listener: What `bind` returned.
        ready: Called with the address once connections are accepted.
        prepare: Called after that, to begin what the start need not wait for.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
    )

    def started() -> None:
        ready(_address(listener))
        prepare()

    server = _Server(config, started)
    await server.serve(sockets=[listener])
    return 0


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - shown, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Says when it is ready, and returns on a signal.

    uvicorn's own handling raises the signal again at the end, which would kill the process before
    the runtime is closed.
    """

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number in numbers:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)
