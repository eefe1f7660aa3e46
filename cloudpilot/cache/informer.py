"""The informer: a store that its reflector keeps current, and handlers told of each difference."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from cloudpilot.cache.delta import Delta, Handler
from cloudpilot.cache.drift import DriftCheck
from cloudpilot.cache.index import Indexer
from cloudpilot.cache.listwatch import ObjectListWatch
from cloudpilot.cache.reflector import Reflector, SyncState
from cloudpilot.cache.stats import InformerStats
from cloudpilot.cache.store import Key, Store, key_of
from cloudpilot.cache.versions import precedes
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.pace import Pace

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=KubeObject)


class Informer(Generic[T]):
    """Keeps one kind of one cluster in memory.

    Promises: the states of one object are seen in order; a query answers from one snapshot;
    handlers run after the store changed, one at a time, and miss no difference. Does not promise:
    that every state is seen; any order between two objects. A handler must be quick: hand long
    work to a queue.

    Args:
        client: The way to the cluster.
        kind: What to keep.
        poll_seconds: How often a kind is listed again where watching it is forbidden.
        drift_seconds: How often the content is compared with the server's.
    """

    def __init__(
        self, client: KubeClient, kind: Kind, *, poll_seconds: float, drift_seconds: float = 600.0
    ) -> None:
        self.kind = kind
        self.stats = InformerStats()
        self._store: Store[Any] = Store()
        self._indexer: Indexer[Any] = Indexer(self._store)
        self._handlers: tuple[Handler, ...] = ()
        self._listed = False
        source: ObjectListWatch[Any] = ObjectListWatch(
            client, kind, held=self._store.get, stats=self.stats
        )
        self._reflector: Reflector[Any] = Reflector(
            kind.name, source, self, poll_seconds=poll_seconds, stats=self.stats
        )
        self._drift = DriftCheck(client, kind, self._store, self._reflector, drift_seconds)

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
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reflector.run())
            group.create_task(self._drift.run())

    def retry_now(self) -> None:
        """Stop waiting, if it waits: the server is known to answer again."""
        self._reflector.retry_now()

    def reconnect(self) -> None:
        """Drop the open stream, which may be dead, and go on from where it was."""
        self._reflector.reconnect()

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

    def by(self, index: str, value: str) -> Sequence[T]:
        """Return the objects under a value of one of `INDEXES`, from memory, sorted."""
        return self._indexer.by(index, value)

    async def prepare(self, index: str) -> None:
        """Build an index before it is asked, without keeping others waiting."""
        await self._indexer.prepare(index)

    async def replace(
        self, items: Sequence[T], raws: Mapping[Key, msgspec.Raw] | None = None
    ) -> None:
        """Take a complete list (called by the reflector)."""
        initial, self._listed = not self._listed, True
        changes = self._store.replace(items)
        self._indexer.clear()
        pace = Pace()
        try:
            for old, new in changes:
                self._tell(old, new, _raw_of(new, raws), initial=initial)
                await pace.breathe()
        finally:
            # Cut short: whoever counts by differences must not miss the rest.
            for old, new in changes:
                self._tell(old, new, _raw_of(new, raws), initial=initial)

    def withdraw(self) -> None:
        """Hold nothing: what may not be read may not be shown either (called by the reflector)."""
        self._listed = False
        gone = self._store.replace(())
        self._indexer.clear()
        for old, _ in gone:
            self._notify(Delta(self.kind, old, None, is_withdrawn=True))

    def apply(self, event_type: str, item: T, raw: msgspec.Raw | None = None) -> None:
        """Take one event (called by the reflector)."""
        key = key_of(item)
        self._drift.touch(key)
        if _is_late(item, self._store.get(*key)):
            return
        if event_type == "DELETED":
            old, new = self._store.remove(key), None
        else:
            old, new = self._store.upsert(item), item
        self._indexer.update(old, new)
        self._tell(old, new, raw)

    def _tell(
        self, old: T | None, new: T | None, raw: msgspec.Raw | None, *, initial: bool = False
    ) -> None:
        if old is not new and old != new:
            self._notify(Delta(self.kind, old, new, raw, is_in_initial_list=initial))

    def _notify(self, delta: Delta) -> None:
        for handler in self._handlers:
            try:
                handler(delta)
            except Exception:  # noqa: BLE001 - one handler's fault must not stop the mirror
                logger.exception("a handler of %s failed", self.kind.name)


def _raw_of(item: KubeObject | None, raws: Mapping[Key, msgspec.Raw] | None) -> msgspec.Raw | None:
    return raws.get(key_of(item)) if raws and item is not None else None


def _is_late(item: KubeObject, held: KubeObject | None) -> bool:
    """Whether an event tells of a state that was already followed by the one that is held."""
    return (
        held is not None
        and item.metadata.uid == held.metadata.uid
        and precedes(item.metadata.resource_version, held.metadata.resource_version)
    )
