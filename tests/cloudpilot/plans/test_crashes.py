"""kill -9 at every step of every write: one write or none, and the state says which."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from cloudpilot.plans.plan import PlanState
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings
from simulator import SimulatedCluster
from tests.cloudpilot.plans.steps import (
    CHANGE,
    DELETE,
    NEW,
    audit,
    existing,
    live,
    plans_of,
    propose,
    rows,
    writes,
)

pytestmark = pytest.mark.usefixtures("cluster")

ROOT = Path(__file__).parents[3]
BEFORE = ("claimed", "intent_audited", "before_write")
AFTER = ("after_write", "before_outcome")


async def die(
    simulated: SimulatedCluster,
    settings: Settings,
    point: str,
    operation: str = "create_gateway",
    arguments: dict[str, Any] | None = None,
) -> None:
    """Let another process approve a plan and be killed at a step."""
    task = {
        "point": point,
        "cluster": "demo",
        "url": simulated.url,
        "token": simulated.token,
        "operation": operation,
        "arguments": arguments or NEW,
        "settings": {
            "database.url": settings.database.url,
            "database.key_file": str(settings.database.key_file),
        },
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.cloudpilot.plans.dying",
        json.dumps(task),
        cwd=ROOT,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == -signal.SIGKILL, errors.decode()


async def test_a_plan_saved_before_the_crash_is_there_to_be_decided(
    runtime: Runtime, simulated: SimulatedCluster, settings: Settings
) -> None:
    await die(simulated, settings, "plan_saved")
    await plans_of(runtime, lease_seconds=0).recover()
    [plan] = await runtime.plans.list()
    assert (plan.state, writes(simulated)) == (PlanState.PROPOSED, [])


async def test_a_plan_approved_before_the_crash_is_not_written(
    runtime: Runtime, simulated: SimulatedCluster, settings: Settings
) -> None:
    await die(simulated, settings, "approved")
    await plans_of(runtime, lease_seconds=0).recover()
    [plan] = await runtime.plans.list()
    assert (plan.state, writes(simulated)) == (PlanState.FAILED, [])
    assert await propose(runtime, "create_gateway", **NEW)


@pytest.mark.parametrize(
    ("operation", "arguments", "method", "point"),
    [
        *(("create_gateway", NEW, "POST", point) for point in (*BEFORE, *AFTER)),
        ("update_gateway", CHANGE, "PATCH", "before_write"),
        ("update_gateway", CHANGE, "PATCH", "after_write"),
        ("delete_gateway", DELETE, "DELETE", "before_write"),
        ("delete_gateway", DELETE, "DELETE", "after_write"),
    ],
)
async def test_a_crash_while_executing_is_one_write_or_none_and_is_told(
    runtime: Runtime,
    simulated: SimulatedCluster,
    settings: Settings,
    operation: str,
    arguments: dict[str, Any],
    method: str,
    point: str,
) -> None:
    before = None if operation == "create_gateway" else await existing(runtime)
    simulated.requests.clear()
    await die(simulated, settings, point, operation, arguments)
    [plan] = await runtime.plans.list()
    assert plan.state is PlanState.EXECUTING
    await runtime.plans.recover()
    assert (await runtime.plans.get(plan.id)).state is PlanState.EXECUTING

    await plans_of(runtime, lease_seconds=0).recover()
    await plans_of(runtime, lease_seconds=0).recover()

    settled = await runtime.plans.get(plan.id)
    now = await live(runtime)
    kinds = await audit(runtime, plan)
    if point in BEFORE:
        assert (settled.state, writes(simulated)) == (PlanState.FAILED, [])
        assert now == before
    else:
        assert (settled.state, writes(simulated)) == (PlanState.SUCCEEDED, [method])
        assert (now is None) == (operation == "delete_gateway")
    assert kinds.count("plan.intent") == (point != "claimed")
    assert kinds.count("plan.outcome") == 1
    [row] = await rows(runtime)
    assert row.state == settled.state
