"""Points of a usage history: read out of blocks, and fewer of them where many would be too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from cloudpilot.usage.blocks import COUNT, PEAK, Block

MINUTE, QUARTER = 60, 900
"""Seconds."""
_SHORTEST_GAP = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Point:
    """A figure at a time, or of the time that begins there."""

    time: datetime
    seconds: int
    """How much time it stands for."""
    mean: float
    minimum: int | None
    """None where only mean and maximum were kept."""
    maximum: int
    samples: int
    """Of how many minutes it is made; fewer than there were means that some are missing."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without samples."""

    since: datetime
    until: datetime


def floor(moment: int, seconds: int) -> int:
    """Return the last multiple of some seconds."""
    return moment - moment % seconds


def minutes(blocks: Iterable[Block], subject: str, field: str) -> dict[int, Point]:
    """Return the points of single samples by their times."""
    found: dict[int, Point] = {}
    for block in blocks:
        column = block.columns.get(subject, {}).get(field, ())
        for time, value in zip(block.times, column, strict=False):
            if value is not None:
                found[time] = Point(_moment(time), MINUTE, value, value, value, 1)
    return found


def quarters(blocks: Iterable[Block], subject: str, field: str) -> dict[int, Point]:
    """Return the points of rolled-up samples by their times."""
    found: dict[int, Point] = {}
    for block in blocks:
        known = block.columns.get(subject, {})
        columns = (known.get(field + suffix, ()) for suffix in ("", PEAK, COUNT))
        for time, mean, most, count in zip(block.times, *columns, strict=False):
            if mean is not None and most is not None and count:
                found[time] = Point(_moment(time), QUARTER, mean, None, most, count)
    return found


def widen(points: Sequence[Point], seconds: int) -> list[Point]:
    """Return one point for each step in which there are some."""

    def step_of(point: Point) -> int:
        return floor(int(point.time.timestamp()), seconds)

    return [
        join(list(within), _moment(start), seconds)
        for start, within in groupby(points, key=step_of)
    ]


def join(points: Sequence[Point], time: datetime, seconds: int) -> Point:
    """Return one point for several, at least one; each minute counts the same."""
    samples = sum(point.samples for point in points)
    least = [point.minimum for point in points if point.minimum is not None]
    return Point(
        time=time,
        seconds=seconds,
        mean=sum(point.mean * point.samples for point in points) / samples,
        minimum=min(least) if len(least) == len(points) else None,
        maximum=max(point.maximum for point in points),
        samples=samples,
    )


def gaps_between(points: Sequence[Point], since: datetime, until: datetime) -> list[Gap]:
    """Return the times from `since` to `until` that no point stands for, in order.

    What is shorter than two minutes is no gap: it is the rest of a minute at either end.
    """
    gaps, covered = [], since
    for point in points:
        if point.time - covered >= _SHORTEST_GAP:
            gaps.append(Gap(covered, point.time))
        covered = max(covered, point.time + timedelta(seconds=point.seconds))
    if until - covered >= _SHORTEST_GAP:
        gaps.append(Gap(covered, until))
    return gaps


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
