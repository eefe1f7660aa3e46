"""Carries out approved plans: the claim, the durable intent, the outcome, and what got lost.

Executes from the stored record alone. A write is never sent again when its answer was lost: what
happened is then read from the object, by the annotation each write carries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from cloudpilot.clusters import Clusters
from cloudpilot.db.audit import AuditEvent
from cloudpilot.db.models import PlanRow
from cloudpilot.db.plans import PlanRepository
from cloudpilot.db.session import utc
from cloudpilot.errors import CloudPilotError
from cloudpilot.plans.execution import Execution, Verdict, is_written, verdict_of, write_of
from cloudpilot.plans.plan import PlanState
from cloudpilot.plans.record import Record
from cloudpilot.plans.write import marker_of

logger = logging.getLogger(__name__)

SYSTEM = "cloudpilot"
"""The actor of what no person asks for, such as an expiry."""

_LONGEST_CHAIN = 100


class Executor:
    """Executes and reconciles plans; decides nothing about approvals.

    Args:
        lease_seconds: How long an execution owns its plan. It gives up before, others touch the
            plan only after, and a write of which nothing is seen by then is taken as not done.
        verify_seconds: How long the object may take to be as planned after the write.
        crashpoint: Called with the name of each step, for tests that kill the process there.
    """

    def __init__(
        self,
        plans: PlanRepository,
        clusters: Clusters,
        *,
        lease_seconds: float,
        verify_seconds: float,
        crashpoint: Callable[[str], None],
    ) -> None:
        self._plans = plans
        self._clusters = clusters
        self._lease = timedelta(seconds=lease_seconds)
        self._deadline_seconds = lease_seconds * 0.8
        self._verify_seconds = verify_seconds
        self._crashpoint = crashpoint

    async def execute(self, plan_id: str) -> PlanRow | None:
        """Claim and carry out an approved plan; None if another one has claimed it.

        Raises:
            DatabaseUnavailable: the claim, the intent or the outcome could not be stored; nothing
                is written without the first two.
        """
        row = await self._plans.move(
            plan_id,
            {PlanState.APPROVED},
            PlanState.EXECUTING,
            AuditEvent("plan.claimed", SYSTEM),
            stamp="claimed_at",
        )
        if row is None:
            return None
        self._crashpoint("claimed")
        record = Record.model_validate(row.record)
        await self._plans.note(row, _intent(row, record))
        self._crashpoint("intent_audited")
        execution = Execution(record, self._clusters, self._verify_seconds, self._crashpoint)
        verdict = await execution.run(self._deadline_seconds)
        self._crashpoint("before_outcome")
        settled = await self._settle(row, verdict, _SOURCES[verdict.state])
        if settled is not None and verdict.state is PlanState.UNKNOWN:
            settled = await self.reconcile(settled) or settled
        return settled or await self._plans.get(plan_id)

    async def reconcile(self, row: PlanRow) -> PlanRow | None:
        """Find out what became of a plan whose execution ended unseen; None if still unknown.

        Raises:
            DatabaseUnavailable: the outcome could not be stored.
        """
        if row.state == PlanState.APPROVED:
            verdict = Verdict(
                PlanState.FAILED,
                "nothing was written: the process ended after the approval; propose it anew",
            )
        else:
            verdict = await self._fate(row, Record.model_validate(row.record))
            if verdict.state is PlanState.UNKNOWN and row.state == PlanState.UNKNOWN:
                return None
        return await self._settle(row, verdict, {PlanState(row.state)})

    async def _fate(self, row: PlanRow, record: Record) -> Verdict:
        try:
            client = self._clusters.get(record.cluster).client
            if await client.kube_system_uid() != record.cluster_uid:
                return Verdict(PlanState.UNKNOWN, f"{record.cluster} is another cluster by now")
            live = await write_of(record).read(client)
        except CloudPilotError as error:
            return Verdict(PlanState.UNKNOWN, f"it cannot be asked yet: {error.message}")
        if is_written(record, live):
            return verdict_of(record, live)
        later = marker_of(live)
        if later not in (None, record.marker):
            return await self._fate_before(record, later)
        if row.claimed_at and await self._plans.now() < utc(row.claimed_at) + self._lease:
            return Verdict(PlanState.UNKNOWN, "the answer was lost and nothing is seen of it yet")
        return Verdict(PlanState.FAILED, "not written: the cluster shows no trace of this plan")

    async def _fate_before(self, record: Record, later: str | None) -> Verdict:
        """Follow the annotations back from a plan that wrote the object since."""
        for _ in range(_LONGEST_CHAIN):
            row = await self._plans.get(later) if later else None
            if row is None:
                break
            earlier = Record.model_validate(row.record).marker
            if earlier == record.id:
                return Verdict(PlanState.SUCCEEDED, f"written, and changed by plan {later} since")
            if earlier == record.marker:
                return Verdict(PlanState.FAILED, f"not written: plan {later} came first")
            later = earlier
        return Verdict(PlanState.UNKNOWN, "the object was written by a plan of somebody else since")

    async def _settle(
        self, row: PlanRow, verdict: Verdict, sources: set[PlanState]
    ) -> PlanRow | None:
        logger.info("plan %s: %s, %s", row.id, verdict.state.value, verdict.outcome)
        result: dict[str, Any] | None = None
        if verdict.fresh_diff:
            result = {"fresh_diff": [item.model_dump(mode="json") for item in verdict.fresh_diff]}
        details = {"state": verdict.state.value, "outcome": verdict.outcome}
        return await self._plans.move(
            row.id,
            sources,
            verdict.state,
            AuditEvent("plan.outcome", row.decided_by or SYSTEM, details),
            outcome=verdict.outcome,
            result=result,
        )


_SOURCES = {
    # Who saw the answer knows better than whoever took the plan over meanwhile.
    PlanState.SUCCEEDED: {PlanState.EXECUTING, PlanState.UNKNOWN, PlanState.FAILED},
    PlanState.UNHEALTHY: {PlanState.EXECUTING, PlanState.UNKNOWN, PlanState.FAILED},
    PlanState.FAILED: {PlanState.EXECUTING, PlanState.UNKNOWN},
    PlanState.STALE: {PlanState.EXECUTING, PlanState.UNKNOWN},
    PlanState.UNKNOWN: {PlanState.EXECUTING},
}


def _intent(row: PlanRow, record: Record) -> AuditEvent:
    details = {
        "verb": record.verb,
        "kind": record.kind,
        "namespace": record.namespace,
        "name": record.name,
        "digest": row.digest,
    }
    return AuditEvent("plan.intent", row.decided_by or SYSTEM, details)
