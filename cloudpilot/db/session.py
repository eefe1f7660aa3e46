"""The database: URL, engine, migrations, transactions.

SQLite by default, any SQLAlchemy dialect by URL. Acknowledged means durable: WAL with
`synchronous=FULL`.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, func, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from cloudpilot.errors import DatabaseUnavailable, SettingsError

logger = logging.getLogger(__name__)

_MIGRATIONS = Path(__file__).parent / "migrations"

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg2": "postgresql+psycopg",
}


def database_url(url: str) -> URL:
    """Return the URL with an asynchronous driver.

    Raises:
        SettingsError: it is not a database URL.
    """
    scheme, separator, rest = url.partition("://")
    try:
        return make_url(_DRIVERS.get(scheme, scheme) + separator + rest)
    except ArgumentError:
        raise SettingsError.field("database.url", "is not a SQLAlchemy URL") from None


class Database:
    """Owns the engine. `transaction()` commits on success and translates the driver's errors."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._sessions = async_sessionmaker(engine, expire_on_commit=False)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncIterator[Database]:
        """Connect, migrate to the newest schema, close at the end.

        Raises:
            SettingsError: the URL cannot be used.
            DatabaseUnavailable: it cannot be opened or migrated.
        """
        parsed = database_url(url)
        try:
            engine = create_async_engine(parsed)
        except (NoSuchModuleError, ModuleNotFoundError) as error:
            raise SettingsError.field("database.url", f"no driver for it: {error}") from None
        if parsed.get_backend_name() == "sqlite":
            _prepare_sqlite(engine, parsed)
        try:
            try:
                async with engine.begin() as connection:
                    await connection.run_sync(_migrate)
            except (DBAPIError, OSError) as error:
                raise DatabaseUnavailable(
                    f"the database cannot be opened: {_reason(error)}"
                ) from None
            yield cls(engine)
        finally:
            await engine.dispose()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a session in one transaction.

        Raises:
            DatabaseUnavailable: the database is locked, full, read-only or gone.
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except DBAPIError as error:
            broken = type(error.orig) in (sqlite3.OperationalError, sqlite3.DatabaseError)
            if error.connection_invalidated or broken:
                raise DatabaseUnavailable(f"the database failed: {_reason(error)}") from error
            raise

    async def now(self) -> datetime:
        """Return the database's clock, in UTC."""
        async with self.transaction() as session:
            return await clock(session)


async def clock(session: AsyncSession) -> datetime:
    """Return the database's clock inside a transaction, in UTC."""
    now: Any = await session.scalar(select(func.current_timestamp()))
    if isinstance(now, str):
        now = datetime.fromisoformat(now)
    return utc(now)


def utc(value: datetime) -> datetime:
    """Give a time its zone: SQLite returns them without."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _prepare_sqlite(engine: AsyncEngine, url: URL) -> None:
    if url.database and url.database != ":memory:":
        Path(url.database).expanduser().parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(engine.sync_engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "busy_timeout=5000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def _let_go(connection: Any, _record: Any, _error: BaseException | None) -> None:
        # A cancelled task's connection is closed with its statement unfinished, and SQLite then
        # keeps the transaction, and with it everybody's lock, until the statement is collected.
        connection.rollback()


def _migrate(connection: Connection) -> None:
    if _is_current(connection):
        return
    # Only now: a start with nothing to migrate need not carry Alembic in memory.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsError.field(
            "database.url",
            f"its schema is newer than this CloudPilot, or another program's: {error}",
        ) from None


def _is_current(connection: Connection) -> bool:
    """Tell whether the newest migration was applied; they are numbered."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    applied = connection.scalar(text("SELECT version_num FROM alembic_version"))
    numbers = (path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("0*.py"))
    return bool(applied == max(numbers))


def _reason(error: BaseException) -> str:
    origin = getattr(error, "orig", None) or error
    return str(origin).splitlines()[0] if str(origin) else type(origin).__name__
