"""Sharing memory: equal parts of objects are kept once.

Pods of one controller differ in their names, times and nodes, and in little else; an object and
its next state differ in even less. Objects of the mirror are never changed in place, so whatever
is equal can be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import repeat, zip_longest
from operator import attrgetter
from typing import Any, Generic, TypeVar

from msgspec import Struct

from cloudpilot.kube.objects.meta import KubeObject, Metadata

O = TypeVar("O", bound=KubeObject)  # noqa: E741 - an object

_MOST_STRINGS = 8192
_LONGEST_STRING = 128
_MOST_SIBLINGS = 4096
_OWN = frozenset({"uid", "resource_version", "pod_ip", "message", "body"})
"""Fields whose values are one object's own: looking for an equal one is time lost."""


class Sharing(Generic[O]):
    """Lets each object of one kind share its parts with the one that is most like it.

    That is its own last state, else the last object of the same controller, else the last object.
    Strings that differ even so are shared with an equal one seen lately.
    """

    def __init__(self, held: Callable[[str, str], O | None]) -> None:
        self._held = held
        self._strings: dict[str, str] = {}
        self._siblings: dict[str, O] = {}
        self._last: O | None = None

    def share(self, obj: O) -> O:
        """Return the object, or the one that is held already if nothing in it is new."""
        metadata = obj.metadata
        like = self._held(metadata.namespace, metadata.name)
        if like is not None and like == obj:
            return like
        owners = metadata.owner_references
        owner = owners[0].uid if owners else ""
        self._share_fields(obj, like or self._siblings.get(owner) or self._last)
        if len(self._strings) > _MOST_STRINGS:
            self._strings.clear()
        if len(self._siblings) > _MOST_SIBLINGS:
            self._siblings.clear()
        if owner:
            self._siblings[owner] = obj
        self._last = obj
        return obj

    def _share_fields(self, new: Struct, like: object) -> None:
        kind = type(new)
        names, values_of = _shareable(kind)
        others = values_of(like) if type(like) is kind else repeat(None)
        strings = self._strings
        for name, value, other in zip(names, values_of(new), others, strict=False):
            if value is other:
                continue
            if value == other:
                setattr(new, name, other)
            elif type(value) is str:
                if len(value) <= _LONGEST_STRING:
                    setattr(new, name, strings.setdefault(value, value))
            elif type(value) is tuple:
                setattr(new, name, self._shared_items(value, other))
            elif isinstance(value, Struct):
                self._share_fields(value, other)
            elif type(value) is dict:
                self._share_values(value)

    def _shared_items(self, items: tuple[Any, ...], like: object) -> tuple[Any, ...]:
        """Return the items, each the one of `like` at its place if they are equal."""
        others = like[: len(items)] if isinstance(like, tuple) else ()
        shared = []
        for item, other in zip_longest(items, others):
            if item == other:
                shared.append(other)
                continue
            if isinstance(item, Struct):
                self._share_fields(item, other)
            shared.append(item)
        return tuple(shared)

    def _share_values(self, mapping: dict[str, Any]) -> None:
        for key, value in mapping.items():
            if type(value) is str and len(value) <= _LONGEST_STRING:
                mapping[key] = self._strings.setdefault(value, value)


Fields = tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]


@cache
def _shareable(kind: type[Struct]) -> Fields:
    """Return the fields worth sharing, and what reads them all at once."""
    own = _OWN | {"name"} if kind is Metadata else _OWN
    names = tuple(name for name in kind.__struct_fields__ if name not in own)
    if len(names) > 1:
        return names, attrgetter(*names)
    return names, lambda struct: tuple(getattr(struct, name) for name in names)
