"""When each kind was watched, and so of which times the journal can know anything. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from cloudpilot.cache.reflector import SyncState, SyncStatus
from cloudpilot.db.journal_records import Period

_WATCHED = frozenset({SyncStatus.LIVE, SyncStatus.POLLING, SyncStatus.NOT_INSTALLED})
"""A kind that is listed on a timer is watched coarsely; one that is not installed has nothing."""
_SHORTEST_GAP = timedelta(seconds=3)
"""A watch is looked at once a second, and starts again within two."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of which some kinds' changes cannot be known."""

    since: datetime
    until: datetime
    kinds: tuple[str, ...]


class WatchTimes:
    """Follows the states of a mirror's kinds and keeps the periods in which they were watched."""

    def __init__(self, next_id: Callable[[], int]) -> None:
        self._next_id = next_id
        self._open: dict[str, Period] = {}
        self._closed: list[Period] = []
        self.last: dict[str, datetime] = {}
        """When each kind was seen being watched last."""

    def look(self, now: datetime, states: Mapping[str, SyncState]) -> None:
        """Take note of how the kinds stand now."""
        watched = {name for name, state in states.items() if state.status in _WATCHED}
        for name in [name for name in self._open if name not in watched]:
            self._closed.append(self._open.pop(name))
        for name in watched:
            period = self._open.get(name)
            if period is None:
                period = Period(id=self._next_id(), kind=name, since=now, until=now)
            self.last[name] = now
            self._open[name] = msgspec.structs.replace(period, until=max(now, period.until))

    def unsaved(self) -> list[Period]:
        """Return what the database does not know yet, which is every period that still goes on."""
        return [*self._closed, *self._open.values()]

    def saved(self, periods: Iterable[Period]) -> None:
        """Forget closed periods that were stored."""
        ids = {period.id for period in periods}
        self._closed = [period for period in self._closed if period.id not in ids]


def gaps(
    periods: Iterable[Period], since: datetime, until: datetime, kinds: Iterable[str]
) -> list[Gap]:
    """Return when within a time which of the kinds were not watched, newest first."""
    by_kind: dict[str, list[Period]] = defaultdict(list)
    for period in periods:
        by_kind[period.kind].append(period)
    found: dict[tuple[datetime, datetime], set[str]] = defaultdict(set)
    for kind in kinds:
        for gap in _unwatched(by_kind[kind], since, until):
            found[gap].add(kind)
    return _joined(found)


def _unwatched(
    periods: Sequence[Period], since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    missing = []
    known = since
    for period in sorted(periods, key=lambda period: period.since):
        if period.since - known >= _SHORTEST_GAP:
            missing.append((known, min(period.since, until)))
        known = max(known, period.until)
        if known >= until:
            break
    if until - known >= _SHORTEST_GAP:
        missing.append((known, until))
    return [(start, end) for start, end in missing if start < end]


def _joined(found: Mapping[tuple[datetime, datetime], set[str]]) -> list[Gap]:
    """Join times that overlap: one outage is one gap, although the kinds went one by one."""
    joined: list[tuple[datetime, datetime, set[str]]] = []
    for (start, end), kinds in sorted(found.items(), key=lambda item: item[0]):
        if joined and start <= joined[-1][1]:
            before = joined.pop()
            joined.append((before[0], max(before[1], end), before[2] | kinds))
        else:
            joined.append((start, end, kinds))
    return [Gap(start, end, tuple(sorted(kinds))) for start, end, kinds in reversed(joined)]
