"""The mirror of one cluster: an informer for each kind that somebody reads."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from cloudpilot.cache.delta import Handler
from cloudpilot.cache.informer import Informer
from cloudpilot.cache.reflector import SyncState
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import ALWAYS, KINDS


class Mirror:
    """All informers of one cluster. `mirror["Pod"].list("shop")` answers from memory.

    Reading a kind starts its informer; one that nobody read for a while stops. One kind that fails
    (forbidden, not installed) leaves the others alive and is named in `states()`.
    """

    def __init__(self, client: KubeClient, *, poll_seconds: float) -> None:
        self._client = client
        self._poll_seconds = poll_seconds
        self._informers: dict[str, Informer[Any]] = {}
        self._handlers: tuple[Handler, ...] = ()
        self._group: asyncio.TaskGroup | None = None
        for name in ALWAYS:
            self._add(name)

    def __getitem__(self, kind: str) -> Informer[Any]:
        return self._informers.get(kind) or self._add(kind)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._informers))

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` of every difference of every kind, also of those started later."""
        self._handlers = (*self._handlers, handler)
        for informer in self._informers.values():
            informer.add_handler(handler)

    def states(self) -> dict[str, SyncState]:
        """Return how current each started kind is."""
        return {name: informer.state for name, informer in self._informers.items()}

    async def wait_settled(
        self, timeout_seconds: float, kinds: Iterable[str] | None = None
    ) -> bool:
        """Wait until the kinds (all started ones) were listed or their absence is explained.

        Returns False if time ran out. A kind that is not started yet is started.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                for name in tuple(self) if kinds is None else kinds:
                    await self[name].settled.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for name in self:
                self._start(name)
            await asyncio.Event().wait()

    def _add(self, name: str) -> Informer[Any]:
        informer: Informer[Any] = Informer(
            self._client, KINDS[name], poll_seconds=self._poll_seconds
        )
        for handler in self._handlers:
            informer.add_handler(handler)
        self._informers[name] = informer
        self._start(name)
        return informer

    def _start(self, name: str) -> None:
        if self._group is not None:
            self._group.create_task(self._informers[name].run(), name=f"informer {name}")
