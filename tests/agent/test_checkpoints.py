"""Checkpoints: where they lie, how few there are, and that forged ones are inert."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from agent.checkpoints import checkpoint_path
from cloudpilot.clusters import Cluster
from cloudpilot.operation import Catalog
from cloudpilot.runtime import Runtime
from cloudpilot.settings import DatabaseSettings
from tests.agent.conversation import ME, ask, assistant_with, only, read, read_thread, script
from tests.agent.test_approval import create
from tests.fakes.chat_model import Reply, ToolUse


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///./cloudpilot.db", "cloudpilot.db.checkpoints"),
        ("sqlite:////var/lib/cp.db", "/var/lib/cp.db.checkpoints"),
        ("sqlite+aiosqlite:///x.db?timeout=5", "x.db.checkpoints"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite://", ":memory:"),
        ("postgresql://db.example.com/cp", "/keys/cloudpilot.checkpoints"),
    ],
)
def test_checkpoints_lie_beside_the_database(url: str, path: str) -> None:
    settings = DatabaseSettings(url=url, key_file=Path("/keys/cloudpilot.key"))
    assert checkpoint_path(settings) == path


def rows(runtime: Runtime, query: str) -> list[tuple[object, ...]]:
    """Read from the checkpoints' file."""
    with sqlite3.connect(checkpoint_path(runtime.settings.database)) as connection:
        found = connection.execute(query).fetchall()
    connection.close()
    return found


async def test_one_checkpoint_a_thread_is_kept(runtime: Runtime, books: Catalog) -> None:
    model = script(Reply(calls=[ToolUse("list_books")]), Reply("Two."), Reply("Still two."))
    async with assistant_with(runtime, model, books) as assistant:
        started = await assistant.start("how many?", actor=ME)
        await read(assistant, started)
        for _ in range(5):
            await ask(assistant, "and now?", thread_id=started.thread_id)
        assert rows(runtime, "select count(*) from checkpoints") == [(1,)]
        await assistant.delete(started.thread_id, ME)
    assert rows(runtime, "select count(*) from checkpoints") == [(0,)]
    assert rows(runtime, "select count(*) from writes") == [(0,)]


async def test_what_waits_survives_pruning_and_a_restart(
    runtime: Runtime, cluster: Cluster
) -> None:
    async with assistant_with(runtime, script(Reply(calls=[create("web")]))) as assistant:
        started = await assistant.start("create it", actor=ME)
        events = await read(assistant, started)
    assert rows(runtime, "select count(*) from checkpoints") == [(1,)]
    plan = only(events, "approval_required")[0]["plan"]
    async with assistant_with(runtime, script(Reply("Denied."))) as assistant:
        await runtime.plans.deny(plan["id"], ME)
        rest = await read_thread(assistant, started.thread_id, after=events[-1].seq)
    assert only(rest, "answer")[0]["text"] == "Denied."


async def test_a_forged_checkpoint_builds_nothing(
    runtime: Runtime, books: Catalog, tmp_path: Path
) -> None:
    import ormsgpack

    async with assistant_with(runtime, script(Reply("hello")), books) as assistant:
        started = await assistant.start("hi", actor=ME)
        await read(assistant, started)
    touched = tmp_path / "touched"
    call = ormsgpack.packb(("pathlib", "Path", (str(touched),), "touch"))
    forged = ormsgpack.packb(ormsgpack.Ext(0, call))
    with sqlite3.connect(checkpoint_path(runtime.settings.database)) as connection:
        connection.execute("update checkpoints set type = 'msgpack', checkpoint = ?", (forged,))
    connection.close()
    async with assistant_with(runtime, script(Reply("hello")), books) as assistant:
        events = await ask(assistant, "again", thread_id=started.thread_id)
    assert not touched.exists()
    assert only(events, "run_finished")
