"""The history keeps what was sampled, coarser the older it is, and makes nothing up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cloudpilot.db.samples import SampleRepository, Span
from cloudpilot.db.session import Database
from cloudpilot.settings import SamplesSettings
from cloudpilot.usage.history import Tier, UsageHistory
from cloudpilot.usage.points import Point
from cloudpilot.usage.sample import Figures, Sample, Scope
from tests.cloudpilot.ticking import Clock

CART = "shop/Deployment/cart"
NOON = datetime.fromisoformat("2026-03-01T12:00:00+00:00")


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[SampleRepository]:
    async with Database.open(f"sqlite:///{tmp_path}/a.db") as database:
        yield SampleRepository(database)


@pytest.fixture
def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
def history(repository: SampleRepository, clock: Clock) -> UsageHistory:
    return UsageHistory(repository, SamplesSettings(minute_hours=2, quarter_days=2), clock)


async def sample(history: UsageHistory, now: datetime, value: int) -> None:
    figures = {Scope.WORKLOAD: {CART: Figures(pods=value, restarts=1)}}
    await history.write("prod", await history.pack(Sample(now, figures)))
    await history.tend("prod")


async def play(history: UsageHistory, clock: Clock, minutes: int, skip: range = range(0)) -> None:
    """One sample a minute, but for some; each has the number of its minute since noon."""
    for _ in range(minutes):
        minute = int((clock.now - NOON).total_seconds() // 60)
        if minute not in skip:
            await sample(history, clock.now, minute)
        clock.advance(minutes=1)


async def series(
    history: UsageHistory, since: datetime, until: datetime, *, fine: bool = True
) -> list[Point]:
    return await history.series("prod", (Scope.WORKLOAD, CART), "pods", since, until, fine=fine)


async def tiers(repository: SampleRepository) -> dict[str, int]:
    found = await repository.read("prod", Span(Scope.WORKLOAD, tuple(Tier), 0, 2**40))
    return {tier: sum(block.tier == tier for block in found) for tier in Tier}


async def test_every_minute_comes_back(history: UsageHistory, clock: Clock) -> None:
    clock.advance(seconds=13)
    await play(history, clock, 50)
    points = await series(history, NOON, clock.now)
    assert [point.mean for point in points] == list(range(50))
    assert points[0].time == NOON
    assert {(point.seconds, point.samples) for point in points} == {(60, 1)}
    some = await series(history, NOON + timedelta(minutes=20), NOON + timedelta(minutes=22))
    assert [point.mean for point in some] == [20, 21]


async def test_missing_minutes_stay_missing(history: UsageHistory, clock: Clock) -> None:
    await play(history, clock, 60, skip=range(10, 40))
    points = await series(history, NOON, clock.now)
    assert [point.mean for point in points] == [*range(10), *range(40, 60)]
    coarse = await series(history, NOON, clock.now, fine=False)
    assert [(point.samples, point.maximum) for point in coarse[:2]] == [(10, 9), (5, 44)]


async def test_quarters_that_are_over_are_packed(
    history: UsageHistory, repository: SampleRepository, clock: Clock
) -> None:
    await play(history, clock, 47)
    assert await tiers(repository) == {"1m": 2, "1m/15m": 3, "15m": 3, "15m/1d": 0}
    coarse = await series(history, NOON, clock.now, fine=False)
    assert [(p.seconds, p.mean, p.maximum) for p in coarse[:3]] == [
        (900, 7, 14),
        (900, 22, 29),
        (900, 37, 44),
    ]
    assert [(p.seconds, p.mean) for p in coarse[3:]] == [(60, 45), (60, 46)]


async def test_minutes_are_kept_for_their_time_and_quarters_for_theirs(
    history: UsageHistory, repository: SampleRepository, clock: Clock
) -> None:
    await play(history, clock, 300)
    points = await series(history, NOON, clock.now)
    fine = [point for point in points if point.seconds == 60]
    assert clock.now - fine[0].time >= timedelta(hours=2)
    assert clock.now - fine[0].time < timedelta(hours=2, minutes=31)
    assert [point.time for point in points][: len(points) - len(fine)] == [
        NOON + timedelta(minutes=15 * number) for number in range(len(points) - len(fine))
    ]
    assert sum(point.samples for point in points) == 300
    clock.advance(days=4)
    await play(history, clock, 31)
    assert len(await series(history, NOON, clock.now)) == 31
    assert await history.oldest("prod") == NOON + timedelta(days=4, minutes=300)


async def test_days_are_packed_and_read_as_before(
    history: UsageHistory, repository: SampleRepository, clock: Clock
) -> None:
    clock.now = NOON + timedelta(hours=10)
    await play(history, clock, 119)
    before = await series(history, NOON, clock.now, fine=False)
    await play(history, clock, 17)
    assert (await tiers(repository))["15m/1d"] == 1
    assert (await tiers(repository))["15m"] == 1
    after = await series(history, NOON, clock.now, fine=False)
    assert after[:7] == before[:7]
    assert [point.seconds for point in after] == [900] * 9 + [60]
    assert sum(point.samples for point in after) == 136


async def test_restart_in_the_middle_of_a_quarter_goes_on(tmp_path: Path, clock: Clock) -> None:
    for _ in range(4):
        async with Database.open(f"sqlite:///{tmp_path}/b.db") as database:
            history = UsageHistory(SampleRepository(database), SamplesSettings(), clock)
            await play(history, clock, 11)
            points = await series(history, NOON, clock.now)
    assert [point.mean for point in points] == list(range(44))


async def test_clock_that_goes_back_costs_no_sample(history: UsageHistory, clock: Clock) -> None:
    await play(history, clock, 40)
    clock.now = NOON + timedelta(minutes=10)
    await play(history, clock, 3)
    clock.now = NOON + timedelta(minutes=40)
    await play(history, clock, 10)
    points = await series(history, NOON, clock.now)
    assert [point.mean for point in points] == list(range(50))
    coarse = await series(history, NOON, clock.now, fine=False)
    assert [point.samples for point in coarse[:3]] == [15, 15, 15]


async def test_clusters_do_not_see_each_other(history: UsageHistory, clock: Clock) -> None:
    await play(history, clock, 20)
    other = await history.series("test", (Scope.WORKLOAD, CART), "pods", NOON, clock.now)
    assert other == []
    assert await history.oldest("test") is None
    await history.forget("prod")
    assert await series(history, NOON, clock.now) == []


async def test_unknown_subjects_and_figures_have_no_points(
    history: UsageHistory, clock: Clock
) -> None:
    await play(history, clock, 20)
    for subject, field in ((CART + "x", "pods"), (CART, "cpu_usage_millicores"), (CART, "nope")):
        found = await history.series("prod", (Scope.WORKLOAD, subject), field, NOON, clock.now)
        assert found == []
    assert await history.series("prod", (Scope.NODE, CART), "pods", NOON, clock.now) == []
