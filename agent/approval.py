"""Stops the graph where a write was proposed, and goes on with what became of the plan.

The resume value carries nothing: whether something was written is read from the plans. So a
forged, repeated or late resume can neither write nor claim anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ToolCallRequest
from langchain_core.messages import ToolMessage
from langgraph.types import Command, interrupt

from agent.budget import fence
from agent.events import ApprovalNeeded
from agent.plan_book import UNDECIDED, Proposals, describe_outcome
from cloudpilot.errors import ApprovalRequired
from cloudpilot.plans.plan import Plan

ToolResult = ToolMessage | Command[Any]
Handler = Callable[[ToolCallRequest], Awaitable[ToolResult]]


class Approval(AgentMiddleware[Any, Any, Any]):
    """Turns `ApprovalRequired` into an interrupt that ends when the plan is decided."""

    def __init__(self, proposals: Proposals) -> None:
        super().__init__()
        self._proposals = proposals

    async def awrap_tool_call(self, request: ToolCallRequest, handler: Handler) -> ToolResult:
        """Run the tool; where it proposes a plan, wait for the decision."""
        try:
            return await handler(request)
        except ApprovalRequired as proposed:
            plan: Plan = proposed.plan
        call = request.tool_call
        if plan.state in UNDECIDED:
            card = ApprovalNeeded(call_id=call["id"] or "", plan=plan)
            request.runtime.stream_writer(card)
            interrupt({"plan_id": plan.id, "digest": plan.digest, "call_id": call["id"]})
            plan = await self._proposals.get(plan.id)
        return ToolMessage(
            fence(describe_outcome(plan), operation=call["name"], cluster=plan.cluster),
            tool_call_id=call["id"],
            name=call["name"],
        )
