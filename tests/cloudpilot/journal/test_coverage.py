"""When kinds were watched, and when not."""

from __future__ import annotations

from datetime import timedelta
from itertools import count

from cloudpilot.cache.reflector import SyncState, SyncStatus
from cloudpilot.db.journal_records import Period
from cloudpilot.journal.coverage import WatchTimes, gaps
from tests.cloudpilot.journal.objects import NOW

HOUR = timedelta(hours=1)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def period(since: float, until: float, kind: str = "Pod") -> Period:
    return Period(id=1, kind=kind, since=NOW + minutes(since), until=NOW + minutes(until))


def unwatched(periods: list[Period], *kinds: str) -> list[tuple[float, float, tuple[str, ...]]]:
    return [
        ((gap.since - NOW) / minutes(1), (gap.until - NOW) / minutes(1), gap.kinds)
        for gap in gaps(periods, NOW, NOW + HOUR, kinds or ("Pod",))
    ]


def test_time_before_during_and_after_is_told_newest_first() -> None:
    assert unwatched([period(10, 20), period(30, 40)]) == [
        (40, 60, ("Pod",)),
        (20, 30, ("Pod",)),
        (0, 10, ("Pod",)),
    ]


def test_whole_time_without_watching_is_one_gap() -> None:
    assert unwatched([]) == [(0, 60, ("Pod",))]


def test_watch_that_goes_on_has_no_gap() -> None:
    assert unwatched([period(-10, 70)]) == []
    assert unwatched([period(-10, 30), period(30.01, 70)]) == []


def test_outage_of_several_kinds_is_one_gap() -> None:
    pods = [period(-10, 20), period(30, 70)]
    nodes = [period(-10, 21, "Node"), period(32, 70, "Node")]
    assert unwatched(pods + nodes, "Pod", "Node") == [(20, 32, ("Node", "Pod"))]


def states(status: SyncStatus) -> dict[str, SyncState]:
    return {"Pod": SyncState(status=status)}


def test_states_become_periods() -> None:
    times = WatchTimes(count(1).__next__)
    for second, status in enumerate(
        [
            SyncStatus.SYNCING,
            SyncStatus.LIVE,
            SyncStatus.LIVE,
            SyncStatus.UNREACHABLE,
            SyncStatus.LIVE,
        ]
    ):
        times.look(NOW + timedelta(seconds=second), states(status))
    found = [(p.id, (p.since - NOW).seconds, (p.until - NOW).seconds) for p in times.unsaved()]
    assert found == [(1, 1, 2), (2, 4, 4)]
    times.saved(times.unsaved())
    assert [p.id for p in times.unsaved()] == [2]


def test_kind_that_stops_is_not_watched_any_more() -> None:
    times = WatchTimes(count(1).__next__)
    times.look(NOW, states(SyncStatus.LIVE))
    times.look(NOW + HOUR, {})
    times.saved(times.unsaved())
    assert times.unsaved() == []
