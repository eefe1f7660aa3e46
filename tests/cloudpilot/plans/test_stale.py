from __future__ import annotations

from typing import Any

import pytest

from cloudpilot.plans.plan import PlanState
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
    edit,
    existing,
    live,
    plans_of,
    propose,
    writes,
)

pytestmark = pytest.mark.usefixtures("cluster")


def count_up(simulated: SimulatedCluster) -> None:
    """Move the resourceVersion and nothing that matters, as a status update does."""

    def change(obj: dict[str, Any]) -> None:
        status = obj.setdefault("status", {})
        status["seen"] = status.get("seen", 0) + 1

    assert simulated.store.edit(GATEWAYS, "web", "default", change)


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ({"spec": {"servers": [HTTP | {"hosts": ["stolen.example.com"]}]}}, "spec.servers"),
        ({"spec": {"selector": {"istio": "other"}}}, "another part"),
    ],
)
async def test_an_object_that_changed_since_is_not_overwritten(
    runtime: Runtime, simulated: SimulatedCluster, patch: dict[str, Any], why: str
) -> None:
    await existing(runtime)
    plan = await propose(runtime, "update_gateway", **CHANGE)
    await edit(runtime, patch)
    simulated.requests.clear()
    done = await approve(runtime, plan)
    assert done.state is PlanState.STALE
    assert done.outcome is not None
    assert why in done.outcome
    assert "spec.servers[http].hosts" in [item.path for item in done.fresh_diff]
    assert writes(simulated) == []
    assert done == await runtime.plans.get(plan.id)


async def test_a_changed_server_beside_the_planned_one_makes_the_plan_stale(
    runtime: Runtime,
) -> None:
    await existing(runtime)
    plan = await propose(runtime, "update_gateway", **CHANGE)
    other = HTTPS | {"hosts": ["new.example.com"]}
    await edit(runtime, {"spec": {"servers": [HTTP, other]}})
    assert (await approve(runtime, plan)).state is PlanState.STALE
    now = await live(runtime)
    assert now is not None
    assert now["spec"]["servers"][1]["hosts"] == ["new.example.com"]


async def test_a_status_update_does_not_make_a_plan_stale(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)
    plan = await propose(runtime, "update_gateway", **CHANGE)
    count_up(simulated)
    assert (await approve(runtime, plan)).state is PlanState.SUCCEEDED


@pytest.mark.parametrize("operation", ["update_gateway", "delete_gateway"])
async def test_an_object_made_anew_under_the_same_name_is_not_touched(
    runtime: Runtime, simulated: SimulatedCluster, operation: str
) -> None:
    await existing(runtime)
    arguments = CHANGE if operation == "update_gateway" else DELETE
    plan = await propose(runtime, operation, **arguments)
    simulated.store.delete(GATEWAYS, "web", "default")
    await existing(runtime)
    simulated.requests.clear()
    done = await approve(runtime, plan)
    assert (done.state, writes(simulated)) == (PlanState.STALE, [])
    assert "made anew" in str(done.outcome)


@pytest.mark.parametrize("operation", ["update_gateway", "delete_gateway"])
async def test_an_object_that_is_gone_makes_the_plan_stale(
    runtime: Runtime, simulated: SimulatedCluster, operation: str
) -> None:
    await existing(runtime)
    arguments = CHANGE if operation == "update_gateway" else DELETE
    plan = await propose(runtime, operation, **arguments)
    simulated.store.delete(GATEWAYS, "web", "default")
    simulated.requests.clear()
    done = await approve(runtime, plan)
    assert (done.state, writes(simulated)) == (PlanState.STALE, [])
    assert "gone" in str(done.outcome)


async def test_a_name_that_was_taken_meanwhile_makes_a_creation_stale(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    before = await existing(runtime, servers=[HTTPS])
    simulated.requests.clear()
    done = await approve(runtime, plan)
    assert (done.state, writes(simulated)) == (PlanState.STALE, [])
    assert await live(runtime) == before


async def test_another_cluster_at_the_same_address_is_not_written(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)

    def change(namespace: dict[str, Any]) -> None:
        namespace["metadata"]["uid"] = "another"

    simulated.store.edit("namespaces", "kube-system", "", change)
    done = await approve(runtime, plan)
    assert (done.state, writes(simulated)) == (PlanState.STALE, [])


@pytest.mark.parametrize("operation", ["update_gateway", "delete_gateway"])
async def test_a_conflict_over_nothing_that_matters_is_tried_again(
    runtime: Runtime, simulated: SimulatedCluster, operation: str
) -> None:
    await existing(runtime)
    simulated.requests.clear()
    plan = await propose(runtime, operation, **(CHANGE if "update" in operation else DELETE))
    plans = plans_of(runtime, crashpoint=at("before_write", lambda: count_up(simulated), 2))
    done = await plans.approve(plan.id, plan.digest, HUMAN, plan.confirmation)
    assert done.state is PlanState.SUCCEEDED
    assert len(writes(simulated)) == 3


async def test_an_object_that_never_rests_is_given_up_after_three_tries(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    before = await existing(runtime)
    simulated.requests.clear()
    plan = await propose(runtime, "update_gateway", **CHANGE)
    plans = plans_of(runtime, crashpoint=at("before_write", lambda: count_up(simulated), 99))
    done = await plans.approve(plan.id, plan.digest, HUMAN)
    assert done.state is PlanState.FAILED
    assert len(writes(simulated)) == 3
    now = await live(runtime)
    assert now is not None
    assert now["spec"] == before["spec"]


async def test_a_change_between_reading_and_writing_is_never_overwritten(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)
    plan = await propose(runtime, "update_gateway", **CHANGE)

    def steal() -> None:
        def change(obj: dict[str, Any]) -> None:
            obj["spec"]["servers"][0]["hosts"] = ["stolen.example.com"]

        simulated.store.edit(GATEWAYS, "web", "default", change)

    plans = plans_of(runtime, crashpoint=at("before_write", steal))
    done = await plans.approve(plan.id, plan.digest, HUMAN)
    assert done.state is PlanState.STALE
    now = await live(runtime)
    assert now is not None
    assert now["spec"]["servers"][0]["hosts"] == ["stolen.example.com"]
