"""From a proposed write over the human's decision to the answer, on the simulated cluster."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.assistant import Assistant, Started
from cloudpilot.clusters import Cluster
from cloudpilot.errors import NotFound, ThreadBusy
from cloudpilot.kube.kinds import KINDS
from cloudpilot.plans.plan import PlanState
from cloudpilot.runtime import Runtime
from tests.agent.conversation import (
    ME,
    assistant_with,
    only,
    read,
    read_thread,
    script,
    types,
    wait_for,
)
from tests.agent.test_faults import told
from tests.fakes.chat_model import Reply, ToolUse

GATEWAY = KINDS["Gateway"]


def create(name: str, call_id: str | None = None) -> ToolUse:
    """Return the call that proposes a Gateway."""
    arguments: dict[str, Any] = {
        "namespace": "default",
        "name": name,
        "servers": [
            {
                "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                "hosts": [f"{name}.example.com"],
            }
        ],
    }
    return ToolUse("create_gateway", arguments, call_id or f"call_{name}")


async def propose(assistant: Assistant) -> tuple[Started, list[Any], list[dict[str, Any]]]:
    """Ask for the change; return the run's events and the plans."""
    started = await assistant.start("create it", actor=ME)
    events = await read(assistant, started)
    return started, events, [data["plan"] for data in only(events, "approval_required")]


async def exists(cluster: Cluster, name: str) -> bool:
    """Say whether the Gateway is in the cluster."""
    try:
        await cluster.client.get(GATEWAY, name, "default")
    except NotFound:
        return False
    return True


async def test_an_approved_plan_is_written_and_told(runtime: Runtime, cluster: Cluster) -> None:
    model = script(Reply("I propose it.", [create("web")]), Reply("It is created."))
    async with assistant_with(runtime, model) as assistant:
        started, events, (plan,) = await propose(assistant)
        assert types(events) == [
            "run_started",
            "token",
            "tool_started",
            "approval_required",
            "usage",
            "run_finished",
        ]
        assert only(events, "run_finished") == [{"status": "waiting"}]
        assert (plan["state"], plan["thread_id"], plan["run_id"]) == (
            "proposed",
            started.thread_id,
            started.run_id,
        )
        assert not await exists(cluster, "web")
        done = await runtime.plans.approve(plan["id"], plan["digest"], ME)
        assert done.state is PlanState.SUCCEEDED
        rest = await read_thread(assistant, started.thread_id, after=events[-1].seq)
        assert await read_thread(assistant, started.thread_id) == [*events, *rest]
        messages = await assistant.messages(started.thread_id, ME)
    assert await exists(cluster, "web")
    assert types(rest) == [
        "run_started",
        "tool_finished",
        "token",
        "answer",
        "usage",
        "run_finished",
    ]
    assert only(rest, "run_started")[0]["plan_id"] == plan["id"]
    assert only(rest, "run_finished") == [{"status": "finished"}]
    assert '"written":true' in told(model)[0]
    assert [(m.role, m.text, m.plan_ids) for m in messages] == [
        ("user", "create it", []),
        ("assistant", "", [plan["id"]]),
        ("assistant", "It is created.", []),
    ]


async def test_a_denied_plan_writes_nothing_and_says_so(runtime: Runtime, cluster: Cluster) -> None:
    model = script(Reply(calls=[create("web")]), Reply("Nothing was written."))
    async with assistant_with(runtime, model) as assistant:
        started, events, (plan,) = await propose(assistant)
        await runtime.plans.deny(plan["id"], ME, "not today")
        rest = await read_thread(assistant, started.thread_id, after=events[-1].seq)
    assert only(rest, "answer")[0]["text"] == "Nothing was written."
    assert '"written":false' in told(model)[0]
    assert "not today" in told(model)[0]
    assert not await exists(cluster, "web")


async def test_a_stale_plan_writes_nothing_and_says_so(runtime: Runtime, cluster: Cluster) -> None:
    model = script(Reply(calls=[create("web")]), Reply("It changed meanwhile."))
    async with assistant_with(runtime, model) as assistant:
        started, events, (plan,) = await propose(assistant)
        other = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"selector": {"a": "b"}, "servers": create("web").arguments["servers"]},  # type: ignore[index]
        }
        await cluster.client.create(GATEWAY, other, "default")
        await runtime.plans.approve(plan["id"], plan["digest"], ME)
        await read_thread(assistant, started.thread_id, after=events[-1].seq)
    assert '"state":"stale","written":false' in told(model)[0]


async def test_two_parallel_plans_are_decided_one_by_one(
    runtime: Runtime, cluster: Cluster
) -> None:
    model = script(Reply(calls=[create("one"), create("two")]), Reply("Both are decided."))
    async with assistant_with(runtime, model) as assistant:
        started, events, plans = await propose(assistant)
        plans.sort(key=lambda plan: str(plan["name"]))
        await runtime.plans.approve(plans[0]["id"], plans[0]["digest"], ME)
        first = await read(
            assistant, Started(started.thread_id, f"resume-{plans[0]['id']}"), events[-1].seq
        )
        assert only(first, "run_finished") == [{"status": "waiting"}]
        assert [data["name"] for data in only(first, "tool_finished")] == ["create_gateway"]
        assert only(first, "approval_required") == []
        with pytest.raises(ThreadBusy) as busy:
            await assistant.start("and now?", actor=ME, thread_id=started.thread_id)
        assert busy.value.details["plan_ids"] == [plans[1]["id"]]
        await runtime.plans.deny(plans[1]["id"], ME)
        rest = await read_thread(assistant, started.thread_id, after=first[-1].seq)
        runs = await assistant.runs(started.thread_id, ME)
    assert only(rest, "answer")[0]["text"] == "Both are decided."
    assert ['"written":true' in text for text in told(model)] == [True, False]
    assert {run.status.value for run in runs} == {"finished"}
    assert (await exists(cluster, "one"), await exists(cluster, "two")) == (True, False)


async def test_two_plans_decided_at_once_both_come_back(runtime: Runtime, cluster: Cluster) -> None:
    model = script(Reply(calls=[create("one"), create("two")]), Reply("Both are decided."))
    async with assistant_with(runtime, model) as assistant:
        started, _, plans = await propose(assistant)
        await asyncio.gather(
            *(runtime.plans.approve(plan["id"], plan["digest"], ME) for plan in plans)
        )
        whole = await read_thread(assistant, started.thread_id)
    assert [event.seq for event in whole] == list(range(1, len(whole) + 1))
    assert [data["text"] for data in only(whole, "answer")] == ["Both are decided."]
    assert len(only(whole, "tool_finished")) == 2
    assert all('"written":true' in text for text in told(model))


async def test_many_decisions_told_are_one_run(runtime: Runtime, cluster: Cluster) -> None:
    model = script(Reply(calls=[create("web")]), Reply("It is created."))
    async with assistant_with(runtime, model) as assistant:
        started, _, (plan,) = await propose(assistant)
        done = await runtime.plans.approve(plan["id"], plan["digest"], ME)
        await asyncio.gather(*(assistant.plan_decided(done) for _ in range(20)))
        whole = await read_thread(assistant, started.thread_id)
        runs = await assistant.runs(started.thread_id, ME)
        await assistant.plan_decided(done)
    assert len(runs) == 2
    assert len(only(whole, "answer")) == 1


async def test_a_message_while_a_plan_waits_names_the_plan(
    runtime: Runtime, cluster: Cluster
) -> None:
    async with assistant_with(runtime, script(Reply(calls=[create("web")]))) as assistant:
        started, _, (plan,) = await propose(assistant)
        with pytest.raises(ThreadBusy, match=plan["id"]):
            await assistant.start("hello?", actor=ME, thread_id=started.thread_id)


async def test_after_cancel_a_waiting_thread_takes_a_message_and_a_late_approval_is_no_run(
    runtime: Runtime, cluster: Cluster
) -> None:
    model = script(Reply(calls=[create("web")]), Reply("Fine."), Reply("Yes."))
    async with assistant_with(runtime, model) as assistant:
        started, events, (plan,) = await propose(assistant)
        await assistant.cancel(started.run_id, ME)
        whole = await read_thread(assistant, started.thread_id)
        assert only(whole[len(events) :], "run_finished") == [{"status": "cancelled"}]
        again = await assistant.start("forget it", actor=ME, thread_id=started.thread_id)
        answered = await read(assistant, again)
        assert only(answered, "answer")[0]["text"] == "Fine."
        assert '"says":"the user moved on before the plan was decided"' in told(model)[0]
        await runtime.plans.approve(plan["id"], plan["digest"], ME)
        runs = await assistant.runs(started.thread_id, ME)
    assert [run.status.value for run in runs] == ["cancelled", "finished"]


async def test_a_decision_while_nobody_listens_is_caught_up_with(
    runtime: Runtime, cluster: Cluster
) -> None:
    async with assistant_with(runtime, script(Reply(calls=[create("web")]))) as assistant:
        started, _, (plan,) = await propose(assistant)
    async with assistant_with(runtime, script(Reply("It is created."))) as assistant:
        await runtime.plans.approve(plan["id"], plan["digest"], ME)
        whole = await read_thread(assistant, started.thread_id)
    assert only(whole, "answer")[0]["text"] == "It is created."


async def test_a_decision_between_two_lives_is_caught_up_with(
    runtime: Runtime, cluster: Cluster
) -> None:
    async with assistant_with(runtime, script(Reply(calls=[create("web")]))) as assistant:
        started, _, (plan,) = await propose(assistant)
    runtime.plans._listeners.clear()  # as after a restart: the old assistant is gone
    await runtime.plans.approve(plan["id"], plan["digest"], ME)
    model = script(Reply("It is created."))
    async with assistant_with(runtime, model) as assistant:
        whole = await read_thread(assistant, started.thread_id)
    assert only(whole, "answer")[0]["text"] == "It is created."
    assert '"written":true' in told(model)[0]


async def test_a_plan_names_whose_text_was_read_before(
    runtime: Runtime, shop_cluster: Cluster
) -> None:
    model = script(
        Reply(calls=[ToolUse("list_pods", {"namespace": "shop", "failing": True})]),
        Reply(calls=[create("web")]),
    )
    async with assistant_with(runtime, model) as assistant:
        started = await assistant.start("fix it", actor=ME)
        plan = (await wait_for(assistant, started, "approval_required")).data["plan"]
    assert plan["taint"]
    assert all(name.startswith("pod shop/") for name in plan["taint"])


async def test_without_reading_anything_a_plan_is_untainted(
    runtime: Runtime, cluster: Cluster
) -> None:
    async with assistant_with(runtime, script(Reply(calls=[create("web")]))) as assistant:
        _, _, (plan,) = await propose(assistant)
    assert plan["taint"] == []
