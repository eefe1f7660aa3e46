"""The record of a plan: everything an approval is bound to, and nothing that changes later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cloudpilot.context import CallContext
from cloudpilot.db.models import PlanRow
from cloudpilot.db.session import utc
from cloudpilot.kube.redact import mask_text, redact_object, redact_value
from cloudpilot.plans.canonical import digest
from cloudpilot.plans.plan import Change, FieldDiff, Plan, PlanState, Risk
from cloudpilot.plans.proposal import Proposal, Touched
from cloudpilot.plans.write import marker_of

_VALID = {
    Risk.REVERSIBLE: timedelta(minutes=10),
    Risk.IMPACTING: timedelta(minutes=10),
    Risk.DESTRUCTIVE: timedelta(minutes=5),
}


class Record(BaseModel):
    """What is hashed into the digest and executed from. `body` is exact, `diff` is masked."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    version: Literal[1] = 1
    id: str
    operation: str
    arguments: dict[str, Any]
    summary: str
    cluster: str
    cluster_uid: str
    verb: Literal["create", "update", "delete"]
    kind: str
    namespace: str | None
    name: str
    body: dict[str, Any]
    object_uid: str | None
    """None for a create."""
    generation: int | None
    marker: str | None
    """The plan that wrote the object last, before this one."""
    touched: list[Touched]
    diff: list[FieldDiff]
    warnings: list[str]
    risk: Risk
    confirmation: str | None
    requester: str
    door: str
    thread_id: str | None
    run_id: str | None
    call_id: str | None
    taint: list[str]
    created_at: str
    expires_at: str


def new_row(
    plan_id: str,
    now: datetime,
    *,
    operation: str,
    arguments: dict[str, Any],
    change: Change,
    proposal: Proposal,
    ctx: CallContext,
) -> PlanRow:
    """Build the row of a new plan; `now` is the database's clock."""
    expires = now + _VALID[proposal.risk]
    metadata = (change.before or {}).get("metadata") or {}
    record = Record(
        id=plan_id,
        operation=operation,
        arguments=arguments,
        summary=mask_text(change.summary),
        cluster=ctx.cluster.name,
        cluster_uid=proposal.cluster_uid,
        verb=change.verb,
        kind=change.kind,
        namespace=change.namespace,
        name=change.name,
        body=change.body,
        object_uid=metadata.get("uid"),
        generation=metadata.get("generation"),
        marker=marker_of(change.before),
        touched=proposal.touched,
        diff=proposal.diff,
        warnings=proposal.warnings,
        risk=proposal.risk,
        confirmation=change.name if proposal.risk is Risk.DESTRUCTIVE else None,
        requester=ctx.actor.name,
        door=ctx.door.value,
        thread_id=ctx.origin.thread_id,
        run_id=ctx.origin.run_id,
        call_id=ctx.origin.call_id,
        taint=list(ctx.origin.taint),
        created_at=now.isoformat(),
        expires_at=expires.isoformat(),
    ).model_dump(mode="json")
    return PlanRow(
        id=plan_id,
        state=PlanState.PROPOSED,
        cluster=ctx.cluster.name,
        thread_id=ctx.origin.thread_id,
        requester=ctx.actor.name,
        intent=proposal.intent,
        digest=digest(record),
        record=record,
        previous=redact_object(change.before) if change.before else None,
        created_at=now,
        expires_at=expires,
    )


def plan_of(row: PlanRow) -> Plan:
    """Return the plan as people and models see it: masked, and with what happened since."""
    record = Record.model_validate(row.record)
    return Plan(
        id=row.id,
        state=PlanState(row.state),
        operation=record.operation,
        arguments=redact_value(record.arguments),
        summary=record.summary,
        cluster=record.cluster,
        cluster_uid=record.cluster_uid,
        kind=record.kind,
        namespace=record.namespace,
        name=record.name,
        verb=record.verb,
        risk=record.risk,
        diff=record.diff,
        warnings=record.warnings,
        digest=row.digest,
        confirmation=record.confirmation,
        requester=record.requester,
        door=record.door,
        thread_id=record.thread_id,
        run_id=record.run_id,
        taint=record.taint,
        created_at=utc(row.created_at),
        expires_at=utc(row.expires_at),
        decided_by=row.decided_by,
        decided_at=utc(row.decided_at) if row.decided_at else None,
        outcome=row.outcome,
        fresh_diff=[FieldDiff(**item) for item in (row.result or {}).get("fresh_diff", [])],
    )
