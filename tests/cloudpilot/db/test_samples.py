"""Stored blocks: replaced by key, read by span, forgotten by age and by cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from cloudpilot.db.samples import SampleRepository, Span, StoredBlock
from cloudpilot.db.session import Database
from cloudpilot.errors import DatabaseUnavailable


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database.open(f"sqlite:///{tmp_path}/a.db") as opened:
        yield opened


@pytest.fixture
def repository(database: Database) -> SampleRepository:
    return SampleRepository(database)


def block(
    start: int, *, tier: str = "1m", scope: str = "node", part: int = 0, data: bytes = b"x"
) -> StoredBlock:
    return StoredBlock(tier, start, scope, part, data)


EVERYTHING = Span("node", ("1m", "1m/15m", "15m"), 0, 10**9)


async def test_blocks_come_back_in_the_order_of_their_times(repository: SampleRepository) -> None:
    await repository.write("prod", [block(120), block(60), block(60, part=1)])
    assert [(b.start, b.part) for b in await repository.read("prod", EVERYTHING)] == [
        (60, 0),
        (60, 1),
        (120, 0),
    ]
    span = Span("node", ("1m",), 60, 120, part=1)
    assert await repository.read("prod", span) == [block(60, part=1)]
    assert await repository.read("other", EVERYTHING) == []
    assert await repository.read("prod", Span("workload", ("1m",), 0, 10**9)) == []


async def test_block_of_the_same_key_replaces_the_older_one(repository: SampleRepository) -> None:
    await repository.write("prod", [block(60, data=b"old"), block(60, part=1)])
    await repository.write("prod", [block(60, data=b"new")])
    await repository.write("prod", [])
    found = await repository.read("prod", EVERYTHING)
    assert [b.data for b in found] == [b"new", b"x"]


async def test_replacing_a_span_is_all_or_nothing(repository: SampleRepository) -> None:
    await repository.write("prod", [block(0), block(60), block(900), block(60, scope="workload")])
    span = Span("node", ("1m",), 0, 900)
    with pytest.raises(Exception, match="NOT NULL"):
        await repository.replace("prod", span, [block(0, tier="15m", data=None)])  # type: ignore[arg-type]
    assert len(await repository.read("prod", EVERYTHING)) == 3
    await repository.replace("prod", span, [block(0, tier="15m")])
    assert await repository.read("prod", EVERYTHING) == [block(0, tier="15m"), block(900)]
    assert len(await repository.read("prod", Span("workload", ("1m",), 0, 900))) == 1


async def test_places_name_what_waits(repository: SampleRepository) -> None:
    await repository.write("prod", [block(60, part=3), block(0), block(900), block(0, tier="15m")])
    assert await repository.places("prod", "1m", 900) == [(0, "node", 0), (60, "node", 3)]


async def test_old_blocks_of_a_tier_go_in_every_cluster(repository: SampleRepository) -> None:
    for cluster in ("prod", "test"):
        await repository.write(cluster, [block(60), block(900), block(60, tier="15m")])
    await repository.prune(("1m", "1m/15m"), 900)
    for cluster in ("prod", "test"):
        left = await repository.read(cluster, EVERYTHING)
        assert left == [block(60, tier="15m"), block(900)]


async def test_forgetting_one_cluster_leaves_the_others(repository: SampleRepository) -> None:
    for cluster in ("prod", "test"):
        await repository.write(cluster, [block(60)])
    await repository.forget("prod")
    assert await repository.oldest("prod") is None
    assert await repository.oldest("test") == 60


async def test_failing_database_is_unavailable(
    database: Database, repository: SampleRepository
) -> None:
    async with database.transaction() as session:
        await session.execute(text("drop table samples"))
    with pytest.raises(DatabaseUnavailable):
        await repository.write("prod", [block(60)])
