from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloudpilot.plans.diff import MARKER
from cloudpilot.plans.plan import Plan, PlanState
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.plans.steps import (
    CHANGE,
    DELETE,
    GATEWAYS,
    HTTP,
    HTTPS,
    HUMAN,
    NEW,
    approve,
    at,
    audit,
    existing,
    live,
    pass_time,
    plans_of,
    propose,
    reached,
    sql,
    writes,
)

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.mark.parametrize(
    ("operation", "method"),
    [("create_gateway", "POST"), ("update_gateway", "PATCH"), ("delete_gateway", "DELETE")],
)
async def test_a_lost_answer_is_read_back_and_not_written_again(
    runtime: Runtime, simulated: SimulatedCluster, operation: str, method: str
) -> None:
    if operation != "create_gateway":
        await existing(runtime)
    arguments = {"create_gateway": NEW, "update_gateway": CHANGE, "delete_gateway": DELETE}
    plan = await propose(runtime, operation, **arguments[operation])
    simulated.requests.clear()
    simulated.faults.drop_response(method, "gateways")
    done = await approve(runtime, plan)
    assert done.state is PlanState.SUCCEEDED
    assert writes(simulated) == [method]
    kinds = await audit(runtime, plan)
    assert kinds[-2:] == ["plan.outcome", "plan.outcome"]


async def test_a_write_that_did_not_land_is_unknown_and_later_failed(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    told: list[PlanState] = []

    async def listener(plan: Plan) -> None:
        told.append(plan.state)

    runtime.plans.on_decided(listener)
    plan = await propose(runtime, "create_gateway", **NEW)
    simulated.faults.fail(1, 504, method="POST", path="gateways")
    done = await approve(runtime, plan)
    assert done.state is PlanState.UNKNOWN
    await runtime.plans.recover()
    assert (await runtime.plans.get(plan.id)).state is PlanState.UNKNOWN
    await pass_time(runtime, plan, 31)
    await runtime.plans.recover()
    settled = await runtime.plans.get(plan.id)
    assert settled.state is PlanState.FAILED
    assert "not written" in str(settled.outcome)
    assert writes(simulated) == ["POST"]
    assert await live(runtime) is None
    assert told == [PlanState.UNKNOWN, PlanState.FAILED]


async def test_a_write_that_lands_late_is_found(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    simulated.faults.fail(1, 500, method="POST", path="gateways")
    assert (await approve(runtime, plan)).state is PlanState.UNKNOWN
    annotations = {MARKER: plan.id}
    simulated.store.create(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "web", "namespace": "default", "annotations": annotations},
            "spec": {"selector": {"istio": "ingressgateway"}, "servers": [HTTP]},
        }
    )
    await runtime.plans.recover()
    assert (await runtime.plans.get(plan.id)).state is PlanState.SUCCEEDED


async def test_a_cluster_that_cannot_be_asked_leaves_the_plan_unknown(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    simulated.faults.drop_response("POST", "gateways")

    def unreachable() -> None:
        simulated.faults.fail(1, 503, method="GET", path="kube-system")

    plans = plans_of(runtime, crashpoint=at("before_write", unreachable))
    done = await plans.approve(plan.id, plan.digest, HUMAN)
    assert done.state is PlanState.UNKNOWN
    await pass_time(runtime, plan, 300)
    simulated.faults.fail(1, 503, method="GET", path="kube-system")
    await plans.recover()
    assert (await plans.get(plan.id)).state is PlanState.UNKNOWN
    await plans.recover()
    assert (await plans.get(plan.id)).state is PlanState.SUCCEEDED
    assert writes(simulated) == ["POST"]


async def test_what_another_plan_wrote_over_is_still_told_apart(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)
    first = await propose(runtime, "update_gateway", **CHANGE)
    simulated.faults.drop_response("PATCH", "gateways")

    def unreachable() -> None:
        simulated.faults.fail(1, 503, method="GET", path="kube-system")

    plans = plans_of(runtime, crashpoint=at("before_write", unreachable))
    landed = await plans.approve(first.id, first.digest, HUMAN)
    assert landed.state is PlanState.UNKNOWN
    back = CHANGE | {"set_servers": [HTTP]}
    second = await propose(runtime, "update_gateway", **back)
    simulated.faults.fail(1, 504, method="PATCH", path="gateways/web")
    lost = await plans.approve(second.id, second.digest, HUMAN)
    assert lost.state is PlanState.UNKNOWN
    third = await propose(
        runtime, "update_gateway", namespace="default", name="web", remove_servers=["https"]
    )
    assert (await approve(runtime, third)).state is PlanState.SUCCEEDED
    await pass_time(runtime, first, 60)
    await pass_time(runtime, second, 60)
    await plans.recover()
    assert (await plans.get(first.id)).state is PlanState.SUCCEEDED
    assert (await plans.get(second.id)).state is PlanState.FAILED


@pytest.mark.parametrize("status", [429, 403, 422])
async def test_a_refused_write_is_failed_and_nothing_else(
    runtime: Runtime, simulated: SimulatedCluster, status: int
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    simulated.faults.fail(1, status, method="POST", path="gateways")
    done = await approve(runtime, plan)
    assert done.state is PlanState.FAILED
    assert "nothing was written" in str(done.outcome)
    assert writes(simulated) == ["POST"]


async def test_a_cluster_that_is_away_before_the_write_fails_the_plan(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    simulated.faults.fail(1, 503, path="kube-system")
    done = await approve(runtime, plan)
    assert (done.state, writes(simulated)) == (PlanState.FAILED, [])


async def test_a_deadline_while_the_write_is_out_is_unknown(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)

    def hang() -> None:
        simulated.faults.delay = 3.0

    plans = plans_of(runtime, lease_seconds=1.0, crashpoint=at("before_write", hang))
    approval = asyncio.create_task(plans.approve(plan.id, plan.digest, HUMAN))
    await reached(plans, plan, PlanState.UNKNOWN)
    simulated.faults.delay = 0.0
    assert (await approval).state in (PlanState.UNKNOWN, PlanState.SUCCEEDED)
    assert writes(simulated) == ["POST"]


async def test_an_object_that_is_put_back_at_once_is_unhealthy(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)
    plan = await propose(runtime, "update_gateway", **CHANGE)

    def put_back() -> None:
        def change(obj: dict[str, Any]) -> None:
            obj["spec"]["servers"] = [HTTP, HTTPS]

        simulated.store.edit(GATEWAYS, "web", "default", change)

    plans = plans_of(runtime, verify_seconds=0.3, crashpoint=at("after_write", put_back))
    done = await plans.approve(plan.id, plan.digest, HUMAN)
    assert done.state is PlanState.UNHEALTHY
    assert "not as planned: spec.servers" in str(done.outcome)


async def test_an_object_held_by_a_finalizer_is_unhealthy_and_says_by_which(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)

    def hold(obj: dict[str, Any]) -> None:
        obj["metadata"]["finalizers"] = ["example.com/wait"]

    simulated.store.edit(GATEWAYS, "web", "default", hold)
    plan = await propose(runtime, "delete_gateway", **DELETE)
    plans = plans_of(runtime, verify_seconds=0.3)
    done = await plans.approve(plan.id, plan.digest, HUMAN, "web")
    assert done.state is PlanState.UNHEALTHY
    assert "example.com/wait" in str(done.outcome)


async def test_servers_that_are_not_named_stay_as_they_are(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)

    def more(obj: dict[str, Any]) -> None:
        obj["spec"]["servers"][1]["tls"]["subjectAltNames"] = ["a"]

    simulated.store.edit(GATEWAYS, "web", "default", more)
    plan = await propose(runtime, "update_gateway", **CHANGE)
    assert (await approve(runtime, plan)).state is PlanState.SUCCEEDED
    now = await live(runtime)
    assert now is not None
    assert now["spec"]["servers"][0]["hosts"] == ["*"]
    assert now["spec"]["servers"][1]["tls"]["subjectAltNames"] == ["a"]


async def test_a_live_execution_is_not_taken_over(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    other = plans_of(runtime)
    simulated.faults.delay = 0.1
    approval = asyncio.create_task(approve(runtime, plan))
    await reached(other, plan, PlanState.EXECUTING)
    await other.recover()
    assert (await other.get(plan.id)).state is PlanState.EXECUTING
    assert (await approval).state is PlanState.SUCCEEDED
    assert writes(simulated) == ["POST"]


async def test_who_saw_the_answer_corrects_a_recovery_that_came_too_early(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    hasty = plans_of(runtime, lease_seconds=0)
    simulated.faults.delay = 0.2
    approval = asyncio.create_task(approve(runtime, plan))
    await reached(hasty, plan, PlanState.EXECUTING)
    await hasty.recover()
    assert (await approval).state is PlanState.SUCCEEDED
    assert (await hasty.get(plan.id)).state is PlanState.SUCCEEDED
    assert writes(simulated) == ["POST"]


async def test_a_plan_approved_and_never_claimed_is_not_written(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    await sql(
        runtime,
        "UPDATE plans SET state = 'approved', decided_at = strftime('%Y-%m-%d %H:%M:%f000')",
    )
    await runtime.plans.recover()
    assert (await runtime.plans.get(plan.id)).state is PlanState.APPROVED
    await pass_time(runtime, plan, 31)
    await runtime.plans.recover()
    settled = await runtime.plans.get(plan.id)
    assert settled.state is PlanState.FAILED
    assert "propose it anew" in str(settled.outcome)
    assert writes(simulated) == []
