"""Points of a usage history: read out of blocks, and fewer of them where many would be too many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby

from cloudpilot.monitor.blocks import COUNT, PEAK, Block

MINUTE, QUARTER = 60, 900
"""Seconds."""


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
    """Return a point for each step in which there are some; each minute counts the same."""

    def step_of(point: Point) -> int:
        return floor(int(point.time.timestamp()), seconds)

    found = []
    for start, within in groupby(points, key=step_of):
        same = list(within)
        samples = sum(point.samples for point in same)
        least = [point.minimum for point in same if point.minimum is not None]
        found.append(
            Point(
                time=_moment(start),
                seconds=seconds,
                mean=sum(point.mean * point.samples for point in same) / samples,
                minimum=min(least) if len(least) == len(same) else None,
                maximum=max(point.maximum for point in same),
                samples=samples,
            )
        )
    return found


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
