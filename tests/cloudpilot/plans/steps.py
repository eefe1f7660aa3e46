"""Steps that several tests of plans take: a Gateway to change, a plan to decide about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from sqlalchemy import text

from cloudpilot.context import Actor, ActorKind, CallContext, Door, Origin
from cloudpilot.db.audit import AuditLog
from cloudpilot.db.models import PlanRow
from cloudpilot.db.plans import PlanRepository
from cloudpilot.errors import ApprovalRequired, NotFound
from cloudpilot.kube.kinds import KINDS
from cloudpilot.plans.plan import Plan, PlanState
from cloudpilot.plans.planner import Plans
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster

HUMAN = Actor("local")
ROBOT = Actor("alerts", ActorKind.SERVICE)
HTTP: dict[str, Any] = {
    "port": {"number": 80, "name": "http", "protocol": "HTTP"},
    "hosts": ["shop.example.com"],
}
HTTPS: dict[str, Any] = {
    "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
    "hosts": ["shop.example.com"],
    "tls": {"mode": "SIMPLE", "credentialName": "shop-cert"},
}
NEW: dict[str, Any] = {"namespace": "default", "name": "web", "servers": [HTTP]}
SELECTOR = {"istio": "ingressgateway"}
GATEWAYS = "gateways.networking.istio.io"
CHANGE: dict[str, Any] = {
    "namespace": "default",
    "name": "web",
    "set_servers": [HTTP | {"hosts": ["*"]}],
}
DELETE: dict[str, Any] = {"namespace": "default", "name": "web"}


def from_chat(runtime: Runtime, call_id: str, thread_id: str = "thread-1") -> CallContext:
    """A call of the model in a conversation."""
    origin = Origin(thread_id=thread_id, run_id="run-1", call_id=call_id)
    return runtime.context(HUMAN, Door.CHAT, cluster="demo", origin=origin)


async def propose(
    runtime: Runtime, operation: str, ctx: CallContext | None = None, **arguments: Any
) -> Plan:
    """Call a writing operation and return the plan it ends in."""
    ctx = ctx or runtime.context(HUMAN, Door.REST, cluster="demo")
    try:
        await runtime.catalog.call(operation, ctx, arguments)
    except ApprovalRequired as proposed:
        assert isinstance(proposed.plan, Plan)
        return proposed.plan
    raise AssertionError(f"{operation} ended without a plan")


async def existing(runtime: Runtime, **spec: Any) -> dict[str, Any]:
    """Create a Gateway past CloudPilot's plans, as a person with kubectl would."""
    wanted = {"selector": SELECTOR, "servers": [deepcopy(HTTP), deepcopy(HTTPS)]} | spec
    client = runtime.clusters.get("demo").client
    body = {"metadata": {"name": "web"}, "spec": wanted}
    return (await client.create(KINDS["Gateway"], body, "default")).object


async def edit(runtime: Runtime, patch: dict[str, Any], name: str = "web") -> None:
    """Change a Gateway past CloudPilot's plans."""
    client = runtime.clusters.get("demo").client
    await client.patch(KINDS["Gateway"], name, "default", patch)


async def live(runtime: Runtime, name: str = "web") -> dict[str, Any] | None:
    """Return the Gateway as the cluster has it."""
    try:
        return await runtime.clusters.get("demo").client.get(KINDS["Gateway"], name, "default")
    except NotFound:
        return None


def writes(simulated: SimulatedCluster) -> list[str]:
    """Return the methods of all requests that could change a Gateway; dry runs cannot."""
    return [
        request.method
        for request in simulated.requests
        if request.method != "GET"
        and "gateways" in request.path
        and "dryRun" not in request.query
        and b'"dryRun"' not in request.body
    ]


async def sql(runtime: Runtime, statement: str, **values: Any) -> None:
    """Change the database as time or an intruder would."""
    async with runtime.database.transaction() as session:
        await session.execute(text(statement), values)


async def pass_time(runtime: Runtime, plan: Plan, seconds: int) -> None:
    """Move every time of a plan into the past."""
    for column in ("created_at", "expires_at", "decided_at", "claimed_at"):
        await sql(
            runtime,
            f"UPDATE plans SET {column} = strftime('%Y-%m-%d %H:%M:%f000', {column}, :by) "
            "WHERE id = :id",
            by=f"-{seconds} seconds",
            id=plan.id,
        )


async def audit(runtime: Runtime, plan: Plan) -> list[str]:
    """Return what the audit says of a plan, in order."""
    return [row.kind for row in await AuditLog(runtime.database).entries(subject=plan.id)]


async def reached(plans: Plans, plan: Plan, state: PlanState) -> None:
    """Wait until a plan is in a state."""
    async with asyncio.timeout(20):
        while (await plans.get(plan.id)).state is not state:  # noqa: ASYNC110 - another's event
            await asyncio.sleep(0.01)


async def rows(runtime: Runtime) -> list[PlanRow]:
    """Return the stored plans."""
    return await PlanRepository(runtime.database, AuditLog(runtime.database)).list()


def plans_of(runtime: Runtime, **options: Any) -> Plans:
    """Return plans as another process on the same database would have them."""
    audit_log = AuditLog(runtime.database)
    return Plans(runtime.database, runtime.clusters, audit_log, runtime.settings.agent, **options)


async def approve(runtime: Runtime, plan: Plan) -> Plan:
    """Approve as the card asks for it."""
    return await runtime.plans.approve(plan.id, plan.digest, HUMAN, plan.confirmation)


def at(point: str, act: Callable[[], object], times: int = 1) -> Callable[[str], None]:
    """Do something between two steps of an execution."""
    left = [times]

    def crashpoint(name: str) -> None:
        if name == point and left[0]:
            left[0] -= 1
            act()

    return crashpoint
