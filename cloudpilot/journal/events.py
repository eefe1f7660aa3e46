"""Events worth keeping beyond the hour that a cluster keeps them, repetitions counted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from cloudpilot.cache.delta import Delta
from cloudpilot.db.journal_records import Occurrence
from cloudpilot.journal.facts import shown
from cloudpilot.kube.objects.event import Event
from cloudpilot.kube.redact import mask_text
from cloudpilot.kube.timestamps import parse_time

_TELLING = frozenset(
    {
        "Killing",
        "Preempted",
        "Rebooted",
        "RemovingNode",
        "NodeNotReady",
        "NodeNotSchedulable",
        "NodeSchedulable",
        "ScalingReplicaSet",
        "SuccessfulRescale",
        "TaintManagerEviction",
        "TriggeredScaleUp",
        "ScaleDown",
        "VolumeResizeSuccessful",
    }
)
"""Normal events that explain something; of Warnings all are kept."""
_MOST_PENDING = 5_000

Key = tuple[str, ...]
Owner = tuple[str, str]
"""Kind and name; empty for none."""


class EventKeeper:
    """Collects what is to be stored of Events, one record for all that say the same."""

    def __init__(self, owner_of: Callable[[str, str, str], Owner]) -> None:
        self._owner_of = owner_of
        self._pending: dict[Key, Occurrence] = {}
        self._writing: list[Occurrence] = []
        self.dropped = 0

    def note(self, delta: Delta, now: datetime) -> None:
        """Take note of an Event that came or was repeated; that the cluster forgets is no news."""
        event: Event | None = delta.new
        if event is None or (event.type != "Warning" and event.reason not in _TELLING):
            return
        before = delta.old.times if delta.old is not None else 0
        more = 0 if delta.is_in_initial_list else max(event.times - before, 0)
        if not more and not delta.is_in_initial_list:
            return
        found = self._record(event, more, now)
        pending = self._pending.pop(found.key, None)
        if pending is not None:
            found = msgspec.structs.replace(
                found,
                count=max(found.count, pending.count + more),
                more=pending.more + more,
                first=min(pending.first, found.first),
            )
        self._pending[found.key] = found
        if len(self._pending) > _MOST_PENDING:
            del self._pending[next(iter(self._pending))]
            self.dropped += 1

    def pending(self) -> list[Occurrence]:
        """Return what is not known to be stored yet."""
        return [*self._writing, *self._pending.values()]

    def take(self, most: int) -> list[Occurrence]:
        """Take out what is to be stored next; what was taken before is stored."""
        self._writing = [self._pending.pop(key) for key in list(self._pending)[:most]]
        return list(self._writing)

    def put_back(self, occurrences: list[Occurrence]) -> None:
        """Keep what could not be stored, unless the same happened again meanwhile."""
        self._writing = []
        for item in occurrences:
            newer = self._pending.get(item.key)
            if newer is not None:
                item = msgspec.structs.replace(
                    newer, more=newer.more + item.more, first=min(item.first, newer.first)
                )
            self._pending[item.key] = item

    def _record(self, event: Event, more: int, now: datetime) -> Occurrence:
        about = event.involved_object
        last = min(parse_time(event.last_seen) or now, now)
        first = parse_time(event.first_timestamp) or parse_time(event.metadata.creation_timestamp)
        owner_kind, owner_name = self._owner_of(about.kind, about.namespace, about.name)
        return Occurrence(
            kind=about.kind,
            namespace=about.namespace,
            name=about.name,
            uid=about.uid,
            owner_kind=owner_kind,
            owner_name=owner_name,
            type=event.type,
            reason=event.reason[:128],
            message=shown(mask_text(event.message)) or "",
            count=event.times,
            more=more,
            first=min(first or last, last),
            last=last,
            source=(event.source.component or event.reporting_component)[:128],
        )
