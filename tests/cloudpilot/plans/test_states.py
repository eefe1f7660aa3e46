"""Any order of proposals, decisions, edits, lost answers and time: the promises hold in each.

A write needs its approval, one approval is at most one write, a decided plan stays decided, and
what the state says is what the cluster has.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cloudpilot.clusters import Cluster
from cloudpilot.errors import CloudPilotError, PlanNotApprovable
from cloudpilot.plans.diff import MARKER
from cloudpilot.plans.plan import Plan, PlanState
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.plans.steps import (
    GATEWAYS,
    HTTP,
    HUMAN,
    ROBOT,
    existing,
    from_chat,
    live,
    pass_time,
    plans_of,
    propose,
    writes,
)

DECIDED = frozenset(PlanState) - {
    PlanState.PROPOSED,
    PlanState.APPROVED,
    PlanState.EXECUTING,
    PlanState.UNKNOWN,
}
HOSTS = st.sampled_from(["a.example.com", "b.example.com", "*.example.com"])


class PlanStates(RuleBasedStateMachine):
    """One Gateway, any number of plans for it."""

    calls = 0

    def __init__(
        self, loop: asyncio.AbstractEventLoop, runtime: Runtime, simulated: SimulatedCluster
    ) -> None:
        super().__init__()
        self.loop = loop
        self.runtime = runtime
        self.simulated = simulated
        self.plans: dict[str, Plan] = {}
        self.approvals: set[str] = set()
        self.ends: dict[str, PlanState] = {}

    @initialize(there=st.booleans())
    def begin(self, there: bool) -> None:
        """Start with or without the Gateway."""
        self.simulated.faults.clear()
        self.simulated.store.delete(GATEWAYS, "web", "default")
        if there:
            self.run(existing(self.runtime))
        self.simulated.requests.clear()

    def run(self, work: Any) -> Any:
        """Do something in the event loop of the cluster; Hypothesis lives in a thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def pick(self, number: int) -> Plan:
        """Choose one of the plans: mostly of those that are open, the latest first."""
        open_plans = [plan for plan_id, plan in self.plans.items() if plan_id not in self.ends]
        plans = open_plans if open_plans and number < 8 else list(self.plans.values())
        return plans[-1 - number % len(plans)]

    @rule(verb=st.sampled_from(["update_gateway", "delete_gateway"]), hosts=HOSTS)
    def propose(self, verb: str, hosts: str) -> None:
        """The model proposes; each time in another thread."""
        PlanStates.calls += 1
        if self.simulated.store.get(GATEWAYS, "web", "default") is None:
            verb = "create_gateway"
        ctx = from_chat(self.runtime, "call", f"thread-{PlanStates.calls}")
        arguments: dict[str, Any] = {"namespace": "default", "name": "web"}
        servers = [HTTP | {"hosts": [hosts]}]
        if verb == "create_gateway":
            arguments["servers"] = servers
        if verb == "update_gateway":
            arguments["set_servers"] = servers
        try:
            plan = self.run(propose(self.runtime, verb, ctx, **arguments))
        except CloudPilotError:
            return
        self.plans[plan.id] = plan

    @precondition(lambda self: self.plans)
    @rule(number=st.integers(0, 9), lost=st.booleans(), twice=st.booleans())
    def approve(self, number: int, lost: bool, twice: bool) -> None:
        """A human approves, perhaps twice at once; the answer of the cluster may be lost.

        Before that, nobody but a human and no other digest gets the plan through.
        """
        plan = self.pick(number)
        self.run(self._refused(plan, plan.digest, ROBOT))
        self.run(self._refused(plan, "0" * 64, HUMAN))
        if lost:
            method = {"create": "POST", "update": "PATCH", "delete": "DELETE"}[plan.verb]
            self.simulated.faults.drop_response(method, "gateways/web")
        self.run(self._approve(plan, 2 if twice else 1))
        self.simulated.faults.clear()

    async def _approve(self, plan: Plan, times: int) -> None:
        answers = await asyncio.gather(
            *(
                self.runtime.plans.approve(plan.id, plan.digest, HUMAN, plan.confirmation)
                for _ in range(times)
            ),
            return_exceptions=True,
        )
        done = [answer for answer in answers if isinstance(answer, Plan)]
        refused = [answer for answer in answers if isinstance(answer, PlanNotApprovable)]
        assert len(done) + len(refused) == times
        assert len(done) <= 1
        if done:
            assert plan.id not in self.approvals
            self.approvals.add(plan.id)

    async def _refused(self, plan: Plan, digest: str, actor: Any) -> None:
        try:
            await self.runtime.plans.approve(plan.id, digest, actor, plan.confirmation)
        except CloudPilotError:
            return
        raise AssertionError("the approval passed")

    @precondition(lambda self: self.plans)
    @rule(number=st.integers(0, 9))
    def deny(self, number: int) -> None:
        """A human denies."""
        plan = self.pick(number)

        async def work() -> None:
            try:
                denied = await self.runtime.plans.deny(plan.id, HUMAN)
            except PlanNotApprovable:
                return
            assert denied.state is PlanState.DENIED
            # A denial blocks the same change for a while; here, time flies.
            await pass_time(self.runtime, plan, 700)

        self.run(work())

    @rule(hosts=HOSTS)
    def edit(self, hosts: str) -> None:
        """Somebody else changes the object."""

        def change(obj: dict[str, Any]) -> None:
            obj["spec"]["servers"] = [HTTP | {"hosts": [hosts, "edited.example.com"]}]

        self.simulated.store.edit(GATEWAYS, "web", "default", change)

    @rule()
    def delete(self) -> None:
        """Somebody else deletes the object."""
        self.simulated.store.delete(GATEWAYS, "web", "default")

    @precondition(lambda self: self.plans)
    @rule(number=st.integers(0, 9), seconds=st.sampled_from([60, 301, 601]))
    def wait(self, number: int, seconds: int) -> None:
        """Time passes, and what is due is tended."""
        self.run(pass_time(self.runtime, self.pick(number), seconds))
        self.run(self.runtime.plans.tend())

    @invariant()
    def holds(self) -> None:
        """Check every promise."""
        self.run(self._holds())

    async def _holds(self) -> None:
        other = plans_of(self.runtime)
        states = {}
        for plan_id, plan in self.plans.items():
            now = await other.get(plan_id)
            states[plan_id] = now.state
            assert now.digest == plan.digest
            if plan_id in self.ends:
                assert now.state is self.ends[plan_id], "a decided plan changed its end"
            if now.state in DECIDED:
                self.ends[plan_id] = now.state
            assert now.state not in (PlanState.APPROVED, PlanState.EXECUTING)
        assert len(writes(self.simulated)) <= len(self.approvals)
        carried_out = {
            plan_id
            for plan_id, state in states.items()
            if state in (PlanState.SUCCEEDED, PlanState.UNHEALTHY, PlanState.UNKNOWN)
        }
        assert carried_out <= self.approvals
        found = await live(self.runtime)
        marker = ((found or {}).get("metadata", {}).get("annotations") or {}).get(MARKER)
        assert marker is None or marker in carried_out


async def test_the_promises_hold_in_every_order_of_events(
    runtime: Runtime, simulated: SimulatedCluster, cluster: Cluster
) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.to_thread(
        run_state_machine_as_test,
        lambda: PlanStates(loop, runtime, simulated),  # type: ignore[arg-type] # a factory will do
        settings=settings(
            max_examples=30,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
