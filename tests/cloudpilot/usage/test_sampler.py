"""The sampler goes on whatever fails, and loses nothing that it could have kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from cloudpilot.clusters import Cluster
from cloudpilot.db.samples import SampleRepository
from cloudpilot.db.session import Database
from cloudpilot.settings import SamplesSettings
from cloudpilot.usage.history import UsageHistory
from cloudpilot.usage.points import Point
from cloudpilot.usage.sample import Scope
from cloudpilot.usage.sampler import Sampler
from simulator import SimulatedCluster
from tests.cloudpilot.ticking import START, Clock
from tests.cloudpilot.waiting import eventually

WORKER = (Scope.NODE, "worker-1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(f"sqlite:///{tmp_path}/samples.db") as opened:
        yield opened


def sampler_of(
    cluster: Cluster, database: Database, clock: Clock, settings: SamplesSettings | None = None
) -> Sampler:
    settings = settings or SamplesSettings()
    history = UsageHistory(SampleRepository(database), settings, clock)
    return Sampler("demo", cluster.cache, cluster.client, history)


@pytest.fixture
def sampler(shop_cluster: Cluster, database: Database, clock: Clock) -> Sampler:
    return sampler_of(shop_cluster, database, clock)


async def series(sampler: Sampler, clock: Clock, field: str = "memory_usage_bytes") -> list[Point]:
    return await sampler.series(WORKER, field, START - timedelta(hours=1), clock.now)


async def test_each_minute_is_kept_at_its_beginning(
    sampler: Sampler, shop: SimulatedCluster, clock: Clock
) -> None:
    for _ in range(20):
        await sampler.sample_once()
        clock.advance(minutes=1)
        shop.advance(60)
    points = await series(sampler, clock)
    assert len(points) == 20
    assert {(point.time.second, point.samples) for point in points} == {(0, 1)}
    assert len({point.mean for point in points}) > 1
    assert await sampler.oldest() == START.replace(second=0)
    assert (sampler.stats.taken, sampler.stats.written, sampler.stats.failed) == (20, 20, 0)


async def test_second_sample_of_a_minute_counts_instead_of_the_first(
    sampler: Sampler, clock: Clock
) -> None:
    await sampler.sample_once()
    clock.advance(seconds=30)
    await sampler.sample_once()
    clock.advance(minutes=1)
    assert len(await series(sampler, clock)) == 1


async def test_restarts_of_a_crashing_workload_are_kept_as_they_were(
    sampler: Sampler, shop: SimulatedCluster, clock: Clock
) -> None:
    subject = (Scope.WORKLOAD, "shop/Deployment/cart")
    found = []
    for _ in range(12):
        sample = await sampler.sample_once()
        found.append(sample.figures[subject[0]][subject[1]].restarts)
        clock.advance(minutes=1)
        shop.advance(60)
    points = await sampler.series(subject, "restarts", START - timedelta(hours=1), clock.now)
    assert [point.mean for point in points] == found


async def test_failing_database_loses_no_minute_it_comes_back_from(
    sampler: Sampler, database: Database, clock: Clock
) -> None:
    async with database.transaction() as session:
        await session.execute(text("alter table samples rename to away"))
    for _ in range(5):
        await sampler.sample_once()
        clock.advance(minutes=1)
    assert (sampler.stats.failed, sampler.stats.written) == (5, 0)
    async with database.transaction() as session:
        await session.execute(text("alter table away rename to samples"))
    await sampler.sample_once()
    clock.advance(minutes=1)
    assert len(await series(sampler, clock)) == 6
    assert (sampler.stats.written, sampler.stats.lost) == (6, 0)


async def test_database_that_stays_away_costs_bounded_memory(
    shop_cluster: Cluster, database: Database, clock: Clock
) -> None:
    sampler = sampler_of(shop_cluster, database, clock)
    async with database.transaction() as session:
        await session.execute(text("alter table samples rename to away"))
    for _ in range(64):
        await sampler.sample_once()
        clock.advance(minutes=1)
    assert (sampler.stats.failed, sampler.stats.lost) == (64, 4)
    async with database.transaction() as session:
        await session.execute(text("alter table away rename to samples"))
    await sampler.sample_once()
    clock.advance(minutes=1)
    points = await sampler.series(WORKER, "pods", START - timedelta(hours=1), clock.now)
    assert sum(point.samples for point in points) == 60


async def test_unreachable_cluster_leaves_a_gap_and_its_last_sample(
    sampler: Sampler, shop: SimulatedCluster, shop_cluster: Cluster, clock: Clock
) -> None:
    last = await sampler.sample_once()
    shop.faults.fail(10_000, 503)
    shop.faults.close_watches()
    states = shop_cluster.cache.states()
    kinds = ("Pod", "Node", "Namespace")
    await eventually(lambda: {states[kind].status.value for kind in kinds} == {"unreachable"}, 40)
    clock.advance(minutes=1)
    missed = await sampler.sample_once()
    assert not any(missed.figures.values())
    clock.advance(minutes=1)
    assert len(await series(sampler, clock)) == 1
    assert sampler.latest is last


async def test_current_sample_is_at_most_a_minute_old(sampler: Sampler, clock: Clock) -> None:
    first = await sampler.current()
    assert await sampler.current() is first
    clock.advance(seconds=59)
    assert await sampler.current() is first
    clock.advance(seconds=1)
    assert (await sampler.current()).at == clock.now
    assert await series(sampler, clock) == []  # asking stores nothing


async def test_without_samples_wanted_the_sampler_ends_at_once(
    shop_cluster: Cluster, database: Database, clock: Clock
) -> None:
    sampler = sampler_of(shop_cluster, database, clock, SamplesSettings(enabled=False))
    await sampler.run()
    assert sampler.stats.taken == 0
    assert (await sampler.current()).figures[Scope.NODE]


async def test_connected_cluster_is_sampled_into_its_history(shop_cluster: Cluster) -> None:
    await shop_cluster.sampler.sample_once()
    assert await shop_cluster.sampler.oldest() is not None
