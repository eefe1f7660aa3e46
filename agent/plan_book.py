"""What the agent needs of the plans: to read them, and to hear when one is decided.

Which plan a tool call has proposed is told by the thread's own events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import NotFound
from cloudpilot.plans.plan import Plan, PlanState

Listener = Callable[[Plan], Awaitable[None]]

UNDECIDED = frozenset({PlanState.PROPOSED, PlanState.APPROVED, PlanState.EXECUTING})
"""States in which it is still open whether, or what, is written."""

WRITTEN = frozenset({PlanState.SUCCEEDED, PlanState.UNHEALTHY, PlanState.UNDONE})


class PlanBook(Protocol):
    """The plans, as far as a conversation is concerned with them."""

    async def get(self, plan_id: str) -> Plan:
        """Return the plan as it is now."""

    def on_decided(self, listener: Listener) -> None:
        """Call the listener, too, when a plan's end is stored."""


class Proposals:
    """The plans that a thread's tool calls have proposed."""

    def __init__(self, plans: PlanBook, threads: ThreadStore) -> None:
        self._plans = plans
        self._threads = threads

    async def get(self, plan_id: str) -> Plan:
        """Return a plan as it is now."""
        return await self._plans.get(plan_id)

    async def of_call(self, thread_id: str, call_id: str) -> Plan | None:
        """Return the plan that a call has announced, as it is now."""
        announced = await self._threads.events(thread_id, types=["approval_required"], limit=10_000)
        for event in announced:
            if event.data["call_id"] == call_id:
                try:
                    return await self._plans.get(event.data["plan"]["id"])
                except NotFound:
                    return None
        return None


def describe_outcome(plan: Plan) -> dict[str, object]:
    """Say what became of a plan, as the model is told it: from the record alone."""
    open_ = plan.state in (PlanState.UNKNOWN, PlanState.EXECUTING)
    written = None if open_ else plan.state in WRITTEN
    sentences = {
        PlanState.SUCCEEDED: "approved, written and verified",
        PlanState.UNHEALTHY: "approved and written, but not healthy yet",
        PlanState.UNDONE: "written, and undone since",
        PlanState.DENIED: "denied: nothing was written",
        PlanState.EXPIRED: "nobody decided in time: nothing was written",
        PlanState.STALE: "the object changed after the proposal: nothing was written",
        PlanState.FAILED: "approved, but it failed: nothing was written",
        PlanState.UNKNOWN: "approved and sent, but whether it was written is not known",
    }
    data: dict[str, object] = {
        "plan": plan.id,
        "state": plan.state.value,
        "written": written,
        "what": plan.summary,
        "says": sentences.get(plan.state, "not decided yet: nothing has been confirmed"),
    }
    if plan.outcome:
        data["outcome"] = plan.outcome
    if plan.decided_by:
        data["decided_by"] = plan.decided_by
    return data
