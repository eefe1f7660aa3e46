"""The commands that need no model: any operation of the catalog, plans, the configuration."""

from __future__ import annotations

import argparse
import json
from typing import Any

from cloudpilot.context import LOCAL_HUMAN, Door
from cloudpilot.errors import ApprovalRequired, InvalidArguments
from cloudpilot.plans.plan import PlanState
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings
from integrations.terminal import output


def show_config(settings: Settings) -> int:
    """Print the effective configuration without its secrets."""
    import yaml

    output.line(yaml.safe_dump(settings.redacted(), sort_keys=False).rstrip())
    return output.EXIT_OK


async def run_operation(runtime: Runtime, arguments: argparse.Namespace) -> int:
    """Call an operation and print its result; of a write, print the plan."""
    if arguments.name is None:
        return _list_operations(runtime)
    context = runtime.context(LOCAL_HUMAN, Door.CLI, cluster=arguments.cluster)
    try:
        result = await runtime.catalog.call(arguments.name, context, _parse(arguments.args))
    except ApprovalRequired as required:
        if arguments.output == "json":
            output.show_json(required.plan)
        else:
            output.show_plan(required.plan)
            output.show_how_to_decide(required.plan)
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
