"""The informer: a store that its reflector keeps current, and handlers told of each difference."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from cloudpilot.cache.delta import Delta, Handler
from cloudpilot.cache.listwatch import ObjectListWatch
from cloudpilot.cache.reflector import Reflector, SyncState
from cloudpilot.cache.store import Store, key_of
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.objects.meta import KubeObject

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=KubeObject)


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
        self._listed = False
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
        initial = not self._listed
        self._listed = True
        for old, new in self._store.replace(items):
            self._notify(Delta(self.kind, old, new, is_in_initial_list=initial))

    def apply(self, event_type: str, item: T, raw: msgspec.Raw | None = None) -> None:
        """Take one event (called by the reflector)."""
        if event_type == "DELETED":
            old = self._store.remove(key_of(item))
            if old is not None:
                self._notify(Delta(self.kind, old, None, raw))
        else:
            self._notify(Delta(self.kind, self._store.upsert(item), item, raw))

    def _notify(self, delta: Delta) -> None:
        for handler in self._handlers:
            try:
                handler(delta)
            except Exception:  # noqa: BLE001 - one handler's fault must not stop the mirror
                logger.exception("a handler of %s failed", self.kind.name)
