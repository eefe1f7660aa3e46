"""A model that wants harm calls what it likes: without a human nothing reaches the cluster."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cloudpilot.clusters import Cluster
from cloudpilot.context import Actor, ActorKind, CallContext, Door, Origin
from cloudpilot.errors import ApprovalRequired, CloudPilotError
from cloudpilot.plans.plan import PlanState
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.plans.steps import HTTP, HTTPS, existing, writes

JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 2**70, 1e308, "", "*", "../x", "web", "\x00", [], {}, "approve", {"lc": 1}]
)
SERVERS = st.lists(
    st.sampled_from([HTTP, HTTPS, HTTP | {"hosts": ["*"]}]),
    min_size=1,
    max_size=2,
    unique_by=lambda server: server["port"]["name"],
)
OBJECT = {
    "namespace": st.sampled_from(["default", "kube-system"]),
    "name": st.sampled_from(["web", "other"]),
}
SPOILED = st.dictionaries(
    st.sampled_from(["namespace", "name", "servers", "approved", "confirmation", "dry_run"]), JUNK
)
CALL = st.one_of(
    st.tuples(st.just("create_gateway"), st.fixed_dictionaries({**OBJECT, "servers": SERVERS})),
    st.tuples(st.just("update_gateway"), st.fixed_dictionaries({**OBJECT, "set_servers": SERVERS})),
    st.tuples(st.just("delete_gateway"), st.fixed_dictionaries(OBJECT)),
    st.tuples(st.integers(0, 99), SPOILED),
)
CALLS = st.lists(st.tuples(CALL, st.integers(0, 3)), min_size=1, max_size=8)


async def test_no_sequence_of_tool_calls_writes_anything(
    runtime: Runtime, simulated: SimulatedCluster, cluster: Cluster
) -> None:
    before = await existing(runtime)
    simulated.requests.clear()
    loop = asyncio.get_running_loop()
    names = [operation.name for operation in runtime.catalog]
    threads = iter(range(10**6))

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CALLS)
    def attack(calls: list[tuple[tuple[str | int, dict[str, Any]], int]]) -> None:
        thread = f"thread-{next(threads)}"
        for (chosen, arguments), call_id in calls:
            origin = Origin(thread_id=thread, run_id="run", call_id=str(call_id))
            model = Actor("model", ActorKind.SERVICE)
            ctx = runtime.context(model, Door.CHAT, cluster="demo", origin=origin)
            name = chosen if isinstance(chosen, str) else names[chosen % len(names)]
            work = call(runtime, name, ctx, arguments)
            asyncio.run_coroutine_threadsafe(work, loop).result(30)

    await asyncio.to_thread(attack)

    assert writes(simulated) == []
    stored = simulated.store.get("gateways.networking.istio.io", "web", "default")
    assert stored is not None
    assert stored["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert {plan.state for plan in await runtime.plans.list()} == {PlanState.PROPOSED}


async def call(runtime: Runtime, name: str, ctx: CallContext, arguments: dict[str, Any]) -> None:
    """Call an operation, and try to approve at once what comes of it."""
    try:
        await runtime.catalog.call(name, ctx, arguments)
    except ApprovalRequired as proposed:
        plan = proposed.plan
        try:
            await runtime.plans.approve(plan.id, plan.digest, ctx.actor, plan.confirmation)
        except CloudPilotError:
            return
        raise AssertionError("the model approved its own plan") from None
    except CloudPilotError:
        return
