"""Reading plans and deciding them; what a decision does is `cloudpilot.plans`' business."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.deps import ActorDep, RuntimeDep
from api.envelope import Route, add_enveloped_routes, success
from cloudpilot.errors import PlanNotApprovable
from cloudpilot.plans.plan import Plan, PlanState

PlanId = Annotated[str, Path(description="Id of the plan.", pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class PlanList(BaseModel):
    """Plans, the newest first."""

    items: list[Plan]


class Approval(BaseModel):
    """An approval of exactly the change that was shown."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"digest": "9f86d081884c7d65" * 4}]},
    )

    digest: str = Field(
        description="The plan's digest, as it was shown.", pattern=r"^[0-9a-f]{64}$"
    )
    confirmation: str | None = Field(
        default=None,
        max_length=253,
        description="The object's name, for a destructive plan.",
    )


class Denial(BaseModel):
    """A refusal of the change."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"reason": "wrong namespace"}]}
    )

    reason: str = Field(default="", max_length=500, description="Why; kept in the record.")


def add_routes(app: FastAPI) -> None:
    """Add the four routes."""
    routes: tuple[Route, ...] = (
        ("GET", "/api/v1/plans", list_plans, PlanList),
        ("GET", "/api/v1/plans/{plan_id}", get_plan, Plan),
        ("POST", "/api/v1/plans/{plan_id}/approve", approve_plan, Plan),
        ("POST", "/api/v1/plans/{plan_id}/deny", deny_plan, Plan),
    )
    add_enveloped_routes(app, "plans", routes)


async def list_plans(
    runtime: RuntimeDep,
    state: Annotated[PlanState | None, Query(description="Only plans in this state.")] = None,
    thread_id: Annotated[str | None, Query(max_length=64)] = None,
    cluster: Annotated[str | None, Query(max_length=63)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> object:
    """List plans, the newest first."""
    found = await runtime.plans.list(state=state, thread_id=thread_id, cluster=cluster, limit=limit)
    return success(PlanList(items=list(found)))


async def get_plan(runtime: RuntimeDep, plan_id: PlanId) -> object:
    """Read one plan with its diff, digest and state."""
    return success(await runtime.plans.get(plan_id))


async def approve_plan(
    runtime: RuntimeDep, actor: ActorDep, plan_id: PlanId, body: Approval
) -> object:
    """Approve a plan and carry it out; answers when the outcome is known.

    A plan whose object has changed since is not carried out: 409, with the fresh diff.
    """
    plan = await runtime.plans.approve(plan_id, body.digest, actor, body.confirmation)
    if plan.state is PlanState.STALE:
        facts = plan.model_dump(mode="json", include={"id", "state", "fresh_diff"})
        raise PlanNotApprovable(plan.outcome or "the object has changed since", details=facts)
    return success(plan, message=plan.outcome or "")


async def deny_plan(runtime: RuntimeDep, actor: ActorDep, plan_id: PlanId, body: Denial) -> object:
    """Deny a plan; the same change cannot be proposed again for ten minutes."""
    return success(await runtime.plans.deny(plan_id, actor, body.reason))
