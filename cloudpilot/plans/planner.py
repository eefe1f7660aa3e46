"""The door to plans: propose, approve, deny, read. Who may decide what, and until when.

What a change does to the cluster is worked out in `proposal`, what is done to it in `executor`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from cloudpilot.clusters import Clusters
from cloudpilot.context import Actor, ActorKind, CallContext
from cloudpilot.db.audit import AuditEvent, AuditLog
from cloudpilot.db.models import PlanRow
from cloudpilot.db.plans import PlanRepository
from cloudpilot.db.session import Database, utc
from cloudpilot.errors import (
    CloudPilotError,
    Forbidden,
    InvalidArguments,
    NotFound,
    PlanNotApprovable,
    TooManyRequests,
)
from cloudpilot.kube.redact import mask_text
from cloudpilot.plans.canonical import canonical_json, digest, refuse_control_characters
from cloudpilot.plans.executor import SYSTEM, Executor
from cloudpilot.plans.plan import Change, Plan, PlanState
from cloudpilot.plans.proposal import propose
from cloudpilot.plans.record import new_row, plan_of
from cloudpilot.plans.write import Write
from cloudpilot.settings import AgentSettings

logger = logging.getLogger(__name__)

Listener = Callable[[Plan], Awaitable[None]]

PROTECTED_NAMESPACES = frozenset({"istio-system", "cloudpilot"})
"""Beside `kube-*`: any change there counts as destructive."""

_DENIED_FOR = timedelta(minutes=10)
_HORIZON = timedelta(days=1)
_LONGEST_REASON = 500


class Plans:
    """Every write goes through here, and only a human lets it pass.

    Promises: nothing is written without an approval that names the plan's digest; one approval
    is one write or none; the state says which. Does not promise a second person: one human both
    proposes and approves, a destructive plan by typing the object's name.

    Args:
        settings: Says how many undecided plans one conversation may have.
        protected_namespaces: Where any change is destructive, beside `kube-*`.
        on_decided: Called after a plan's end is stored: denied, expired, stale, or its outcome.
            An `unknown` is followed by a second call once it is known.
        lease_seconds: See `Executor`.
        verify_seconds: See `Executor`.
        crashpoint: See `Executor`.
    """

    def __init__(
        self,
        database: Database,
        clusters: Clusters,
        audit: AuditLog,
        settings: AgentSettings,
        *,
        protected_namespaces: Collection[str] = PROTECTED_NAMESPACES,
        on_decided: Sequence[Listener] = (),
        lease_seconds: float = 30.0,
        verify_seconds: float = 5.0,
        crashpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._plans = PlanRepository(database, audit)
        self._clusters = clusters
        self._open_plans = settings.open_plans
        self._protected = protected_namespaces
        self._listeners = list(on_decided)
        self._lease = timedelta(seconds=lease_seconds)
        self._crashpoint = crashpoint
        self._executor = Executor(
            self._plans,
            clusters,
            lease_seconds=lease_seconds,
            verify_seconds=verify_seconds,
            crashpoint=crashpoint,
        )
        self._executions: set[asyncio.Task[PlanRow | None]] = set()

    def on_decided(self, listener: Listener) -> None:
        """Call this, too, after a plan's end is stored."""
        self._listeners.append(listener)

    async def propose(
        self, operation: str, arguments: Mapping[str, Any], change: Change, ctx: CallContext
    ) -> Plan:
        """Dry-run, diff and record a change; the same tool call gets the same plan again.

        Raises:
            InvalidArguments: the arguments have no one meaning, or nothing would change.
            TooManyRequests: too many open plans, or a human denied exactly this just now.
            CloudPilotError: the cluster refused the dry run.
        """
        wanted = dict(arguments)
        checked: dict[str, Any] = {
            "arguments": wanted,
            change.kind: change.body,
            "name": change.name,
            "namespace": change.namespace,
        }
        for where, value in checked.items():
            canonical_json(value, where)
            refuse_control_characters(value, where)
        key = _key(operation, wanted, ctx)
        if stored := await self._plans.find(key):
            return plan_of(await self._expired(stored))
        cluster = ctx.cluster
        write = Write(
            plan_id=uuid.uuid4().hex,
            verb=change.verb,
            kind=change.kind,
            namespace=change.namespace,
            name=change.name,
            body=change.body,
        )
        proposal = await propose(change, write, cluster, self._protected)
        await self._refuse_denied(proposal.intent)
        row = new_row(
            write.plan_id,
            await self._plans.now(),
            operation=operation,
            arguments=wanted,
            change=change,
            proposal=proposal,
            ctx=ctx,
        )
        row.key = key
        event = AuditEvent(
            "plan.proposed", ctx.actor.name, {"operation": operation, "digest": row.digest}
        )
        row = await self._plans.add(row, event, open_limit=self._open_plans)
        self._crashpoint("plan_saved")
        return plan_of(row)

    async def approve(
        self, plan_id: str, digest: str, actor: Actor, confirmation: str | None = None
    ) -> Plan:
        """Approve exactly what the digest names, carry it out and return the plan's end.

        The execution goes on if the caller goes away.

        Raises:
            Forbidden: the actor is not a human.
            NotFound: there is no such plan.
            PlanNotApprovable: it is decided or expired, or the digest is another plan's.
            InvalidArguments: a destructive plan needs the object's name typed.
        """
        _require_human(actor)
        row = await self._approvable(plan_id, digest, confirmation)
        approved = await self._plans.move(
            plan_id,
            {PlanState.PROPOSED},
            PlanState.APPROVED,
            AuditEvent("plan.approved", actor.name, {"digest": row.digest}),
            unexpired=True,
            stamp="decided_at",
            decided_by=actor.name,
        )
        if approved is None:
            raise _not_approvable(await self._get(plan_id))
        self._crashpoint("approved")
        execution = asyncio.create_task(self._execute(plan_id), name=f"plan {plan_id}")
        self._executions.add(execution)
        execution.add_done_callback(self._executed)
        done = await asyncio.shield(execution)
        return plan_of(done or await self._get(plan_id))

    async def deny(self, plan_id: str, actor: Actor, reason: str = "") -> Plan:
        """Refuse a plan; the same change cannot be proposed again for ten minutes.

        Raises:
            Forbidden: the actor is not a human.
            NotFound: there is no such plan.
            PlanNotApprovable: it is decided or expired already.
        """
        _require_human(actor)
        refuse_control_characters(reason, "reason")
        canonical_json(reason, "reason")
        reason = mask_text(reason)[:_LONGEST_REASON]
        await self._get(plan_id)
        row = await self._plans.move(
            plan_id,
            {PlanState.PROPOSED},
            PlanState.DENIED,
            AuditEvent("plan.denied", actor.name, {"reason": reason}),
            stamp="decided_at",
            decided_by=actor.name,
            outcome=f"denied: {reason}" if reason else "denied",
        )
        if row is None:
            raise _not_approvable(await self._get(plan_id))
        await self._tell(row)
        return plan_of(row)

    async def get(self, plan_id: str) -> Plan:
        """Return a plan as it stands.

        Raises:
            NotFound: there is no such plan.
        """
        return plan_of(await self._get(plan_id))

    async def tend(self) -> None:
        """Expire what nobody decided, and find out what became of what ended unseen."""
        for row in await self._plans.overdue():
            await self._expired(row)
        await self.recover()

    async def recover(self) -> None:
        """Settle plans whose process died or whose answer was lost; live ones are left alone."""
        for row in await self._plans.unsettled(self._lease, _HORIZON):
            settled = await self._executor.reconcile(row)
            if settled is not None:
                await self._tell(settled)

    async def run(self, every_seconds: float = 2.0) -> None:
        """Tend the plans until cancelled."""
        while True:
            try:
                await self.tend()
            except CloudPilotError as error:
                logger.warning("plans cannot be tended now: %s", error.message)
            await asyncio.sleep(every_seconds)

    async def close(self, seconds: float = 20.0) -> None:
        """Wait for executions to end; what does not is settled at the next start."""
        if self._executions:
            await asyncio.wait(self._executions, timeout=seconds)

    async def _execute(self, plan_id: str) -> PlanRow | None:
        row = await self._executor.execute(plan_id)
        if row is not None:
            await self._tell(row)
        return row

    def _executed(self, execution: asyncio.Task[PlanRow | None]) -> None:
        self._executions.discard(execution)
        if not execution.cancelled() and (error := execution.exception()):
            logger.error("%s ended without an outcome: %s", execution.get_name(), error)

    async def _approvable(self, plan_id: str, named: str, confirmation: str | None) -> PlanRow:
        row = await self._get(plan_id)
        if row.state != PlanState.PROPOSED:
            raise _not_approvable(row)
        if digest(row.record) != row.digest:
            raise PlanNotApprovable(f"the record of plan {plan_id} does not match its digest")
        if named != row.digest:
            raise PlanNotApprovable(
                f"the digest is not that of plan {plan_id}", details={"plan_id": plan_id}
            )
        # Refused while nothing is decided: an approval here could only end in a failure.
        self._clusters.get(row.cluster)
        typed = row.record["confirmation"]
        if typed is not None and confirmation != typed:
            raise InvalidArguments.field(
                "confirmation", f"type the object's name, {typed!r}, to approve this"
            )
        return row

    async def _get(self, plan_id: str) -> PlanRow:
        row = await self._plans.get(plan_id) if plan_id.isascii() else None
        if row is None:
            raise NotFound(f"there is no plan {plan_id!r}", hint="list the plans")
        return await self._expired(row)

    async def _expired(self, row: PlanRow) -> PlanRow:
        """Return the row, expired if its time is over."""
        if row.state != PlanState.PROPOSED or await self._plans.now() < utc(row.expires_at):
            return row
        moved = await self._plans.move(
            row.id,
            {PlanState.PROPOSED},
            PlanState.EXPIRED,
            AuditEvent("plan.expired", SYSTEM),
            outcome="expired: nobody decided in time",
        )
        if moved is None:
            return await self._plans.get(row.id) or row
        await self._tell(moved)
        return moved

    async def _refuse_denied(self, intent: str) -> None:
        denied = await self._plans.denied(intent, _DENIED_FOR)
        if denied is None or denied.decided_at is None:
            return
        again = utc(denied.decided_at) + _DENIED_FOR
        raise TooManyRequests(
            f"{denied.decided_by} denied exactly this change; "
            f"it may be proposed again from {again:%H:%M:%S} UTC on",
            hint="do not repeat it; ask what is wanted instead",
            details={"plan_id": denied.id, "again_at": again.isoformat()},
        )

    async def _tell(self, row: PlanRow) -> None:
        plan = plan_of(row)
        for listener in self._listeners:
            try:
                await listener(plan)
            except Exception:  # noqa: BLE001 - a listener must not change what happened
                logger.exception("a listener failed on plan %s", plan.id)

    async def list(
        self,
        *,
        state: PlanState | None = None,
        thread_id: str | None = None,
        cluster: str | None = None,
        limit: int = 100,
    ) -> list[Plan]:
        """Return plans as they stand, the newest first."""
        for row in await self._plans.overdue():
            await self._expired(row)
        rows = await self._plans.list(
            state=state, thread_id=thread_id, cluster=cluster, limit=limit
        )
        return [plan_of(row) for row in rows]


def _key(operation: str, arguments: dict[str, Any], ctx: CallContext) -> str | None:
    """Return what makes a repeated tool call the same proposal; None outside a conversation.

    A model that uses one call id for two different calls gets two plans.
    """
    origin = ctx.origin
    if not origin.thread_id or not origin.call_id:
        return None
    call = digest([origin.call_id, operation, ctx.cluster.name, arguments])
    return f"{origin.thread_id}/{call}"


def _require_human(actor: Actor) -> None:
    if actor.kind is not ActorKind.HUMAN:
        raise Forbidden("only a human decides about a plan", hint="wait for a person's decision")


def _not_approvable(row: PlanRow) -> PlanNotApprovable:
    return PlanNotApprovable(
        f"plan {row.id} is {row.state} already",
        details={"plan_id": row.id, "state": row.state},
    )
