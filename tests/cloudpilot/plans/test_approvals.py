from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudpilot.errors import Forbidden, InvalidArguments, NotFound, PlanNotApprovable
from cloudpilot.plans.plan import Plan, PlanState
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings
from simulator import SimulatedCluster
from tests.cloudpilot.plans.steps import (
    HTTP,
    HUMAN,
    NEW,
    ROBOT,
    audit,
    existing,
    live,
    pass_time,
    plans_of,
    propose,
    reached,
    rows,
    sql,
    writes,
)

pytestmark = pytest.mark.usefixtures("cluster")


async def test_an_approved_plan_is_written_once_and_named_on_the_object(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    done = await runtime.plans.approve(plan.id, plan.digest, HUMAN)
    assert (done.state, done.decided_by) == (PlanState.SUCCEEDED, "local")
    assert writes(simulated) == ["POST"]
    written = await live(runtime)
    assert written is not None
    assert written["metadata"]["annotations"] == {"cloudpilot.io/plan": plan.id}
    assert written["spec"] == {"selector": {"istio": "ingressgateway"}, "servers": [HTTP]}
    assert await audit(runtime, plan) == [
        "plan.proposed",
        "plan.approved",
        "plan.claimed",
        "plan.intent",
        "plan.outcome",
    ]


async def test_fifty_approvals_at_once_are_one_write(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    approvals = (runtime.plans.approve(plan.id, plan.digest, HUMAN) for _ in range(50))
    answers = await asyncio.gather(*approvals, return_exceptions=True)
    done = [answer for answer in answers if isinstance(answer, Plan)]
    refused = [answer for answer in answers if isinstance(answer, PlanNotApprovable)]
    assert [answer.state for answer in done] == [PlanState.SUCCEEDED]
    assert len(refused) == 49
    assert {answer.details["state"] for answer in refused} <= {"approved", "executing", "succeeded"}
    assert writes(simulated) == ["POST"]
    kinds = await audit(runtime, plan)
    assert kinds.count("plan.approved") == kinds.count("plan.intent") == 1


async def test_approvals_in_many_processes_at_once_are_one_write(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)
    simulated.requests.clear()
    plan = await propose(runtime, "delete_gateway", namespace="default", name="web")
    doors = [plans_of(runtime) for _ in range(10)]
    approvals = (door.approve(plan.id, plan.digest, HUMAN, "web") for door in doors)
    answers = await asyncio.gather(*approvals, return_exceptions=True)
    assert sum(isinstance(answer, Plan) for answer in answers) == 1
    assert writes(simulated) == ["DELETE"]


async def test_an_approval_after_success_is_refused(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    await runtime.plans.approve(plan.id, plan.digest, HUMAN)
    with pytest.raises(PlanNotApprovable, match="succeeded already"):
        await runtime.plans.approve(plan.id, plan.digest, HUMAN)
    assert writes(simulated) == ["POST"]


@pytest.mark.parametrize("digest", ["", "0" * 64, "é", "\ud800"])
async def test_another_digest_approves_nothing(
    runtime: Runtime, simulated: SimulatedCluster, digest: str
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    with pytest.raises(PlanNotApprovable):
        await runtime.plans.approve(plan.id, digest, HUMAN)
    assert (await runtime.plans.get(plan.id)).state is PlanState.PROPOSED
    assert writes(simulated) == []


async def test_the_digest_of_one_plan_does_not_approve_another(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    one = await propose(runtime, "create_gateway", **NEW)
    two = await propose(runtime, "create_gateway", **NEW)
    assert one.digest != two.digest
    with pytest.raises(PlanNotApprovable):
        await runtime.plans.approve(one.id, two.digest, HUMAN)
    assert writes(simulated) == []


@pytest.mark.parametrize(
    "field",
    ["body", "name", "namespace", "verb", "cluster", "object_uid", "touched", "risk", "operation"],
)
async def test_a_record_that_was_altered_in_the_database_is_not_approved(
    runtime: Runtime, simulated: SimulatedCluster, field: str
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    value: dict[str, Any] = {"verb": "delete", "risk": "impacting"}
    await sql(
        runtime,
        f"UPDATE plans SET record = json_set(record, '$.{field}', :value)",
        value=value.get(field, "other"),
    )
    with pytest.raises(PlanNotApprovable, match="does not match its digest"):
        await runtime.plans.approve(plan.id, plan.digest, HUMAN)
    assert writes(simulated) == []


async def test_only_a_human_decides(runtime: Runtime, simulated: SimulatedCluster) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    with pytest.raises(Forbidden):
        await runtime.plans.approve(plan.id, plan.digest, ROBOT)
    with pytest.raises(Forbidden):
        await runtime.plans.deny(plan.id, ROBOT)
    assert (await runtime.plans.get(plan.id)).state is PlanState.PROPOSED
    assert writes(simulated) == []


@pytest.mark.parametrize("typed", [None, "", "WEB", "web ", "default/web"])
async def test_a_destructive_plan_needs_the_objects_name(
    runtime: Runtime, simulated: SimulatedCluster, typed: str | None
) -> None:
    await existing(runtime)
    simulated.requests.clear()
    plan = await propose(runtime, "delete_gateway", namespace="default", name="web")
    with pytest.raises(InvalidArguments) as refused:
        await runtime.plans.approve(plan.id, plan.digest, HUMAN, typed)
    assert refused.value.details["fields"][0]["field"] == "confirmation"
    assert writes(simulated) == []
    done = await runtime.plans.approve(plan.id, plan.digest, HUMAN, "web")
    assert done.state is PlanState.SUCCEEDED
    assert await live(runtime) is None


async def test_a_denied_plan_writes_nothing_and_stays_denied(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    denied = await runtime.plans.deny(plan.id, HUMAN, "not now, token=abcdef123456")
    assert denied.state is PlanState.DENIED
    assert denied.outcome == "denied: not now, token=[masked]"
    with pytest.raises(PlanNotApprovable, match="denied already"):
        await runtime.plans.approve(plan.id, plan.digest, HUMAN)
    with pytest.raises(PlanNotApprovable):
        await runtime.plans.deny(plan.id, HUMAN)
    assert writes(simulated) == []


async def test_approving_and_denying_at_once_decides_once(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    for number in range(5):
        plan = await propose(runtime, "create_gateway", **(NEW | {"name": f"web-{number}"}))
        before = len(writes(simulated))
        answers = await asyncio.gather(
            runtime.plans.approve(plan.id, plan.digest, HUMAN),
            runtime.plans.deny(plan.id, HUMAN),
            return_exceptions=True,
        )
        assert sum(isinstance(answer, Plan) for answer in answers) == 1
        state = (await runtime.plans.get(plan.id)).state
        written = len(writes(simulated)) - before
        assert (state, written) in [(PlanState.SUCCEEDED, 1), (PlanState.DENIED, 0)]


async def test_an_expired_plan_is_not_approved(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    await pass_time(runtime, plan, 601)
    with pytest.raises(PlanNotApprovable, match="expired already"):
        await runtime.plans.approve(plan.id, plan.digest, HUMAN)
    with pytest.raises(PlanNotApprovable):
        await runtime.plans.deny(plan.id, HUMAN)
    assert (await runtime.plans.get(plan.id)).state is PlanState.EXPIRED
    assert writes(simulated) == []
    assert await audit(runtime, plan) == ["plan.proposed", "plan.expired"]


async def test_lists_show_expired_plans_as_expired(runtime: Runtime) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    await pass_time(runtime, plan, 601)
    fresh = await propose(runtime, "create_gateway", **(NEW | {"name": "other"}))
    assert [p.id for p in await runtime.plans.list(state=PlanState.PROPOSED)] == [fresh.id]
    assert [p.id for p in await runtime.plans.list(state=PlanState.EXPIRED)] == [plan.id]
    assert [p.id for p in await runtime.plans.list(limit=1)] == [fresh.id]


@pytest.mark.parametrize("plan_id", ["", "nothing", "\x00", "\ud800", "' OR 1=1"])
async def test_a_plan_that_does_not_exist_is_not_found(runtime: Runtime, plan_id: str) -> None:
    with pytest.raises(NotFound):
        await runtime.plans.get(plan_id)
    with pytest.raises(NotFound):
        await runtime.plans.approve(plan_id, "0" * 64, HUMAN)
    with pytest.raises(NotFound):
        await runtime.plans.deny(plan_id, HUMAN)


async def test_every_end_of_a_plan_is_told_and_a_broken_listener_changes_nothing(
    runtime: Runtime,
) -> None:
    told: list[tuple[str, PlanState]] = []

    async def broken(plan: Plan) -> None:
        raise RuntimeError(plan.id)

    async def listener(plan: Plan) -> None:
        [row] = [row for row in await rows(runtime) if row.id == plan.id]
        assert row.state == plan.state
        told.append((plan.name, plan.state))

    plans = plans_of(runtime, on_decided=[broken])
    plans.on_decided(listener)
    by_name = {
        name: await propose(runtime, "create_gateway", **(NEW | {"name": name}))
        for name in ("approved", "denied", "expired")
    }
    done = await plans.approve(by_name["approved"].id, by_name["approved"].digest, HUMAN)
    assert done.state is PlanState.SUCCEEDED
    await plans.deny(by_name["denied"].id, HUMAN)
    await pass_time(runtime, by_name["expired"], 601)
    await plans.tend()
    await plans.tend()
    assert told == [
        ("approved", PlanState.SUCCEEDED),
        ("denied", PlanState.DENIED),
        ("expired", PlanState.EXPIRED),
    ]


async def test_the_execution_goes_on_when_the_caller_goes_away(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    simulated.faults.delay = 0.1
    approval = asyncio.create_task(runtime.plans.approve(plan.id, plan.digest, HUMAN))
    await reached(runtime.plans, plan, PlanState.EXECUTING)
    approval.cancel()
    await asyncio.gather(approval, return_exceptions=True)
    await runtime.plans.close()
    assert (await runtime.plans.get(plan.id)).state is PlanState.SUCCEEDED
    assert writes(simulated) == ["POST"]


async def test_where_the_cluster_is_not_connected_a_plan_is_not_used_up(
    runtime: Runtime, simulated: SimulatedCluster, settings: Settings
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    async with Runtime.open(settings, []) as elsewhere:
        with pytest.raises(NotFound, match="there is no cluster 'demo'"):
            await elsewhere.plans.approve(plan.id, plan.digest, HUMAN)
    assert (await runtime.plans.get(plan.id)).state is PlanState.PROPOSED
    await runtime.plans.approve(plan.id, plan.digest, HUMAN)
    assert writes(simulated) == ["POST"]
