from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from cloudpilot.clusters import Cluster
from cloudpilot.context import Door, Origin
from cloudpilot.errors import (
    ClusterConflict,
    ClusterForbidden,
    ClusterRejected,
    InvalidArguments,
    NotFound,
    TooManyRequests,
)
from cloudpilot.kube.kinds import KINDS
from cloudpilot.plans.canonical import digest
from cloudpilot.plans.plan import Change, PlanState, Risk
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.plans.steps import (
    HTTP,
    HTTPS,
    HUMAN,
    NEW,
    audit,
    existing,
    from_chat,
    live,
    pass_time,
    plans_of,
    propose,
    rows,
    sql,
    writes,
)

pytestmark = pytest.mark.usefixtures("cluster")


def change(**fields: Any) -> Change:
    spec = {"selector": {"istio": "ingressgateway"}, "servers": [HTTP]}
    values: dict[str, Any] = {
        "verb": "create",
        "kind": "Gateway",
        "namespace": "default",
        "name": "web",
        "body": {"spec": spec},
        "summary": "create it",
        "risk": Risk.REVERSIBLE,
    }
    return Change(**(values | fields))


async def test_a_proposal_writes_nothing_and_says_what_it_would(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    assert plan.state is PlanState.PROPOSED
    assert writes(simulated) == []
    assert await live(runtime) is None
    assert ("spec.servers[http].hosts", None, ["shop.example.com"]) in [
        (item.path, item.before, item.after) for item in plan.diff
    ]
    assert await audit(runtime, plan) == ["plan.proposed"]
    assert plan == await runtime.plans.get(plan.id)


async def test_an_update_shows_only_the_fields_it_changes(runtime: Runtime) -> None:
    await existing(runtime)
    server = HTTP | {"hosts": ["shop.example.com", "www.example.com"]}
    plan = await propose(
        runtime, "update_gateway", namespace="default", name="web", set_servers=[server]
    )
    [item] = plan.diff
    assert item.path == "spec.servers[http].hosts"
    assert item.before == ["shop.example.com"]
    assert item.after == ["shop.example.com", "www.example.com"]
    assert plan.risk is Risk.IMPACTING


async def test_what_would_change_nothing_is_refused(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    await existing(runtime)
    simulated.requests.clear()
    with pytest.raises(InvalidArguments, match="nothing would change"):
        await propose(
            runtime, "update_gateway", namespace="default", name="web", set_servers=[HTTP]
        )
    assert await runtime.plans.list() == []
    assert writes(simulated) == []


async def test_a_field_the_cluster_does_not_know_is_named(runtime: Runtime) -> None:
    body = {"spec": {"servers": [HTTP | {"hostz": ["x"]}]}}
    ctx = runtime.context(HUMAN, Door.REST)
    with pytest.raises(ClusterRejected) as refused:
        await runtime.plans.propose("create_gateway", {}, change(body=body), ctx)
    assert "hostz" in str(refused.value.details["fields"])


async def test_creating_what_exists_is_a_conflict(runtime: Runtime) -> None:
    await existing(runtime)
    with pytest.raises(ClusterConflict):
        await propose(runtime, "create_gateway", **NEW)


async def test_a_namespace_that_does_not_exist_is_not_found(runtime: Runtime) -> None:
    with pytest.raises(NotFound):
        await propose(runtime, "create_gateway", **(NEW | {"namespace": "nowhere"}))


async def test_rbac_that_forbids_the_dry_run_refuses_the_proposal(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    simulated.faults.deny("gateways.networking.istio.io", "create")
    with pytest.raises(ClusterForbidden):
        await propose(runtime, "create_gateway", **NEW)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"name": "\ud800"}, "arguments.name"),
        ({"servers": [{"number": 2**70}]}, "arguments.servers[0].number"),
        ({"name": "a\x00b"}, "arguments.name"),
    ],
)
async def test_arguments_without_one_meaning_are_refused(
    runtime: Runtime, arguments: dict[str, Any], field: str
) -> None:
    ctx = runtime.context(HUMAN, Door.REST)
    with pytest.raises(InvalidArguments) as refused:
        await runtime.plans.propose("create_gateway", arguments, change(), ctx)
    assert refused.value.details["fields"][0]["field"] == field


async def test_the_digest_covers_every_part_of_the_record(runtime: Runtime) -> None:
    await existing(runtime)
    ctx = from_chat(runtime, "call-1")
    server = HTTP | {"hosts": ["*"]}
    plan = await propose(
        runtime, "update_gateway", ctx, namespace="default", name="web", set_servers=[server]
    )
    [row] = await rows(runtime)
    assert digest(row.record) == plan.digest
    for field, value in row.record.items():
        for other in ("mutated", None, 1, [value], {"a": value}):
            if other != value:
                assert digest(row.record | {field: other}) != plan.digest, field
        without = {key: item for key, item in row.record.items() if key != field}
        assert digest(without) != plan.digest, field
    assert {"object_uid", "generation", "touched", "diff", "body", "cluster_uid"} <= set(row.record)


async def test_the_times_are_the_database_clocks(runtime: Runtime) -> None:
    before = await runtime.database.now()
    reversible = await propose(runtime, "create_gateway", **NEW)
    await existing(runtime)
    destructive = await propose(runtime, "delete_gateway", namespace="default", name="web")
    assert before <= reversible.created_at <= await runtime.database.now()
    assert reversible.expires_at - reversible.created_at == timedelta(minutes=10)
    assert destructive.expires_at - destructive.created_at == timedelta(minutes=5)


async def test_the_same_call_proposes_the_same_plan(runtime: Runtime) -> None:
    first = await propose(runtime, "create_gateway", from_chat(runtime, "call-1"), **NEW)
    again = await propose(runtime, "create_gateway", from_chat(runtime, "call-1"), **NEW)
    other = await propose(runtime, "create_gateway", from_chat(runtime, "call-2"), **NEW)
    assert first == again
    assert other.id != first.id


async def test_a_repeated_call_gets_its_plan_even_after_the_decision(runtime: Runtime) -> None:
    first = await propose(runtime, "create_gateway", from_chat(runtime, "call-1"), **NEW)
    await runtime.plans.approve(first.id, first.digest, HUMAN)
    again = await propose(runtime, "create_gateway", from_chat(runtime, "call-1"), **NEW)
    assert (again.id, again.state) == (first.id, PlanState.SUCCEEDED)


async def test_one_call_proposed_many_times_at_once_is_one_plan(runtime: Runtime) -> None:
    calls = (
        propose(runtime, "create_gateway", from_chat(runtime, "call-1"), **NEW) for _ in range(8)
    )
    plans = await asyncio.gather(*calls)
    assert len({plan.id for plan in plans}) == 1
    assert len(await runtime.plans.list()) == 1


async def test_a_call_id_used_for_two_calls_is_two_plans(runtime: Runtime) -> None:
    one = await propose(runtime, "create_gateway", from_chat(runtime, "call-1"), **NEW)
    other = NEW | {"name": "other"}
    two = await propose(runtime, "create_gateway", from_chat(runtime, "call-1"), **other)
    assert one.id != two.id


async def test_a_sixth_open_plan_of_a_thread_is_refused(runtime: Runtime) -> None:
    async def one(number: int) -> str:
        arguments = NEW | {"name": f"web-{number}"}
        try:
            plan = await propose(
                runtime, "create_gateway", from_chat(runtime, f"call-{number}"), **arguments
            )
        except TooManyRequests:
            return "refused"
        return plan.state

    outcomes = await asyncio.gather(*(one(number) for number in range(8)))
    assert sorted(outcomes) == ["proposed"] * 5 + ["refused"] * 3
    elsewhere = await propose(
        runtime, "create_gateway", from_chat(runtime, "call-9", "thread-2"), **NEW
    )
    assert elsewhere.state is PlanState.PROPOSED
    [decided, *_] = await runtime.plans.list(thread_id="thread-1")
    await runtime.plans.deny(decided.id, HUMAN)
    assert await one(9) == "proposed"


async def test_expired_plans_do_not_count_as_open(runtime: Runtime) -> None:
    for number in range(5):
        arguments = NEW | {"name": f"web-{number}"}
        await propose(runtime, "create_gateway", from_chat(runtime, f"c{number}"), **arguments)
    await sql(runtime, "UPDATE plans SET expires_at = '2020-01-01 00:00:00.000000'")
    assert await propose(runtime, "create_gateway", from_chat(runtime, "c9"), **NEW)


async def test_what_was_denied_cannot_be_proposed_again_at_once(runtime: Runtime) -> None:
    plan = await propose(runtime, "create_gateway", from_chat(runtime, "call-1"), **NEW)
    await runtime.plans.deny(plan.id, HUMAN, "not now")
    reworded = NEW | {"selector": {"istio": "ingressgateway"}}
    with pytest.raises(TooManyRequests, match="local denied exactly this change") as refused:
        await propose(runtime, "create_gateway", from_chat(runtime, "call-2"), **reworded)
    assert "again_at" in refused.value.details
    other = NEW | {"servers": [HTTP | {"hosts": ["other.example.com"]}]}
    assert await propose(runtime, "create_gateway", from_chat(runtime, "call-3"), **other)
    await pass_time(runtime, plan, 601)
    assert await propose(runtime, "create_gateway", from_chat(runtime, "call-4"), **NEW)


@pytest.mark.parametrize("namespace", ["kube-system", "istio-system", "cloudpilot"])
async def test_any_change_in_a_protected_namespace_is_destructive(
    runtime: Runtime, simulated: SimulatedCluster, namespace: str
) -> None:
    if namespace != "kube-system":
        simulated.store.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
        )
    plan = await propose(runtime, "create_gateway", **(NEW | {"namespace": namespace}))
    assert (plan.risk, plan.confirmation) == (Risk.DESTRUCTIVE, "web")


async def test_who_manages_the_object_is_said(runtime: Runtime) -> None:
    client = runtime.clusters.get("demo").client
    labels = {"app.kubernetes.io/managed-by": "Helm", "argocd.argoproj.io/instance": "shop"}
    body = {"metadata": {"name": "web", "labels": labels}, "spec": {"servers": [HTTP]}}
    await client.create(KINDS["Gateway"], body, "default")
    plan = await propose(runtime, "delete_gateway", namespace="default", name="web")
    assert [text for text in plan.warnings if "managed by" in text] == [
        "the object is managed by Argo CD, which may undo this change",
        "the object is managed by Helm, which may undo this change",
    ]


async def test_secrets_are_masked_in_the_plan_and_in_what_is_kept_for_an_undo(
    runtime: Runtime,
) -> None:
    canary = "ghp_" + "C4nary" * 6
    body = {
        "metadata": {"name": "web", "annotations": {"note": f"token: {canary}"}},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [HTTP, HTTPS]},
    }
    await runtime.clusters.get("demo").client.create(KINDS["Gateway"], body, "default")
    plan = await propose(runtime, "delete_gateway", namespace="default", name="web")
    [row] = await rows(runtime)
    assert canary not in plan.model_dump_json()
    assert canary not in str(row.previous)
    assert canary not in str(row.record)


async def test_what_the_run_has_read_stands_in_the_plan(runtime: Runtime) -> None:
    origin = Origin(thread_id="t", call_id="c", taint=("Pod shop/api-1",))
    ctx = runtime.context(HUMAN, Door.CHAT, origin=origin)
    plan = await propose(runtime, "create_gateway", ctx, **NEW)
    assert plan.taint == ["Pod shop/api-1"]
    assert (plan.thread_id, plan.door) == ("t", "chat")


async def test_a_crash_after_the_plan_is_saved_loses_nothing(
    runtime: Runtime, cluster: Cluster
) -> None:
    plan = await propose(runtime, "create_gateway", **NEW)
    assert await plans_of(runtime).get(plan.id) == plan
