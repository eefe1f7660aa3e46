"""How far a conversation is: LangGraph's checkpoints, in a file of their own beside the database.

Only the newest checkpoint of a thread is kept: each holds the whole state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from cloudpilot.settings import DatabaseSettings


def checkpoint_path(settings: DatabaseSettings) -> str:
    """Return the file of the checkpoints: beside a SQLite database, else beside the key."""
    scheme, _, path = settings.url.partition(":///")
    if not scheme.startswith("sqlite"):
        return str(settings.key_file.with_name("cloudpilot.checkpoints"))
    path = path.partition("?")[0]
    if path in ("", ":memory:"):
        return ":memory:"
    return f"{Path(path).expanduser()}.checkpoints"


@asynccontextmanager
async def open_checkpoints(settings: DatabaseSettings) -> AsyncIterator[AsyncSqliteSaver]:
    """Open the checkpoints; close them at the end."""
    path = checkpoint_path(settings)
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    async with AsyncSqliteSaver.from_conn_string(path) as saver:
        # Strict whatever the environment said when LangGraph was imported: a forged row must
        # never name a class to build.
        saver.serde = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)
        await saver.setup()
        yield saver


async def prune(saver: AsyncSqliteSaver, thread_id: str) -> None:
    """Delete all but the newest checkpoint of a thread; what waits in it stays."""
    async with saver.lock, saver.conn.cursor() as cursor:
        await cursor.execute(
            "SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ''",
            (thread_id,),
        )
        row = await cursor.fetchone()
        if row is None or row[0] is None:
            return
        for statement in (
            "DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_ns = ''"
            " AND checkpoint_id <> ?",
            "DELETE FROM writes WHERE thread_id = ? AND checkpoint_ns = '' AND checkpoint_id <> ?",
        ):
            await cursor.execute(statement, (thread_id, row[0]))
        await saver.conn.commit()
