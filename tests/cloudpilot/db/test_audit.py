from __future__ import annotations

from cloudpilot.db.audit import AuditEvent, AuditLog
from cloudpilot.db.session import Database
from cloudpilot.log import request_id
from cloudpilot.operation import CallRecord
from cloudpilot.settings import Settings

ENTRY = CallRecord(
    operation="create_gateway",
    effect="write",
    actor="local",
    door="chat",
    cluster="demo",
    outcome="proposed",
    duration_seconds=0.12345,
    request_id="r-1",
    details={"plan_id": "p-1"},
)


async def test_a_call_is_kept_with_who_what_and_how_it_ended(settings: Settings) -> None:
    async with Database.open(settings.database.url) as database:
        await AuditLog(database).record(ENTRY)
        [row] = await AuditLog(database).entries()
    assert (row.kind, row.actor, row.cluster, row.subject, row.request_id) == (
        "call",
        "local",
        "demo",
        "create_gateway",
        "r-1",
    )
    assert row.details == {
        "effect": "write",
        "door": "chat",
        "outcome": "proposed",
        "duration_seconds": 0.123,
        "plan_id": "p-1",
    }


async def test_rows_come_in_the_order_they_were_written_and_survive_the_process(
    settings: Settings,
) -> None:
    async with Database.open(settings.database.url) as database:
        for _ in range(3):
            await AuditLog(database).record(ENTRY)
    async with Database.open(settings.database.url) as database:
        rows = await AuditLog(database).entries()
        assert [row.seq for row in rows] == sorted(row.seq for row in rows)
        assert len(rows) == 3
        later = await AuditLog(database).entries(after=rows[0].seq, limit=1)
        assert [row.seq for row in later] == [rows[1].seq]


async def test_rows_are_found_by_subject_and_kind(settings: Settings) -> None:
    async with Database.open(settings.database.url) as database:
        log = AuditLog(database)
        await log.record(ENTRY)
        token = request_id.set("r-2")
        async with database.transaction() as session:
            now = await database.now()
            event = AuditEvent("plan.denied", "local", {"reason": "no"})
            log.add(session, now, event, subject="p-1", cluster="demo")
        request_id.reset(token)
        [row] = await log.entries(subject="p-1", kind="plan.denied")
        assert (row.request_id, row.details) == ("r-2", {"reason": "no"})
        assert len(await log.entries(kind="call")) == 1
        assert await log.entries(subject="p-2") == []


async def test_an_event_whose_change_is_rolled_back_is_not_kept(settings: Settings) -> None:
    async with Database.open(settings.database.url) as database:
        log = AuditLog(database)
        try:
            async with database.transaction() as session:
                event = AuditEvent("plan.denied", "local")
                log.add(session, await database.now(), event, subject="p-1", cluster=None)
                await session.flush()
                raise RuntimeError
        except RuntimeError:
            pass
        assert await log.entries() == []


def test_nothing_here_changes_or_removes_a_row() -> None:
    public = {name for name in vars(AuditLog) if not name.startswith("_")}
    assert public == {"record", "add", "entries"}
