"""Points say how much they stand for; gaps are where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cloudpilot.usage.blocks import Block, merge, roll_up
from cloudpilot.usage.points import Gap, Point, gaps_between, minutes, quarters, widen

ZERO = datetime(2026, 3, 1, tzinfo=UTC)
BEGIN = int(ZERO.timestamp())


def at(minute: int) -> datetime:
    return ZERO + timedelta(minutes=minute)


def block(**columns: Sequence[int | None]) -> Block:
    length = len(next(iter(columns.values())))
    return Block([BEGIN + 60 * number for number in range(length)], {"a": dict(columns)})


def points(**columns: Sequence[int | None]) -> list[Point]:
    found = minutes([block(**columns)], "a", "pods")
    return [found[time] for time in sorted(found)]


def test_unknown_minutes_have_no_point() -> None:
    found = points(pods=[1, None, 3])
    assert [(point.time, point.mean, point.samples) for point in found] == [
        (at(0), 1, 1),
        (at(2), 3, 1),
    ]
    assert minutes([block(pods=[1])], "b", "pods") == {}
    assert minutes([block(pods=[1])], "a", "restarts") == {}


def test_quarter_knows_mean_maximum_and_how_many_but_no_minimum() -> None:
    rolled = roll_up(block(pods=[1, None, 6], restarts=[0, 0, 0]), BEGIN)
    [point] = quarters([rolled], "a", "pods").values()
    assert point == Point(ZERO, 900, 4, None, 6, 2)
    assert quarters([rolled], "a", "restarts")[BEGIN].samples == 3


def test_wider_points_weigh_each_minute_the_same() -> None:
    rolled = merge([roll_up(block(pods=[2] * 9 + [12]), BEGIN)])
    [quarter] = quarters([rolled], "a", "pods").values()
    minute = Point(at(30), 60, 14, 14, 14, 1)
    [wide] = widen([quarter, minute], 3600)
    assert (wide.time, wide.seconds, wide.samples) == (ZERO, 3600, 11)
    assert (wide.mean, wide.minimum, wide.maximum) == (4, None, 14)


def test_minimum_is_known_where_every_minute_is() -> None:
    wide = widen(points(pods=[5, 1, 3, None, 8, 9]), 180)
    assert [(point.time, point.minimum, point.maximum, point.samples) for point in wide] == [
        (at(0), 1, 5, 3),
        (at(3), 8, 9, 2),
    ]


def test_gaps_are_named_from_end_to_end() -> None:
    found = points(pods=[None] * 10 + [1] * 5 + [None] + [1] * 4 + [None] * 10)
    gaps = gaps_between(found, at(0), at(30))
    assert gaps == [Gap(at(0), at(10)), Gap(at(20), at(30))]
    assert gaps_between([], at(0), at(30)) == [Gap(at(0), at(30))]
    assert gaps_between(found, at(10), at(20)) == []
