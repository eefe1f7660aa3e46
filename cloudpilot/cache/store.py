"""The store: the objects of one kind, by name and by namespace.

A store holds the newest state it was told and answers from memory. It talks to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from cloudpilot.kube.objects.meta import KubeObject

T = TypeVar("T", bound=KubeObject)

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name."""

Change = tuple[T | None, T | None]
"""An object before and after; None where there was or is none."""

Spaces = dict[str, dict[str, T]]
"""Objects by namespace and name."""


def key_of(obj: KubeObject) -> Key:
    """Return the key an object is stored under."""
    return obj.metadata.namespace, obj.metadata.name


class Store(Generic[T]):
    """Objects of one kind.

    `replace` and `apply` return what changed as pairs (old, new), so that whoever counts can
    adjust by the difference.
    """

    def __init__(self) -> None:
        self._namespaces: Spaces[T] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        for objects in self._namespaces.values():
            yield from objects.values()

    def get(self, namespace: str, name: str) -> T | None:
        """Return one object."""
        return self._namespaces.get(namespace, {}).get(name)

    def list(self, namespace: str | None = None) -> Sequence[T]:
        """Return the objects of a namespace, or all, sorted by namespace and name."""
        if namespace is not None:
            objects = self._namespaces.get(namespace, {})
            return [objects[name] for name in sorted(objects)]
        return [obj for space in sorted(self._namespaces) for obj in self.list(space)]

    def count(self, namespace: str) -> int:
        """Return how many objects a namespace holds."""
        return len(self._namespaces.get(namespace, ()))

    def upsert(self, obj: T) -> T | None:
        """Store an object and return the one it replaced."""
        namespace, name = key_of(obj)
        objects = self._namespaces.setdefault(namespace, {})
        old = objects.get(name)
        objects[name] = obj
        self._size += old is None
        return old

    def remove(self, key: Key) -> T | None:
        """Forget an object and return it."""
        namespace, name = key
        objects = self._namespaces.get(namespace, {})
        old = objects.pop(name, None)
        self._size -= old is not None
        if not objects:
            self._namespaces.pop(namespace, None)
        return old

    def replace(self, objects: Iterable[T]) -> Iterator[Change[T]]:
        """Make this the whole content at once; return every difference as (old, new).

        The differences are found while they are taken, so that whoever tells others of them may
        pause in between; nothing else may be stored until all are taken.
        """
        before, after = self._namespaces, dict[str, dict[str, T]]()
        for obj in objects:
            namespace, name = key_of(obj)
            after.setdefault(namespace, {})[name] = obj
        self._namespaces, self._size = after, sum(map(len, after.values()))
        return self._differences(before, after)

    @staticmethod
    def _differences(before: Spaces[T], after: Spaces[T]) -> Iterator[Change[T]]:
        for namespace, objects in after.items():
            was = before.get(namespace, {})
            for name, new in objects.items():
                old = was.pop(name, None)
                # Not by resourceVersion: a cluster restored from a backup counts from the past.
                if old != new:
                    yield old, new
        for objects in before.values():
            for gone in objects.values():
                yield gone, None
