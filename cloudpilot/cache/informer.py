"""The informer: a store that its reflector keeps current, and handlers told of each difference."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from cloudpilot.cache.listwatch import CountListWatch, ObjectListWatch
from cloudpilot.cache.reflector import Reflector, SyncState
from cloudpilot.cache.store import Store, key_of
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import Kind, KubeObject

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=KubeObject)

Handler = Callable[[Any, Any], None]
"""Called with (old, new); None for an object that was not there, or is gone."""


class Informer(Generic[T]):
    """Keeps one kind of one cluster in memory.

    Promises: the states of one object are seen in order; a query answers from one snapshot;
    handlers run after the store changed, one at a time. Does not promise: that every state is
    seen; any order between two objects. A handler must be quick: hand long work to a queue.
    """

    def __init__(self, client: KubeClient, kind: Kind, *, poll_seconds: float) -> None:
        self.kind = kind
        self._store: Store[Any] = Store()
        self._handlers: tuple[Handler, ...] = ()
        source: ObjectListWatch[Any] = ObjectListWatch(client, kind, kind.projection)
        self._reflector: Reflector[Any] = Reflector(
            kind.name, source, self, poll_seconds=poll_seconds
        )

    @property
    def state(self) -> SyncState:
        """How current the content is."""
        return self._reflector.state

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` of every difference from now on."""
        self._handlers = (*self._handlers, handler)

    @property
    def settled(self) -> asyncio.Event:
        """Set once it was listed, or why it could not be is known."""
        return self._reflector.settled

    async def run(self) -> None:
        """Keep the content current until cancelled."""
        await self._reflector.run()

    def __len__(self) -> int:
        return len(self._store)

    def get(self, namespace: str, name: str) -> T | None:
        """Return one object from memory."""
        return self._store.get(namespace, name)

    def list(self, namespace: str | None = None) -> Sequence[T]:
        """Return the objects of a namespace, or all, from memory, sorted."""
        return self._store.list(namespace)

    def count(self, namespace: str) -> int:
        """Return how many objects a namespace holds."""
        return self._store.count(namespace)

    def replace(self, items: Sequence[T]) -> None:
        """Take a complete list (called by the reflector)."""
        for old, new in self._store.replace(items):
            self._notify(old, new)

    def apply(self, event_type: str, item: T) -> None:
        """Take one event (called by the reflector)."""
        if event_type == "DELETED":
            old = self._store.remove(key_of(item))
            if old is not None:
                self._notify(old, None)
        else:
            self._notify(self._store.upsert(item), item)

    def _notify(self, old: T | None, new: T | None) -> None:
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:  # noqa: BLE001 - one handler's fault must not stop the mirror
                logger.exception("a handler of %s failed", self.kind.name)


class Counter:
    """The live number of a kind whose objects are never received."""

    def __init__(self, client: KubeClient, plural: str, *, poll_seconds: float) -> None:
        self._count = 0
        source = CountListWatch(client, plural)
        self._reflector: Reflector[int] = Reflector(plural, source, self, poll_seconds=poll_seconds)

    @property
    def state(self) -> SyncState:
        """How current the number is."""
        return self._reflector.state

    @property
    def value(self) -> int | None:
        """The number; None if it was never known or may not be known now."""
        return self._count if self.state.known else None

    @property
    def settled(self) -> asyncio.Event:
        """Set once it was counted, or why it could not be is known."""
        return self._reflector.settled

    async def run(self) -> None:
        """Keep the number current until cancelled."""
        await self._reflector.run()

    def replace(self, items: Sequence[int]) -> None:
        """Take a fresh number (called by the reflector)."""
        self._count = sum(items)

    def apply(self, _event_type: str, step: int) -> None:
        """Take one more, or one less (called by the reflector)."""
        self._count += step
