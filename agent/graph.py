"""The loop of model and tools.

Order of the middleware, outermost first: budgets, retry, compaction, the guard of the model; then
for tools their events, the approval, their errors. The approval stands outside the errors, so that
no interrupt is ever told to the model as a failure. The names of nodes (the classes here) are a
stored format: a thread that waits under a name that is gone would silently count as finished.
"""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import (
    AgentMiddleware,
    ClearToolUsesEdit,
    ContextEditingMiddleware,
    ModelCallLimitMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
    ToolCallLimitMiddleware,
)
from langchain_core.language_models import BaseChatModel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph

from agent.approval import Approval
from agent.guard import ModelGuard
from agent.llm import is_retryable
from agent.offline import OfflineModel
from agent.plan_book import Proposals
from agent.tool_calls import ToolErrors, ToolEvents
from agent.toolbelt import Toolbelt, TurnContext
from cloudpilot.settings import Settings
from prompts import load

STEPS_PER_MODEL_CALL = 8
"""Supersteps of one model call with its tools; each hook of a middleware counts as one."""
_MOST_KEPT_RESULTS = 6
"""Latest tool results that stay whole when older ones are cleared to make room."""


def build_graph(
    model: BaseChatModel,
    toolbelt: Toolbelt,
    proposals: Proposals,
    saver: BaseCheckpointSaver[str],
    settings: Settings,
) -> CompiledStateGraph[Any, TurnContext, Any, Any]:
    """Build the agent's graph."""
    window, budget = settings.llm.context_tokens, settings.agent
    kept = max(1, min(_MOST_KEPT_RESULTS, window // 4 // budget.result_tokens))
    middleware: list[AgentMiddleware[Any, Any, Any]] = [
        ModelCallLimitMiddleware(run_limit=budget.model_calls, exit_behavior="error"),
        ToolCallLimitMiddleware(run_limit=budget.tool_calls),
        ModelRetryMiddleware(
            max_retries=1, retry_on=is_retryable, on_failure="error", initial_delay=0.5
        ),
        ContextEditingMiddleware(edits=[ClearToolUsesEdit(trigger=window // 2, keep=kept)]),
    ]
    if not isinstance(model, OfflineModel):  # rules cannot summarise
        middleware.append(
            SummarizationMiddleware(
                model,
                trigger=("tokens", window * 3 // 4),
                keep=("tokens", window // 4),
                summary_prompt=load("summary"),
                trim_tokens_to_summarize=None,  # a trimmed one loses the user's question
            )
        )
    middleware += [ModelGuard(toolbelt), ToolEvents(), Approval(proposals), ToolErrors(toolbelt)]
    return create_agent(
        model,
        toolbelt.tools,
        system_prompt=load("system", model_calls=budget.model_calls),
        middleware=middleware,
        context_schema=TurnContext,
        checkpointer=saver,
    )


def recursion_limit(settings: Settings) -> int:
    """Return a limit that the budgets reach first."""
    return (settings.agent.model_calls + 1) * STEPS_PER_MODEL_CALL
