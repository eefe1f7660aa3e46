"""The database: durable, migrated, and in plain words about what is wrong with it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import text

from cloudpilot.db.session import Database, database_url, utc
from cloudpilot.errors import DatabaseUnavailable, SettingsError


def url(path: Path) -> str:
    return f"sqlite:///{path}"


async def pragma(database: Database, name: str) -> object:
    async with database.transaction() as session:
        return await session.scalar(text(f"PRAGMA {name}"))


async def test_what_was_acknowledged_is_durable(tmp_path: Path) -> None:
    async with Database.open(url(tmp_path / "a.db")) as database:
        assert await pragma(database, "journal_mode") == "wal"
        assert await pragma(database, "synchronous") == 2
        assert await pragma(database, "foreign_keys") == 1


async def test_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    async with Database.open(url(tmp_path / "a.db")) as database:
        async with database.transaction() as session:
            await session.execute(text("create table t (x integer)"))
        with pytest.raises(RuntimeError):
            async with database.transaction() as session:
                await session.execute(text("insert into t values (1)"))
                raise RuntimeError
        async with database.transaction() as session:
            assert await session.scalar(text("select count(*) from t")) == 0


async def test_opening_again_keeps_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.db"
    async with Database.open(url(path)) as database, database.transaction() as session:
        await session.execute(text("create table t as select 7 as x"))
    async with Database.open(url(path)) as database, database.transaction() as session:
        assert await session.scalar(text("select x from t")) == 7


async def test_clock_is_the_databases_in_utc(tmp_path: Path) -> None:
    async with Database.open(url(tmp_path / "a.db")) as database:
        now = await database.now()
    assert now.tzinfo is UTC
    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)


def test_times_without_a_zone_are_utc() -> None:
    naive = datetime(2024, 3, 1, 10)  # noqa: DTZ001
    assert utc(naive) == datetime(2024, 3, 1, 10, tzinfo=UTC)
    ahead = datetime(2024, 3, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert utc(ahead) == datetime(2024, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["", "nonsense", "://", "sqlite", "unknown://x", "oracle://x/y"])
async def test_url_that_cannot_be_used_is_named(wrong: str) -> None:
    with pytest.raises(SettingsError, match=r"database\.url"):
        async with Database.open(wrong):
            pass


def test_plain_urls_get_asynchronous_drivers() -> None:
    assert database_url("sqlite:///a.db").drivername == "sqlite+aiosqlite"
    assert database_url("postgres://u:p@h/d").drivername == "postgresql+psycopg"
    assert database_url("postgresql+asyncpg://h/d").drivername == "postgresql+asyncpg"


async def refused(path: Path) -> str:
    with pytest.raises((DatabaseUnavailable, SettingsError)) as raised:
        async with Database.open(url(path)):
            pass
    return raised.value.message


async def test_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is a text file, " * 100)
    assert "not a database" in await refused(path)


async def test_folder_in_place_of_the_database_is_named(tmp_path: Path) -> None:
    assert "unable to open" in await refused(tmp_path)


async def test_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with Database.open(url(path)) as database, database.transaction() as session:
        await session.execute(text("update alembic_version set version_num = 'from-the-future'"))
    assert "newer" in await refused(path)


async def test_corrupt_page_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with Database.open(url(path)) as database, database.transaction() as session:
        await session.execute(text("create table t as select randomblob(900000) as x"))
        root = await session.scalar(text("select rootpage from sqlite_master where name = 't'"))
        size = await session.scalar(text("PRAGMA page_size"))
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    async with Database.open(url(path)) as database:
        with pytest.raises(DatabaseUnavailable, match="malformed"):
            async with database.transaction() as session:
                await session.execute(text("select * from t"))


async def test_locked_database_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with Database.open(url(path)) as database:
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable, match="locked"):
                async with database.transaction() as session:
                    await session.execute(text("PRAGMA busy_timeout=10"))
                    await session.execute(text("create table t (x)"))
        finally:
            other.close()


async def test_full_database_is_unavailable(tmp_path: Path) -> None:
    async with Database.open(url(tmp_path / "a.db")) as database:
        with pytest.raises(DatabaseUnavailable, match="full"):
            async with database.transaction() as session:
                pages = await session.scalar(text("PRAGMA page_count"))
                await session.execute(text(f"PRAGMA max_page_count={pages}"))
                await session.execute(text("create table t as select randomblob(900000) as x"))
