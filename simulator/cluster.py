"""The simulated cluster: store, controllers and API server, started and stopped as one."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import Scope

from simulator.agenda import Agenda
from simulator.app import ApiServer, Handlers
from simulator.controllers import Controllers
from simulator.definitions import Definitions
from simulator.deletes import Deletes
from simulator.disk import Disks
from simulator.endpoints import EndpointController
from simulator.faults import Faults
from simulator.garbage import GarbageCollector
from simulator.kubelet import Kubelet
from simulator.logs import Logs
from simulator.metrics import Metrics
from simulator.reads import Reads
from simulator.recorder import EventRecorder
from simulator.scene import Scene, load_scene, play
from simulator.store import Store
from simulator.watch import WatchHub
from simulator.writes import Writes

_LAST_ANSWERS_SECONDS = 0.5
_ACCEPTING_TURNS = 5
"""Turns of the loop in which an accepted connection gets its transport."""


class SimulatedCluster:
    """A Kubernetes API server over a scene, in this process and this event loop.

    It serves plain HTTP on 127.0.0.1 while the `async with` block runs. The state is lost at its
    end. Everything random is seeded: two runs differ only in their times.

    Args:
        scene: the name of a file in `simulator/scenes/`, or a scene built by a program.
        speed: how much faster than in reality faults develop.
        port: where to listen; 0 = a free port.
        token: the bearer token that the server demands; empty = a random one.
        bookmark_seconds: how often watches that allow it get a bookmark.
        history: how many changes are kept before watches from older versions get 410.

    Attributes:
        url: the server's address.
        token: the bearer token.
        stranger_token: a token of a user who may do nothing but ask what he may do.
        requests: the last requests that came in, oldest first.
        store: the objects, to be looked at and changed directly.
        faults: knobs that make requests fail.
    """

    def __init__(
        self,
        scene: str | Scene = "shop",
        speed: float = 1.0,
        port: int = 0,
        *,
        token: str = "",
        seed: int = 0,
        bookmark_seconds: float = 10.0,
        history: int = 20_000,
    ) -> None:
        self._scene = load_scene(scene) if isinstance(scene, str) else scene
        self._port = port
        self.url = ""
        self.token = token or secrets.token_urlsafe(24)
        self.stranger_token = secrets.token_urlsafe(24)
        self._agenda = agenda = Agenda(speed=speed)
        self.store = store = Store(agenda.now, seed, history)
        self._watches = WatchHub(store, bookmark_seconds)
        self.faults = Faults(store, self._watches)
        events = EventRecorder(store, agenda)
        behaviours = self._scene.behaviours()
        kubelet = Kubelet(store, agenda, events, behaviours)
        controllers = (
            kubelet,
            Definitions(store, agenda, self._watches),
            Controllers(store, agenda, events),
            EndpointController(store, agenda),
            GarbageCollector(store, agenda),
        )
        for controller in controllers:
            store.subscribe(None, controller.on_change)
        self._events = events
        self._disks = Disks(store, agenda, events, kubelet)
        metrics = Metrics(store, agenda, behaviours)
        self._app = ApiServer(
            token=self.token,
            stranger_token=self.stranger_token,
            handlers=Handlers(
                store=store,
                reads=Reads(store, metrics.objects),
                writes=Writes(store),
                deletes=Deletes(store),
                logs=Logs(store, agenda, behaviours),
                watches=self._watches,
                faults=self.faults,
            ),
            cut=self._cut,
        )
        self.requests = self._app.requests
        self._server: _Server | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def open_watches(self) -> int:
        """How many watches are open now."""
        return self._watches.open

    def advance(self, seconds: float) -> None:
        """Let so much simulated time pass at once, with everything that happens in it."""
        self._agenda.advance(seconds)

    async def __aenter__(self) -> Self:
        """Play the scene's past and start to serve."""
        play(self._scene, self.store, self._agenda, self._events, self._disks)
        listener = socket.create_server(("127.0.0.1", self._port))
        # asyncio leaves this out for sockets it did not open; without it each answer takes 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        self._server = server = _Server(config)
        self._tasks = [
            asyncio.create_task(server.serve([listener]), name="simulator-server"),
            asyncio.create_task(self._agenda.run(), name="simulator-agenda"),
        ]
        while not server.started:  # noqa: ASYNC110 - uvicorn offers no event for it
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        await self.stop()

    async def stop(self) -> None:
        """End all watches and stop serving; once more does nothing."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server_task, agenda_task = self._tasks
        agenda_task.cancel()
        with suppress(asyncio.CancelledError):
            await agenda_task
        self._watches.close()
        server.stop()
        await server_task

    def _cut(self, scope: Scope) -> None:
        """Close the connection that a request came over, without an answer."""
        if self._server is None:
            return
        for connection in list(self._server.server_state.connections):
            if getattr(connection, "client", None) == scope["client"]:
                connection.transport.abort()


class _Server(uvicorn.Server):
    """uvicorn that stops at once, and leaves signals to the program around."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Stop serving."""
        self._stopped.set()

    async def main_loop(self) -> None:
        """Tick, for the Date header, until stopped."""
        counter = 0
        while not self._stopped.is_set():
            await self.on_tick(counter)
            counter += 10
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._stopped.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let what is answering finish for a moment, then cut every connection."""
        await self._stop_accepting()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        tasks = set(self.server_state.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_LAST_ANSWERS_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for server in self.servers:
            await server.wait_closed()

    async def _stop_accepting(self) -> None:
        """Close the listeners, once what they have accepted is among the connections.

        asyncio loses a connection, and never closes it, whose server is closed between the accept
        and the making of its transport.
        """
        loop = asyncio.get_running_loop()
        for server in self.servers:
            for listener in server.sockets:
                loop.remove_reader(listener.fileno())
        for _ in range(_ACCEPTING_TURNS):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield
