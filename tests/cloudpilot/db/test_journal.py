"""The journal's rows: written once, found by object and time, pruned by age and number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloudpilot.db.journal import JournalRepository
from cloudpilot.db.journal_records import Entry, EntryQuery, LastState, Occurrence, Period, What
from cloudpilot.db.session import Database

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def repository(tmp_path: Path) -> AsyncIterator[JournalRepository]:
    async with Database.open(f"sqlite:///{tmp_path}/a.db") as database:
        yield JournalRepository(database)


def entry(number: int, **fields: Any) -> Entry:
    about = {"kind": "Pod", "namespace": "shop", "name": f"cart-{number}", "uid": str(number)}
    owner = {"owner_kind": "Deployment", "owner_name": "cart"}
    rest = {"time": NOW - number * MINUTE, "what": What.RESTART, "exit_code": 1}
    return Entry(id=number, **{**about, **owner, **rest, **fields})


def occurrence(count: int, more: int, minutes: int = 0) -> Occurrence:
    return Occurrence(
        kind="Pod",
        namespace="shop",
        name="cart-1",
        type="Warning",
        reason="BackOff",
        message="again",
        count=count,
        more=more,
        first=NOW,
        last=NOW + minutes * MINUTE,
    )


async def ids(repository: JournalRepository, **query: Any) -> list[int]:
    return [found.id for found in await repository.entries("demo", EntryQuery(**query))]


async def test_entries_come_back_as_they_were_newest_first(repository: JournalRepository) -> None:
    written = [entry(n, before="a", after=None, who="kubectl", message="é") for n in (1, 2, 3)]
    await repository.write("demo", written)
    assert await repository.entries("demo", EntryQuery()) == written
    assert await repository.entries("other", EntryQuery()) == []


async def test_query_finds_what_the_same_query_wants_in_memory(
    repository: JournalRepository,
) -> None:
    written = [
        entry(1),
        entry(2, namespace="payments"),
        entry(3, kind="Deployment", name="cart", owner_kind="", owner_name=""),
        entry(4, kind="Service", name="cart", owner_kind="", owner_name=""),
        entry(5, owner_name="search"),
    ]
    await repository.write("demo", written)
    queries = [
        EntryQuery(since=NOW - 3 * MINUTE, until=NOW - 2 * MINUTE),
        EntryQuery(namespace="payments"),
        EntryQuery(kinds=("Service", "Deployment")),
        EntryQuery(name="cart"),
        EntryQuery(name="cart", owned=False),
        EntryQuery(kind="Deployment", name="cart"),
        EntryQuery(kind="Pod", name="cart-1"),
    ]
    for query in queries:
        wanted = [item for item in written if query.wants(item, item.time)]
        assert await repository.entries("demo", query) == wanted
        assert wanted


async def test_batch_that_is_written_again_is_stored_once(repository: JournalRepository) -> None:
    await repository.write("demo", [entry(1), entry(2)])
    await repository.write("demo", [entry(1), entry(2), entry(3)])
    assert await ids(repository) == [1, 2, 3]


async def test_events_are_counted_on(repository: JournalRepository) -> None:
    await repository.write("demo", occurrences=[occurrence(3, 3)])
    await repository.write("demo", occurrences=[occurrence(4, 1, minutes=5)])
    await repository.write("demo", occurrences=[occurrence(2, 0)])
    [found] = await repository.occurrences("demo", EntryQuery())
    assert (found.count, found.first, found.last) == (4, NOW, NOW + 5 * MINUTE)


async def test_last_state_keeps_the_log(repository: JournalRepository) -> None:
    pod = LastState(
        kind="Pod",
        namespace="shop",
        name="cart-1",
        uid="1",
        gone=NOW,
        reason="OOMKilled",
        message="too much",
        exit_code=137,
        log="line\n" * 1000,
    )
    await repository.write("demo", pods=[pod])
    await repository.write("demo", pods=[pod])
    assert await repository.pods("demo", EntryQuery()) == [pod]


async def test_periods_grow(repository: JournalRepository) -> None:
    period = Period(id=1, kind="Pod", since=NOW, until=NOW)
    later = Period(id=1, kind="Pod", since=NOW, until=NOW + MINUTE)
    await repository.cover("demo", "uid", [period])
    await repository.cover("demo", "uid", [later])
    assert await repository.coverage("demo") == [later]
    assert await repository.coverage("demo", NOW + 2 * MINUTE) == []


async def test_age_and_number_bound_what_is_kept(repository: JournalRepository) -> None:
    await repository.write("demo", [entry(n) for n in range(1, 31)])
    await repository.write("other", [entry(n) for n in range(1, 31)])
    assert await repository.prune("demo", NOW - 20 * MINUTE, 1_000) == 11
    assert await ids(repository) == list(range(1, 20))
    assert await repository.prune("demo", NOW - 20 * MINUTE, 5) == 14
    assert await ids(repository) == [1, 2, 3, 4, 5]
    assert await repository.count("other") == 30


async def test_another_clusters_journal_is_forgotten(repository: JournalRepository) -> None:
    period = Period(id=1, kind="Pod", since=NOW, until=NOW)
    await repository.write("demo", [entry(1)])
    await repository.cover("demo", "one", [period])
    assert not await repository.adopt("demo", "one")
    assert await ids(repository) == [1]
    assert await repository.adopt("demo", "two")
    assert await ids(repository) == []
    assert await repository.coverage("demo") == []
