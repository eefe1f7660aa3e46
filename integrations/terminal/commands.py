"""The commands: any operation of the catalog, plans, and questions (in `ask`)."""

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from cloudpilot.context import LOCAL_HUMAN, Door
from cloudpilot.errors import ApprovalRequired, InvalidArguments
from cloudpilot.plans.plan import PlanState
from cloudpilot.runtime import Runtime
from integrations.terminal import output
from integrations.terminal.arguments import program

_SETTLE_SECONDS = 10.0


async def call(given: argparse.Namespace, runtime: Runtime) -> int:
    """Run the command that was given."""
    if given.command == "plans":
        return await plans(runtime, given)
    await _settle(runtime, given.cluster)
    if given.command == "run":
        return await run_operation(runtime, given)
    # The agent takes seconds to import, and only this needs it.
    from agent.assistant import open_assistant
    from integrations.terminal.ask import ask

    # A server that uses the same database goes on with its own runs; they are not ours.
    async with open_assistant(runtime, recover=False) as assistant:
        return await ask(runtime, assistant, given)


async def _settle(runtime: Runtime, name: str | None) -> None:
    """Wait until the mirror of what is asked about is whole, or is known not to become it."""
    asked = [cluster for cluster in runtime.clusters.all() if name in (None, cluster.name)]
    await asyncio.gather(*(cluster.cache.wait_settled(_SETTLE_SECONDS) for cluster in asked))


async def run_operation(runtime: Runtime, arguments: argparse.Namespace) -> int:
    """Call an operation and print its result; of a write, print the plan."""
    if arguments.name is None:
        return _list_operations(runtime)
    context = runtime.context(LOCAL_HUMAN, Door.CLI, cluster=arguments.cluster)
    values = _parse(arguments.args)
    if arguments.clusters is not None:
        values["clusters"] = arguments.clusters.split(",")
    try:
        result = await runtime.catalog.call(arguments.name, context, values)
    except ApprovalRequired as required:
        if arguments.output == "json":
            output.show_json(required.plan)
        else:
            output.show_plan(required.plan)
            output.show_how_to_decide(required.plan, program(arguments))
        return output.EXIT_OK
    if arguments.output == "json":
        output.show_json(result)
    else:
        output.show_result(result)
    return output.EXIT_OK


async def plans(runtime: Runtime, arguments: argparse.Namespace) -> int:
    """List plans, show one, or decide one."""
    planner = runtime.plans
    match arguments.action:
        case "show":
            output.show_plan(await planner.get(arguments.plan_id))
        case "approve":
            plan = await planner.approve(
                arguments.plan_id, arguments.digest, LOCAL_HUMAN, arguments.confirm
            )
            output.show_plan(plan)
            return output.EXIT_OK if plan.state is PlanState.SUCCEEDED else output.EXIT_FAILED
        case "deny":
            output.show_plan(await planner.deny(arguments.plan_id, LOCAL_HUMAN, arguments.reason))
        case _:
            await _list_plans(runtime, arguments.state)
    return output.EXIT_OK


async def _list_plans(runtime: Runtime, state: str | None) -> None:
    try:
        wanted = PlanState(state) if state else None
    except ValueError:
        known = ", ".join(PlanState)
        raise InvalidArguments.field("--state", f"is none of {known}") from None
    found = await runtime.plans.list(state=wanted)
    rows = [
        {
            "id": plan.id,
            "state": plan.state.value,
            "risk": plan.risk.value,
            "cluster": plan.cluster,
            "created": f"{plan.created_at:%Y-%m-%d %H:%M:%S}",
            "summary": plan.summary,
        }
        for plan in found
    ]
    if rows:
        output.show_table(rows)
    else:
        output.note("there are no plans")


def _list_operations(runtime: Runtime) -> int:
    rows = [
        {"name": op.name, "effect": op.effect.value, "summary": op.summary}
        for op in runtime.catalog
        if Door.CLI in op.doors
    ]
    output.show_table(rows)
    return output.EXIT_OK


def _parse(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidArguments.field("--args", f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidArguments.field("--args", "must be a JSON object")
    return value
