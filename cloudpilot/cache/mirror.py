"""The mirror of one cluster: an informer for each kind that somebody reads.

It starts kinds on demand and stops idle ones, follows the connection to the cluster, and counts
every change. How one kind is kept current is its informer's matter.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cloudpilot.cache.connection import Connection, ConnectionState, Heartbeat, assess
from cloudpilot.cache.definitions import Definitions
from cloudpilot.cache.delta import Delta, Handler
from cloudpilot.cache.informer import Informer
from cloudpilot.cache.reflector import SyncState
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import ALWAYS, KINDS

logger = logging.getLogger(__name__)

_DEFINITIONS = "CustomResourceDefinition"


@dataclass(slots=True)
class _Started:
    """A kind that is mirrored."""

    informer: Informer[Any]
    used: float
    """When somebody last read it, in monotonic seconds."""
    task: asyncio.Task[None] | None = None


class Mirror:
    """All informers of one cluster. `mirror["Pod"].list("shop")` answers from memory.

    Reading a kind starts its informer; one that nobody read for a while stops and is forgotten, so
    an informer is to be taken from here at each use. One kind that fails (forbidden, not installed)
    leaves the others alive and is named in `states()`.

    Args:
        client: The only way to the cluster.
        poll_seconds: How often a kind that cannot be watched is listed.
        idle_seconds: How long a kind that is not always mirrored stays unread.
        drift_seconds: How often each kind is compared with the server's.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        poll_seconds: float,
        idle_seconds: float = 900.0,
        drift_seconds: float = 600.0,
    ) -> None:
        self._client = client
        self._poll_seconds = poll_seconds
        self._idle_seconds = idle_seconds
        self._drift_seconds = drift_seconds
        self._kinds: dict[str, _Started] = {}
        self._handlers: tuple[Handler, ...] = ()
        self._group: asyncio.TaskGroup | None = None
        self._changes = 0
        self._seen: list[object] = []
        self._connection = Connection(ConnectionState.CONNECTING, datetime.now(UTC))
        self._heartbeat = Heartbeat(
            client, suspects=self._is_down, lost=self._on_lost, found=self._on_found
        )
        for name in ALWAYS:
            self._add(name)
        definitions = Definitions(client, peek=self.peek, spawn=self._spawn)
        self._kinds[_DEFINITIONS].informer.add_handler(definitions.on_delta)

    def __getitem__(self, kind: str) -> Informer[Any]:
        """Return the informer of a kind, started if need be and marked as used."""
        started = self._kinds.get(kind) or self._add(kind)
        started.used = time.monotonic()
        return started.informer

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._kinds))

    def peek(self, kind: str) -> Informer[Any] | None:
        """Return the informer of a kind if it is started; this is no use of it."""
        started = self._kinds.get(kind)
        return None if started is None else started.informer

    def started(self, kind: str) -> bool:
        """Say whether a kind is mirrored now."""
        return kind in self._kinds

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` of every difference of every kind, also of those started later.

        When a kind stops nobody is told: its objects are still there. When it starts again they
        are told of as initially listed, again.
        """
        self._handlers = (*self._handlers, handler)
        for started in self._kinds.values():
            started.informer.add_handler(handler)

    def states(self) -> dict[str, SyncState]:
        """Return how current each started kind is."""
        return {name: started.informer.state for name, started in self._kinds.items()}

    @property
    def revision(self) -> int:
        """A number that grows with every difference and every change of any kind's state.

        What was computed from the mirror is the same as long as this is.
        """
        self._look()
        return self._changes

    @property
    def connection(self) -> Connection:
        """How the cluster stands as a whole."""
        self._look()
        return self._connection

    async def wait_settled(
        self, timeout_seconds: float, kinds: Iterable[str] | None = None
    ) -> bool:
        """Wait until the kinds (all started ones) were listed or their absence is explained.

        Returns False if time ran out. A kind that is not started yet is started.
        """
        if kinds is None:
            informers = [started.informer for started in self._kinds.values()]
        else:
            informers = [self[name] for name in kinds]
        try:
            async with asyncio.timeout(timeout_seconds):
                for informer in informers:
                    await informer.settled.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for started in self._kinds.values():
                    self._start(started)
                group.create_task(self._heartbeat.run(), name="heartbeat")
                await self._stop_idle()
            finally:
                self._group = None

    def _look(self) -> None:
        """Notice what changed in the kinds' states; the heartbeat looks at least every second."""
        seen: list[object] = [self._heartbeat.failure]
        for name, started in self._kinds.items():
            state = started.informer.state
            seen += (name, state.status, state.synced, state.reason)
        if seen != self._seen:
            self._seen = seen
            self._changes += 1
            self._assess()

    def _assess(self) -> None:
        settled = {
            name: started.informer.state
            for name, started in self._kinds.items()
            if started.informer.settled.is_set()
        }
        connecting = not settled.keys() >= set(ALWAYS)
        state, reason = assess(settled, self._heartbeat.failure, connecting=connecting)
        before = self._connection
        if (state, reason) != (before.state, before.reason):
            since = before.since if state is before.state else datetime.now(UTC)
            self._connection = Connection(state, since, reason)

    def _add(self, name: str) -> _Started:
        informer: Informer[Any] = Informer(
            self._client,
            KINDS[name],
            poll_seconds=self._poll_seconds,
            drift_seconds=self._drift_seconds,
        )
        for handler in (self._count, *self._handlers):
            informer.add_handler(handler)
        started = self._kinds[name] = _Started(informer, time.monotonic())
        self._start(started)
        return started

    def _start(self, started: _Started) -> None:
        if self._group is not None:
            informer = started.informer
            started.task = self._group.create_task(
                informer.run(), name=f"informer {informer.kind.name}"
            )

    async def _stop_idle(self) -> None:
        while True:
            await asyncio.sleep(self._idle_seconds / 10)
            oldest = time.monotonic() - self._idle_seconds
            for name, started in tuple(self._kinds.items()):
                if started.used < oldest and not started.informer.kind.always:
                    self._stop(name)

    def _stop(self, name: str) -> None:
        started = self._kinds.pop(name)
        if started.task is not None:
            started.task.cancel()
        self._changes += 1
        logger.info("%s: stopped, nobody reads it", name)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        if self._group is None:
            work.close()
        else:
            self._group.create_task(work)

    def _count(self, _delta: Delta) -> None:
        self._changes += 1

    def _is_down(self) -> bool:
        return self.connection.state is ConnectionState.UNREACHABLE

    def _on_lost(self) -> None:
        logger.warning("cluster: %s, %s", self.connection.state.value, self.connection.reason)
        for started in self._kinds.values():
            started.informer.reconnect()

    def _on_found(self) -> None:
        logger.info("cluster: it answers again")
        for started in self._kinds.values():
            started.informer.retry_now()
