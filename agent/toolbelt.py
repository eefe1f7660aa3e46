"""The catalog as the model's tools: what is offered, how a call is made, what the model sees.

A tool does nothing but `catalog.call`. At most 12 tools and 3,000 tokens of schema are offered at
a time; the toolsets that do not fit are opened with `open_toolset`, or by calling one of theirs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.tools import ToolRuntime
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import BaseTool, StructuredTool

from agent import taint
from agent.budget import fence, fit
from agent.plan_book import Proposals
from agent.tool_schema import about_clusters, schema_of, schema_tokens
from cloudpilot.clusters import Clusters
from cloudpilot.context import Actor, CallContext, Door, Origin
from cloudpilot.errors import ApprovalRequired, InvalidArguments, NotFound
from cloudpilot.operation import Catalog, Operation
from cloudpilot.settings import AgentSettings

MOST_TOOLS = 12
MOST_SCHEMA_TOKENS = 3_000
OPEN_TOOLSET = "open_toolset"
_LONGEST_DESCRIPTION = 400
_FIRST = ("pods", "overview")
"""Toolsets that most questions begin with."""


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
        for operation in sorted(self._operations.values(), key=_usefulness):
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
        rest = sorted(self._toolsets, key=self._has_writes)
        order = dict.fromkeys((*self._used(messages), *self._named(messages), *rest))
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
        return (*operation.params.model_fields, *about_clusters(operation))

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
            arguments: As the model sent them; `cluster` selects another than the user's, and
                `clusters` several at once.
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
        if "cluster" in about_clusters(operation):
            cluster = _one_cluster(arguments) or cluster
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
        about = None if arguments.get("clusters") else cluster  # a table of many names them itself
        return fence(data, operation=name, cluster=about), {
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

        return StructuredTool.from_function(
            coroutine=run,
            name=operation.name,
            description=_description(operation),
            args_schema=schema_of(operation),
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

    def _has_writes(self, toolset: str) -> bool:
        return any(self.writes(tool.name) for tool in self._toolsets[toolset])

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


def _usefulness(operation: Operation) -> tuple[bool, str, str]:
    """Order operations by how soon their toolset is wanted: the usual ones first."""
    return operation.toolset not in _FIRST, operation.toolset, operation.name


def _one_cluster(arguments: dict[str, Any]) -> str | None:
    """Take the one cluster out of a call's arguments.

    Raises:
        InvalidArguments: several were named as well.
    """
    cluster = str(arguments.pop("cluster", None) or "") or None
    if cluster and arguments.get("clusters"):
        raise InvalidArguments.field("cluster", "cannot be given together with clusters")
    return cluster


def _description(operation: Operation) -> str:
    text = " ".join(operation.doc.split())
    if len(text) > _LONGEST_DESCRIPTION:
        text = text[:_LONGEST_DESCRIPTION].rpartition(". ")[0] + "."
    return text or operation.name


def _words(text: str) -> set[str]:
    return {word.removesuffix("s") for word in re.findall(r"[a-z]{4,}", text.lower())}
