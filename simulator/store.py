"""The objects, their resourceVersions and their history: what etcd and the watch cache hold.

Stored objects are never changed in place: a write replaces the object. Readers that only look may
therefore keep references; whoever wants to change one takes a copy (`get` and `edit` do that).
Validation, defaulting and conflicts live in the request handlers, not here.
"""

from __future__ import annotations

import random
import uuid
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from simulator.kinds import Kind, Kinds, Obj, Objs, copied

Key = tuple[str, str]
Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Change:
    """One write: the object before and after it (`None` = did not exist)."""

    version: int
    kind: Kind
    before: Obj | None
    after: Obj | None


Subscriber = Callable[[Change], None]


def timestamp(moment: datetime) -> str:
    """Format a moment as Kubernetes does: RFC 3339, UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """Read a Kubernetes timestamp."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def key_of(obj: Obj) -> Key:
    """Return namespace (empty for cluster-scoped objects) and name."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Store:
    """All objects by kind, with one version counter and a bounded history of changes.

    Args:
        clock: the current time.
        seed: makes uids and generated names repeatable.
        history: how many changes are kept for watches from an older version.
    """

    def __init__(self, clock: Clock, seed: int = 0, history: int = 20_000) -> None:
        self.clock = clock
        self.kinds = Kinds()
        self.random = random.Random(seed)  # noqa: S311 - repeatable names, nothing secret
        self.version = 1000
        self.compacted = 0
        self._objects: dict[str, dict[Key, Obj]] = {}
        self._history: deque[Change] = deque()
        self._history_limit = history
        self._subscribers: dict[str, list[Subscriber]] = {}

    # -- reading ---------------------------------------------------------------------------

    def find(self, kind: Kind, namespace: str, name: str) -> Obj | None:
        """Return the stored object itself: to be looked at, not changed."""
        return self._objects.get(kind.resource, {}).get((namespace, name))

    def get(self, resource: str, name: str, namespace: str = "") -> Obj | None:
        """Return a copy of an object, to be changed at will."""
        return copied(self.find(self.kinds.find(resource), namespace, name))

    def list(
        self, resource: str, namespace: str = "", labels: Mapping[str, str] | None = None
    ) -> Objs:
        """Return the stored objects themselves (not to be changed), in key order."""
        wanted = (labels or {}).items()
        return [
            obj
            for obj in self.snapshot(self.kinds.find(resource), namespace)
            if wanted <= obj["metadata"].get("labels", {}).items()
        ]

    def snapshot(self, kind: Kind, namespace: str = "", version: int | None = None) -> Objs:
        """Return all objects of a kind in key order, now or as they were at an older version."""
        objects = self._objects.get(kind.resource, {})
        if version is not None and version < self.version:
            objects = dict(objects)
            for change in reversed(self._history):
                if change.version <= version:
                    break
                if change.kind.resource != kind.resource:
                    continue
                if change.before is None and change.after is not None:
                    del objects[key_of(change.after)]
                elif change.before is not None:
                    objects[key_of(change.before)] = change.before
        keys = (key for key in objects if not namespace or key[0] == namespace)
        return [objects[key] for key in sorted(keys, key="/".join)]

    def changes_after(self, kind: Kind, version: int) -> Iterator[Change]:
        """Yield the remembered changes of a kind that are newer than a version."""
        start = bisect_right(self._history, version, key=lambda change: change.version)
        for position in range(start, len(self._history)):
            if self._history[position].kind.resource == kind.resource:
                yield self._history[position]

    # -- writing ---------------------------------------------------------------------------

    def new_uid(self) -> str:
        """Return the next repeatable uid."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def suffix(self, length: int = 5) -> str:
        """Return a random name suffix from the letters that Kubernetes uses."""
        return "".join(self.random.choices("bcdfghjklmnpqrstvwxz2456789", k=length))

    def create(self, obj: Obj, age: timedelta = timedelta()) -> Obj:
        """Add an object, filling uid, creationTimestamp, generation and resourceVersion.

        Args:
            obj: a manifest; `metadata.generateName` is completed.
            age: how long ago it shall have been created.
        """
        kind = self.kinds.of(obj)
        obj = copied(obj)
        metadata = obj["metadata"]
        if not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + self.suffix()
        metadata.setdefault("uid", self.new_uid())
        metadata.setdefault("creationTimestamp", timestamp(self.clock() - age))
        if kind.has_generation:
            metadata.setdefault("generation", 1)
        return self.put(kind, obj)

    def update(self, obj: Obj) -> Obj:
        """Replace an object (by namespace and name), counting its generation up on spec change."""
        kind = self.kinds.of(obj)
        before = self.find(kind, *key_of(obj))
        if before is None:
            raise KeyError(f"{kind.resource} {key_of(obj)}")
        obj = copied(obj)
        if kind.has_generation:
            generation = int(before["metadata"].get("generation", 1))
            changed = spec_of(obj) != spec_of(before)
            obj["metadata"]["generation"] = generation + changed
        return self.put(kind, obj)

    def edit(
        self, resource: str, name: str, namespace: str, change: Callable[[Obj], None]
    ) -> Obj | None:
        """Apply a change to a copy of an object and store it; `None` if there is no such object."""
        obj = self.get(resource, name, namespace)
        if obj is None:
            return None
        change(obj)
        return self.update(obj)

    def put(self, kind: Kind, obj: Obj) -> Obj:
        """Store an object under the next version; one that is unchanged keeps its version."""
        key = key_of(obj)
        objects = self._objects.setdefault(kind.resource, {})
        before = objects.get(key)
        obj["apiVersion"], obj["kind"] = kind.api_version, kind.kind
        if before is not None:
            obj["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
            if obj == before:
                return before
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        objects[key] = obj
        self._publish(Change(self.version, kind, before, obj))
        return obj

    def delete(self, resource: str, name: str, namespace: str = "") -> Obj | None:
        """Remove an object at once, whatever its finalizers say; return what it was."""
        kind = self.kinds.find(resource)
        before = self._objects.get(kind.resource, {}).pop((namespace, name), None)
        if before is not None:
            self.version += 1
            self._publish(Change(self.version, kind, before, None))
        return before

    # -- history ---------------------------------------------------------------------------

    def subscribe(self, kind: Kind | None, subscriber: Subscriber) -> Callable[[], None]:
        """Call back on each change of a kind (`None` = of every kind); returns how to stop."""
        subscribers = self._subscribers.setdefault(kind.resource if kind else "*", [])
        subscribers.append(subscriber)
        return lambda: subscribers.remove(subscriber)

    def compact(self) -> None:
        """Forget the history: watches and continue tokens from before now are too old."""
        self._history.clear()
        self.compacted = self.version

    def _publish(self, change: Change) -> None:
        self._history.append(change)
        if len(self._history) > self._history_limit:
            self.compacted = self._history.popleft().version
        for name in (change.kind.resource, "*"):
            for subscriber in list(self._subscribers.get(name, ())):
                subscriber(change)


def spec_of(obj: Obj) -> Obj:
    """Return what counts for `metadata.generation`: all but metadata and status."""
    return {k: v for k, v in obj.items() if k not in ("metadata", "status", "apiVersion", "kind")}
