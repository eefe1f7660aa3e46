"""The catalog as the model's tools: what is offered, how a call is made, what the model sees.

A tool does nothing but `catalog.call`. At most 12 tools and 3,000 tokens of schema are offered at
a time; the toolsets that do not fit are opened with `open_toolset`, or by calling one of theirs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json_schema import dereference_refs

from agent import taint
from agent.budget import CHARS_PER_TOKEN, fence, fit
from agent.plan_book import Proposals
from cloudpilot.clusters import Clusters
from cloudpilot.context import Actor, CallContext, Door, Origin
from cloudpilot.errors import ApprovalRequired, NotFound
from cloudpilot.operation import Catalog, Operation, Scope
from cloudpilot.settings import AgentSettings

MOST_TOOLS = 12
MOST_SCHEMA_TOKENS = 3_000
OPEN_TOOLSET = "open_toolset"
_LONGEST_DESCRIPTION = 400


@dataclass(frozen=True, slots=True)
class TurnContext:
    """Who asks in this turn, where, and what they are looking at. Never stored."""

    actor: Actor
    thread_id: str
    run_id: str
    cluster: str | None
    namespace: str | None


class Toolbelt:
    """Projects the operations that are open to a chat onto LangChain tools."""

    def __init__(
        self, catalog: Catalog, clusters: Clusters, proposals: Proposals, settings: AgentSettings
    ) -> None:
        self._catalog = catalog
        self._clusters = clusters
        self._proposals = proposals
        self._settings = settings
        self._operations: dict[str, Operation] = {
            operation.name: operation for operation in catalog if Door.CHAT in operation.doors
        }
        self._toolsets: dict[str, list[BaseTool]] = {}
        for operation in self._operations.values():
            self._toolsets.setdefault(operation.toolset, []).append(self._tool(operation))
        self._opener = self._open_toolset_tool()

    @property
    def tools(self) -> list[BaseTool]:
        """Every tool that can be executed, offered at the moment or not."""
        every = [tool for tools in self._toolsets.values() for tool in tools]
        return [*every, self._opener]

    def offered(self, messages: Sequence[AnyMessage]) -> list[BaseTool]:
        """Return the tools to show to the model now, within the limits.

        First the toolsets that were used last, then those the question names, then the rest.
        """
        every = [tool for tools in self._toolsets.values() for tool in tools]
        if len(every) <= MOST_TOOLS and schema_tokens(every) <= MOST_SCHEMA_TOKENS:
            return every
        order = dict.fromkeys((*self._used(messages), *self._named(messages), *self._toolsets))
        chosen = [self._opener]
        for name in order:
            more = [*chosen, *self._toolsets[name]]
            if len(more) <= MOST_TOOLS and schema_tokens(more) <= MOST_SCHEMA_TOKENS:
                chosen = more
        return sorted(chosen, key=lambda tool: tool.name)

    def writes(self, name: str) -> bool:
        """Say whether the operation of this name proposes a change."""
        return name in self._operations and self._operations[name].proposes

    def arguments_of(self, name: str) -> tuple[str, ...]:
        """Return the names of a tool's arguments."""
        if name == OPEN_TOOLSET:
            return ("name",)
        operation = self._operations.get(name)
        if operation is None:
            return ()
        own = tuple(operation.params.model_fields)
        return (*own, "cluster") if _takes_cluster(operation) else own

    async def call(
        self,
        name: str,
        arguments: dict[str, Any],
        context: TurnContext,
        call_id: str,
        read: tuple[str, ...] = (),
    ) -> tuple[str, dict[str, Any]]:
        """Call an operation for the model.

        Args:
            name: The operation.
            arguments: As the model sent them; `cluster` selects another than the user's.
            context: Of the turn.
            call_id: The tool call's id; the same call proposes the same plan.
            read: Objects whose free text the model has read before.

        Returns:
            What the model sees, and what is kept beside it.

        Raises:
            ApprovalRequired: it would write.
            CloudPilotError: it failed.
        """
        operation = self._operations[name]
        if operation.proposes:
            plan = await self._proposals.of_call(context.thread_id, call_id)
            if plan is not None:  # the cluster may have changed since: never work it out anew
                raise ApprovalRequired(plan)
        arguments = {key: value for key, value in arguments.items() if value is not None}
        cluster = context.cluster
        if _takes_cluster(operation):
            cluster = str(arguments.pop("cluster", None) or cluster or "") or None
        result = await self._catalog.call(
            name,
            CallContext(
                actor=context.actor,
                door=Door.CHAT,
                clusters=self._clusters,
                cluster_name=cluster,
                namespace=context.namespace,
                deadline_seconds=self._settings.tool_seconds,
                origin=Origin(context.thread_id, context.run_id, call_id, read),
            ),
            arguments,
        )
        data = result.model_dump(mode="json", exclude_none=True)
        data = fit(data, self._settings.result_tokens, self.arguments_of(name))
        return fence(data, operation=name, cluster=cluster), {
            "taint": taint.objects_with_text(name, data)
        }

    def _tool(self, operation: Operation) -> BaseTool:
        async def run(
            runtime: ToolRuntime[TurnContext, Any], **arguments: Any
        ) -> tuple[str, dict[str, Any]]:
            read = taint.read_so_far(runtime.state["messages"])
            return await self.call(
                operation.name, arguments, runtime.context, runtime.tool_call_id or "", read
            )

        schema = compact_schema(dereference_refs(operation.params.model_json_schema()))
        schema.setdefault("properties", {})
        if _takes_cluster(operation):
            schema["properties"]["cluster"] = {"type": "string", "description": "default: selected"}
        return StructuredTool.from_function(
            coroutine=run,
            name=operation.name,
            description=_description(operation),
            args_schema=schema,
            infer_schema=False,
            response_format="content_and_artifact",
        )

    def _open_toolset_tool(self) -> BaseTool:
        toolsets = {name: [tool.name for tool in tools] for name, tools in self._toolsets.items()}

        async def open_toolset(name: str) -> tuple[str, dict[str, Any]]:
            if name not in toolsets:
                known = ", ".join(toolsets)
                raise NotFound(f"there is no toolset {name!r}", hint=f"there are: {known}")
            return f"offered from now on: {', '.join(toolsets[name])}", {}

        listed = "; ".join(f"{name}: {', '.join(tools)}" for name, tools in toolsets.items())
        return StructuredTool.from_function(
            coroutine=open_toolset,
            name=OPEN_TOOLSET,
            description=f"Offer the tools of a toolset. {listed}",
            args_schema={
                "type": "object",
                "properties": {"name": {"type": "string", "enum": list(toolsets)}},
                "required": ["name"],
            },
            infer_schema=False,
            response_format="content_and_artifact",
        )

    def _used(self, messages: Iterable[AnyMessage]) -> list[str]:
        used: list[str] = []
        for message in messages:
            for call in message.tool_calls if isinstance(message, AIMessage) else ():
                if call["name"] == OPEN_TOOLSET:
                    used.append(str(call["args"].get("name")))
                elif call["name"] in self._operations:
                    used.append(self._operations[call["name"]].toolset)
        return [name for name in reversed(used) if name in self._toolsets]

    def _named(self, messages: Iterable[AnyMessage]) -> list[str]:
        asked = [str(message.text) for message in messages if isinstance(message, HumanMessage)]
        words = _words(asked[-1]) if asked else set()
        return [name for name in self._toolsets if _words(name) & words]


def schema_tokens(tools: Sequence[BaseTool]) -> int:
    """Return about how many tokens it costs to describe these tools to a model."""
    described = json.dumps([convert_to_openai_tool(tool) for tool in tools], ensure_ascii=False)
    return len(described) // CHARS_PER_TOKEN


def compact_schema(node: Any) -> Any:
    """Drop what costs tokens and tells a model nothing: titles, nulls, empty defaults.

    The arguments are validated by the operation, not by this schema.
    """
    if isinstance(node, list):
        return [compact_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    variants = node.get("anyOf")
    if isinstance(variants, list):
        real = [variant for variant in variants if variant != {"type": "null"}]
        if len(real) == 1:
            node = {**{k: v for k, v in node.items() if k != "anyOf"}, **real[0]}
    return {
        key: {name: compact_schema(value) for name, value in node[key].items()}
        if key == "properties"
        else compact_schema(node[key])
        for key in node
        if key not in ("title", "$defs", "additionalProperties", "examples")
        and not (key == "default" and node[key] in (None, [], {}, False))
    }


def _takes_cluster(operation: Operation) -> bool:
    return operation.scope is Scope.CLUSTER and "cluster" not in operation.params.model_fields


def _description(operation: Operation) -> str:
    text = " ".join(operation.doc.split())
    if len(text) > _LONGEST_DESCRIPTION:
        text = text[:_LONGEST_DESCRIPTION].rpartition(". ")[0] + "."
    return text or operation.name


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall(r"[a-z]{4,}", text.lower())}
