"""The model's own edge: what it is offered, and what of its answers may enter the graph.

A cut answer is an error and its half tool calls are never run. Tool-call ids are made unique in
the thread, since a plan is found by its call's id. Every provider's failure becomes one error.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, AnyMessage, ToolCall

from agent.llm import explain, is_retryable
from agent.tool_calls import MALFORMED
from agent.toolbelt import Toolbelt
from cloudpilot.errors import CloudPilotError, ModelUnavailable

logger = logging.getLogger(__name__)

_COMPLETE = frozenset({"stop", "tool_calls", "function_call", "end_turn", "tool_use"})


class ModelGuard(AgentMiddleware[Any, Any, Any]):
    """Stands directly around the model."""

    def __init__(self, toolbelt: Toolbelt) -> None:
        super().__init__()
        self._toolbelt = toolbelt

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelResponse[Any]:
        """Offer the tools of the moment, call the model, check its answer."""
        offered: list[Any] = list(self._toolbelt.offered(request.messages))
        try:
            response = await handler(request.override(tools=offered))
        except CloudPilotError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge: providers raise what they like
            explained = explain(error)
            # A provider's own words may quote the key, so only what we do not know is traced.
            unknown = error if is_retryable(explained) else None
            logger.warning("the model failed: %s", type(error).__name__, exc_info=unknown)
            raise explained from error
        answer = response.result[-1]
        if isinstance(answer, AIMessage):
            checked = check(answer, request.messages)
            return ModelResponse(
                result=[*response.result[:-1], checked],
                structured_response=response.structured_response,
            )
        return response


def check(answer: AIMessage, before: Sequence[AnyMessage]) -> AIMessage:
    """Return the answer with sound tool calls.

    Raises:
        ModelUnavailable: it is cut off or empty.
    """
    reason = answer.response_metadata.get("finish_reason")
    if reason not in _COMPLETE:
        raise _cut_off(reason)
    calls = [
        ToolCall(name=call["name"] or "", args=call["args"], id=call["id"], type="tool_call")
        for call in answer.tool_calls
    ]
    calls += [
        ToolCall(
            name=call["name"] or "",
            args={MALFORMED: (call["args"] or "")[:200]},
            id=call["id"],
            type="tool_call",
        )
        for call in answer.invalid_tool_calls
    ]
    if not calls and not str(answer.text).strip():
        raise ModelUnavailable("the model returned an empty answer", hint="ask again")
    taken = {
        call["id"]
        for message in before
        if isinstance(message, AIMessage)
        for call in message.tool_calls
    }
    for call in calls:
        if not call["id"] or call["id"] in taken:
            call["id"] = f"call_{uuid.uuid4().hex}"
        taken.add(call["id"])
    return answer.model_copy(
        update={
            "content": str(answer.text),
            "tool_calls": calls,
            "invalid_tool_calls": [],
            "additional_kwargs": {
                key: value for key, value in answer.additional_kwargs.items() if key != "tool_calls"
            },
        }
    )


def _cut_off(reason: Any) -> ModelUnavailable:
    if reason == "length":
        return ModelUnavailable(
            "the model stopped at its output limit; its answer is incomplete",
            hint="ask a narrower question, or configure a model with a larger output",
        )
    if reason == "content_filter":
        return ModelUnavailable(
            "the provider's content filter stopped the answer", hint="ask in other words"
        )
    return ModelUnavailable(
        "the model's stream was cut off; its answer is incomplete", hint="ask again"
    )
