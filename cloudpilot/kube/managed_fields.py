"""Who set a field last, as `metadata.managedFields` of an object tells it. Pure.

The server keeps for each manager which fields it set and when it last changed one. It does not
keep who removed a field or deleted an object.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from cloudpilot.kube.differences import Item, Step
from cloudpilot.kube.timestamps import parse_time

_NEVER = datetime.min.replace(tzinfo=UTC)
_LEADER = "f:control-plane.alpha.kubernetes.io/leader"


class _Entry(msgspec.Struct, rename="camel"):
    manager: str = ""
    time: str | None = None
    subresource: str = ""
    fields: dict[str, Any] | None = msgspec.field(default=None, name="fieldsV1")


class _Metadata(msgspec.Struct, rename="camel"):
    managed_fields: list[_Entry] | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


_DECODER = msgspec.json.Decoder(_Object)


@dataclass(frozen=True, slots=True)
class Manager:
    """Who wrote, and when it last changed something it owns."""

    name: str
    time: datetime | None
    owns: bool
    """Whether it is known to own the very field that was asked about."""


class ManagedFields:
    """The managers of one object, those of its status apart."""

    def __init__(self, raw: bytes | None) -> None:
        self._entries: list[_Entry] = []
        if raw is None:
            return
        try:
            entries = _DECODER.decode(raw).metadata.managed_fields or []
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        self._entries = [entry for entry in entries if entry.subresource != "status"]

    def newest(self) -> Manager | None:
        """Return who changed anything but the status last."""
        return self.of(())

    def of(self, steps: tuple[Step, ...]) -> Manager | None:
        """Return who owns a field; of several the last, and for want of one the nearest."""
        best = max(self._entries, key=lambda entry: _nearness(entry, steps), default=None)
        if best is None:
            return None
        owns = bool(steps) and _nearness(best, steps)[0]
        return Manager(best.manager, parse_time(best.time), owns)

    def only_elects(self) -> bool:
        """Tell whether the last writer uses the object to elect a leader, as it does every 2 s."""
        newest = max(self._entries, key=lambda entry: _nearness(entry, ()), default=None)
        metadata = ((newest.fields if newest else None) or {}).get("f:metadata")
        annotations = metadata.get("f:annotations") if isinstance(metadata, dict) else None
        return isinstance(annotations, dict) and _LEADER in annotations


def _nearness(entry: _Entry, steps: tuple[Step, ...]) -> tuple[bool, int, datetime]:
    """Return whether an entry owns a field, how far down towards it something is, and its time."""
    time = parse_time(entry.time) or _NEVER
    node: Any = entry.fields or {}
    for depth, step in enumerate(steps):
        below = _below(node, step)
        if below is None:
            # An empty set means that everything below is owned as one, such as an atomic list.
            return depth > 0 and node == {}, depth, time
        node = below
    return True, len(steps), time


def _below(node: dict[str, Any], step: Step) -> dict[str, Any] | None:
    if isinstance(step, str):
        found = node.get(f"f:{step}")
        return found if isinstance(found, dict) else None
    return next(
        (
            below
            for key, below in node.items()
            if key.startswith("k:") and isinstance(below, dict) and _names(key[2:], step)
        ),
        None,
    )


def _names(key: str, item: Item) -> bool:
    try:
        merge_key = msgspec.json.decode(key)
    except msgspec.DecodeError:
        return False
    return isinstance(merge_key, dict) and merge_key.get("name") == item.name
