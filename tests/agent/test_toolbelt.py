"""What the model is offered, and how small it is."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from agent.plan_book import Proposals
from agent.tool_schema import schema_tokens
from agent.toolbelt import (
    MOST_SCHEMA_TOKENS,
    MOST_TOOLS,
    OPEN_TOOLSET,
    Toolbelt,
    TurnContext,
)
from cloudpilot.clusters import Cluster
from cloudpilot.context import Door
from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import ApprovalRequired
from cloudpilot.runtime import Runtime
from tests.agent.conversation import ME, ask, assistant_with, only, script
from tests.fakes.chat_model import Reply, ToolUse


@pytest.fixture
def belt(runtime: Runtime) -> Toolbelt:
    """The tools of the whole catalog."""
    proposals = Proposals(runtime.plans, ThreadStore(runtime.database))
    return Toolbelt(runtime.catalog, runtime.clusters, proposals, runtime.settings.agent)


def opened(toolset: str) -> AIMessage:
    """Return the message that opens a toolset."""
    call = {"name": OPEN_TOOLSET, "args": {"name": toolset}, "id": "1", "type": "tool_call"}
    return AIMessage("", tool_calls=[call])


def toolsets(runtime: Runtime) -> list[str]:
    """Return the names of the toolsets open to a chat."""
    return sorted({op.toolset for op in runtime.catalog if Door.CHAT in op.doors})


def names(tools: list[BaseTool]) -> set[str]:
    """Return the tools' names."""
    return {tool.name for tool in tools}


def test_tools_and_schema_stay_small_whatever_is_opened(runtime: Runtime, belt: Toolbelt) -> None:
    histories: list[list[AnyMessage]] = [[], [HumanMessage("gateways and nodes and pods")]]
    histories += [[opened(name)] for name in toolsets(runtime)]
    histories.append([opened(name) for name in toolsets(runtime)])
    for history in histories:
        offered = belt.offered(history)
        assert len(offered) <= MOST_TOOLS
        assert schema_tokens(offered) <= MOST_SCHEMA_TOKENS


def test_every_toolset_can_be_reached_whole(runtime: Runtime, belt: Toolbelt) -> None:
    for name in toolsets(runtime):
        wanted = {op.name for op in runtime.catalog if op.toolset == name}
        wanted &= {op.name for op in runtime.catalog if Door.CHAT in op.doors}
        assert wanted <= names(belt.offered([opened(name)]))


def test_a_toolset_that_the_question_names_is_offered(belt: Toolbelt) -> None:
    assert "create_gateway" in names(belt.offered([HumanMessage("please add an Istio gateway")]))


def test_what_is_for_humans_only_is_never_a_tool(runtime: Runtime, belt: Toolbelt) -> None:
    hidden = {op.name for op in runtime.catalog if Door.CHAT not in op.doors}
    assert "add_cluster" in hidden
    assert not hidden & names(belt.tools)


def test_schemas_carry_what_a_model_needs_and_no_more(belt: Toolbelt) -> None:
    tools = {tool.name: convert_to_openai_tool(tool)["function"] for tool in belt.tools}
    pods = tools["list_pods"]
    assert {"namespace", "failing", "cluster"} <= set(pods["parameters"]["properties"])
    text = json.dumps(tools)
    gateway = tools["create_gateway"]["parameters"]["properties"]["servers"]["items"]
    assert set(gateway["properties"]["port"]["properties"]) >= {"number", "name", "protocol"}
    assert "credentialName" in gateway["properties"]["tls"]["description"]
    assert "anyOf" not in json.dumps(pods)
    assert '"title"' not in text
    assert "$ref" not in text


async def test_a_tool_that_is_not_offered_can_be_called_all_the_same(
    runtime: Runtime, cluster: Cluster
) -> None:
    model = script(
        Reply(calls=[ToolUse(OPEN_TOOLSET, {"name": "nodes"}), ToolUse("list_gateways")]),
        Reply("done"),
    )
    async with assistant_with(runtime, model) as assistant:
        events = await ask(assistant, "hello")
    assert [data["status"] for data in only(events, "tool_finished")] == ["ok", "ok"]
    assert "list_gateways" in model.offered[-1]


async def test_another_cluster_can_be_named_in_a_call(runtime: Runtime, cluster: Cluster) -> None:
    model = script(
        Reply(calls=[ToolUse("list_nodes", {"cluster": "nowhere"}), ToolUse("list_nodes")]),
        Reply("done"),
    )
    async with assistant_with(runtime, model) as assistant:
        events = await ask(assistant, "hello")
    assert sorted(data["status"] for data in only(events, "tool_finished")) == ["error", "ok"]


async def test_a_call_proposes_one_plan_however_often_it_is_made(
    runtime: Runtime, cluster: Cluster, belt: Toolbelt
) -> None:
    threads = ThreadStore(runtime.database)
    await threads.create("t", "local", "title", None, None)
    context = TurnContext(ME, "t", "run", None, None)
    server = {
        "port": {"number": 80, "name": "http", "protocol": "HTTP"},
        "hosts": ["a.example.com"],
    }
    arguments = {"namespace": "default", "name": "web", "servers": [server]}
    plans = set()
    for _ in range(3):
        with pytest.raises(ApprovalRequired) as proposed:
            await belt.call("create_gateway", dict(arguments), context, "call_1")
        plans.add(proposed.value.plan.id)
    assert len(plans) == 1
