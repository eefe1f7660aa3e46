"""The mirror of one cluster: an informer a kind and a counter for what is only counted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from cloudpilot.cache.informer import Counter, Informer
from cloudpilot.cache.reflector import SyncState
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import COUNTED, KINDS, MIRRORED


class Mirror:
    """All informers of one cluster. `mirror["Pod"].list("shop")` answers from memory.

    One kind that fails (forbidden, not installed) leaves the others alive and is named in
    `states()`.
    """

    def __init__(self, client: KubeClient, *, poll_seconds: float) -> None:
        self._informers: dict[str, Informer[Any]] = {
            name: Informer(client, KINDS[name], poll_seconds=poll_seconds) for name in MIRRORED
        }
        self.counters = {
            kind: Counter(client, plural, poll_seconds=poll_seconds)
            for kind, plural in COUNTED.items()
        }

    def __getitem__(self, kind: str) -> Informer[Any]:
        return self._informers[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self._informers)

    def states(self) -> dict[str, SyncState]:
        """Return how current each kind is, counted ones included."""
        return {name: part.state for name, part in self._parts().items()}

    async def wait_settled(self, timeout_seconds: float) -> bool:
        """Wait until every kind was listed or its absence is explained; False if time ran out."""
        try:
            async with asyncio.timeout(timeout_seconds):
                for part in self._parts().values():
                    await part.settled.wait()
        except TimeoutError:
            return False
        return True

    def _parts(self) -> dict[str, Informer[Any] | Counter]:
        return {**self._informers, **self.counters}

    async def run(self) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name, informer in self._informers.items():
                group.create_task(informer.run(), name=f"informer {name}")
            for kind, counter in self.counters.items():
                group.create_task(counter.run(), name=f"counter {kind}")
