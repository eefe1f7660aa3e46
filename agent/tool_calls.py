"""What surrounds every tool call: its events, and errors told to the model in one sentence."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ToolCallRequest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.errors import GraphBubbleUp

from agent.approval import Handler, ToolResult
from agent.budget import clean
from agent.events import ToolFinished, ToolStarted
from agent.toolbelt import Toolbelt
from cloudpilot.errors import ApprovalRequired, CloudPilotError, InvalidArguments, NotFound
from cloudpilot.kube.redact import mask_text

logger = logging.getLogger(__name__)

MALFORMED = "malformed_arguments"
"""Stands in for arguments that were no JSON object; set by the guard of the model."""
MOST_REPEATS = 2
_MOST_CONTENT = 2_000


class ToolEvents(AgentMiddleware[Any, Any, Any]):
    """Tells that a tool was started and how it ended. An interrupted one has not ended."""

    async def awrap_tool_call(self, request: ToolCallRequest, handler: Handler) -> ToolResult:
        """Write the two events around the call."""
        call = request.tool_call
        call_id, write = call["id"] or "", request.runtime.stream_writer
        write(ToolStarted(call_id=call_id, name=call["name"], arguments=_masked(call["args"])))
        result = await handler(request)
        if isinstance(result, ToolMessage):
            write(
                ToolFinished(
                    call_id=call_id,
                    name=call["name"],
                    status="error" if result.status == "error" else "ok",
                    content=clean(str(result.text), _MOST_CONTENT),
                )
            )
        return result


class ToolErrors(AgentMiddleware[Any, Any, Any]):
    """Answers a call that cannot work with one sentence that says what to change."""

    def __init__(self, toolbelt: Toolbelt) -> None:
        super().__init__()
        self._toolbelt = toolbelt

    async def awrap_tool_call(self, request: ToolCallRequest, handler: Handler) -> ToolResult:
        """Check the call, run it, tell its failure."""
        name = request.tool_call["name"]
        try:
            self._check(request)
            return await handler(request)
        except (ApprovalRequired, GraphBubbleUp):
            raise
        except CloudPilotError as error:
            text = sentences(error.message, error.hint)
        except Exception:  # noqa: BLE001 - the edge of a node: a bug in a tool must not end the run
            logger.exception("the tool %s failed", name)
            text = f"{name} failed with an internal error; it is in the log."
        return ToolMessage(
            f"error: {clean(text, 1_000)}",
            tool_call_id=request.tool_call["id"],
            name=name,
            status="error",
        )

    def _check(self, request: ToolCallRequest) -> None:
        call = request.tool_call
        name, arguments = call["name"], call["args"]
        if request.tool is None:
            known = ", ".join(sorted(tool.name for tool in self._toolbelt.tools))
            raise NotFound(f"there is no tool {clean(name, 60)!r}", hint=f"the tools are {known}")
        known_arguments = self._toolbelt.arguments_of(name)
        listed = ", ".join(known_arguments) or "none"
        if MALFORMED in arguments:
            raise InvalidArguments(
                f"the arguments of {name} were not a JSON object",
                hint=f"send one JSON object with these fields: {listed}",
            )
        if unknown := [key for key in arguments if key not in known_arguments]:
            raise InvalidArguments(
                f"{name} has no argument {clean(', '.join(unknown), 100)}",
                hint=f"it takes: {listed}",
            )
        if self._repeats(request.state["messages"], call["id"], name, arguments) >= MOST_REPEATS:
            raise InvalidArguments(
                f"{name} was called {MOST_REPEATS} times with these arguments in this run",
                hint="use the results above, or change the arguments",
            )

    def _repeats(
        self, messages: Iterable[AnyMessage], call_id: str | None, name: str, arguments: Any
    ) -> int:
        """Count identical calls before this one; a read after a write is not identical."""
        wanted, count = _signature(name, arguments), 0
        for message in messages:
            if isinstance(message, HumanMessage):
                count = 0
            for call in message.tool_calls if isinstance(message, AIMessage) else ():
                if call["id"] == call_id:
                    return count
                if _signature(call["name"], call["args"]) == wanted:
                    count += 1
                elif self._toolbelt.writes(call["name"]):
                    count = 0
        return count


def sentences(*parts: str) -> str:
    """Join texts as sentences."""
    whole = [part[:1].upper() + part[1:] if i else part for i, part in enumerate(parts) if part]
    return " ".join(part if part.endswith((".", "?", "!")) else f"{part}." for part in whole)


def _signature(name: str, arguments: Any) -> str:
    return f"{name} {json.dumps(arguments, sort_keys=True, default=str)}"


def _masked(node: Any) -> Any:
    if isinstance(node, str):
        return mask_text(node)
    if isinstance(node, dict):
        return {str(key): _masked(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_masked(item) for item in node]
    return node
