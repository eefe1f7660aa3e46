from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from cloudpilot.db.audit import AuditEvent, AuditLog
from cloudpilot.db.models import PlanRow
from cloudpilot.db.plans import PlanRepository
from cloudpilot.db.session import Database
from cloudpilot.errors import TooManyRequests
from cloudpilot.settings import Settings

EVENT = AuditEvent("plan.proposed", "local")
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    async with Database.open(settings.database.url) as opened:
        yield opened


@pytest.fixture
def plans(database: Database) -> PlanRepository:
    return PlanRepository(database, AuditLog(database))


async def add(plans: PlanRepository, name: str, **fields: Any) -> PlanRow:
    now = await plans.now()
    values: dict[str, Any] = {
        "id": name,
        "state": "proposed",
        "cluster": "demo",
        "requester": "local",
        "intent": "i",
        "digest": "d",
        "record": {"id": name},
        "created_at": now,
        "expires_at": now + 10 * MINUTE,
    }
    return await plans.add(PlanRow(**(values | fields)), EVENT, open_limit=2)


async def test_only_one_of_many_moves_gets_the_plan(
    plans: PlanRepository, database: Database
) -> None:
    await add(plans, "p")
    moves = (
        plans.move("p", {"proposed"}, "approved", AuditEvent("plan.approved", str(n)))
        for n in range(30)
    )
    moved = [row for row in await asyncio.gather(*moves) if row is not None]
    assert [row.state for row in moved] == ["approved"]
    kinds = [row.kind for row in await AuditLog(database).entries(subject="p")]
    assert kinds == ["plan.proposed", "plan.approved"]


async def test_a_move_stamps_and_sets_what_it_is_given(plans: PlanRepository) -> None:
    await add(plans, "p")
    row = await plans.move(
        "p", {"proposed"}, "denied", EVENT, stamp="decided_at", decided_by="me", outcome="no"
    )
    assert row is not None
    assert row.decided_at is not None
    stored = await plans.get("p")
    assert stored is not None
    assert (stored.state, stored.decided_by, stored.outcome) == ("denied", "me", "no")


async def test_a_move_from_another_state_or_of_no_plan_does_nothing(plans: PlanRepository) -> None:
    await add(plans, "p")
    assert await plans.move("p", {"approved"}, "executing", EVENT) is None
    assert await plans.move("q", {"proposed"}, "approved", EVENT) is None
    stored = await plans.get("p")
    assert stored is not None
    assert stored.state == "proposed"


async def test_time_that_is_over_stops_a_move_that_needs_it(plans: PlanRepository) -> None:
    now = await plans.now()
    await add(plans, "late", expires_at=now)
    await add(plans, "early", expires_at=now + MINUTE)
    assert await plans.move("late", {"proposed"}, "approved", EVENT, unexpired=True) is None
    assert await plans.move("early", {"proposed"}, "approved", EVENT, unexpired=True)
    assert [row.id for row in await plans.overdue()] == ["late"]


async def test_one_key_is_one_plan(plans: PlanRepository) -> None:
    rows = await asyncio.gather(*(add(plans, f"p{n}", key="thread/call") for n in range(10)))
    assert len({row.id for row in rows}) == 1
    found = await plans.find("thread/call")
    assert found is not None
    assert found.id == rows[0].id
    assert await plans.find(None) is None


async def test_no_more_than_the_limit_is_open_in_a_thread(plans: PlanRepository) -> None:
    adds = (add(plans, f"p{n}", thread_id="t") for n in range(6))
    answers = await asyncio.gather(*adds, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, TooManyRequests)]
    assert len(refused) == 4
    assert len(await plans.list(thread_id="t")) == 2
    assert await add(plans, "elsewhere", thread_id="u")
    assert await add(plans, "nowhere")


async def test_a_denied_intent_is_found_for_as_long_as_asked(plans: PlanRepository) -> None:
    decided = await plans.now() - 5 * MINUTE
    await add(plans, "p", state="denied", decided_at=decided, intent="x")
    found = await plans.denied("x", 10 * MINUTE)
    assert found is not None
    assert found.id == "p"
    assert await plans.denied("x", MINUTE) is None
    assert await plans.denied("y", 10 * MINUTE) is None


async def test_only_plans_nobody_works_on_are_unsettled(plans: PlanRepository) -> None:
    now = await plans.now()
    old, fresh = now - 2 * MINUTE, now
    await add(plans, "approved-old", state="approved", decided_at=old)
    await add(plans, "approved-fresh", state="approved", decided_at=fresh)
    await add(plans, "executing-old", state="executing", claimed_at=old)
    await add(plans, "executing-fresh", state="executing", claimed_at=fresh)
    await add(plans, "unknown-fresh", state="unknown", claimed_at=fresh)
    await add(plans, "unknown-ancient", state="unknown", claimed_at=now - timedelta(days=2))
    await add(plans, "succeeded", state="succeeded", claimed_at=old)
    found = await plans.unsettled(MINUTE, timedelta(days=1))
    assert {row.id for row in found} == {"approved-old", "executing-old", "unknown-fresh"}


async def test_lists_are_narrowed_and_cut(plans: PlanRepository) -> None:
    now = await plans.now()
    await add(plans, "old", created_at=now - MINUTE, thread_id="t")
    await add(plans, "new", thread_id="u", cluster="other")
    assert [row.id for row in await plans.list()] == ["new", "old"]
    assert [row.id for row in await plans.list(limit=1)] == ["new"]
    assert [row.id for row in await plans.list(thread_id="t")] == ["old"]
    assert [row.id for row in await plans.list(cluster="other")] == ["new"]
    assert await plans.list(state="denied") == []
