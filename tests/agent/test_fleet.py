"""Questions about many clusters, put by a model as calls and by the model without a model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.budget import unfence
from agent.offline_changes import since
from agent.offline_question import Question
from agent.offline_rules import next_step
from agent.plan_book import Proposals
from agent.tool_schema import about_clusters
from agent.toolbelt import Toolbelt, TurnContext
from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import InvalidArguments
from cloudpilot.operation import Effect, Scope
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.agent.conversation import ME, ask, assistant_with, only
from tests.cloudpilot.waiting import eventually
from tests.fleets import EMPTY, add_pods, connected, lost

Fleet = dict[str, SimulatedCluster]


@pytest.fixture
async def fleet(runtime: Runtime) -> AsyncIterator[Fleet]:
    """Three clusters; `north` is the demo's with its failing pods, and `west` is stopped."""
    async with connected(runtime, {**EMPTY, "north": "shop"}) as fleet:
        await add_pods(runtime, "east", fleet["east"], 1)
        await fleet["west"].stop()
        await lost(runtime, "west")
        yield fleet


async def called(runtime: Runtime, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    proposals = Proposals(runtime.plans, ThreadStore(runtime.database))
    belt = Toolbelt(runtime.catalog, runtime.clusters, proposals, runtime.settings.agent)
    text, _ = await belt.call(name, arguments, TurnContext(ME, "t", "run", "east", None), "call_1")
    data = unfence(text)
    assert data is not None
    return data


async def answer(runtime: Runtime, question: str) -> str:
    async with assistant_with(runtime, None) as assistant:
        events = await ask(assistant, question)
    assert only(events, "run_finished") == [{"status": "finished"}]
    return str(only(events, "answer")[0]["text"])


def test_every_read_of_a_cluster_offers_several_and_nothing_else_does(runtime: Runtime) -> None:
    for operation in runtime.catalog:
        offered = set(about_clusters(operation))
        if operation.scope is not Scope.CLUSTER:
            assert offered == set()
        elif operation.effect is Effect.READ:
            assert offered == {"cluster", "clusters"}
        else:
            assert offered == {"cluster"}


async def test_a_model_asks_several_clusters_in_one_call(runtime: Runtime, fleet: Fleet) -> None:
    data = await called(runtime, "list_pods", {"clusters": ["*"], "node": "worker-1"})
    assert {row["cluster"] for row in data["items"]} == {"north"}
    problems = {problem["cluster"]: problem["type"] for problem in data["errors"]}
    assert problems == {"east": "NotFound", "west": "ClusterUnavailable"}
    one = await called(runtime, "list_pods", {"clusters": [], "namespace": "default"})
    assert one["cluster"] == "east"


async def test_one_cluster_and_several_contradict_each_other(
    runtime: Runtime, fleet: Fleet
) -> None:
    with pytest.raises(InvalidArguments, match="together with clusters"):
        await called(runtime, "list_pods", {"cluster": "east", "clusters": ["north"]})


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "which pods are failing in all clusters?",
            ["3 pods are failing in 2 clusters", "- north: shop/cart-"],
        ),
        (
            "how many pods are there across all clusters?",
            ["There are 33 pods in 2 clusters; 3 failing"],
        ),
        (
            "are all nodes ready in every cluster?",
            ["4 of 4 nodes ready in 2 clusters", "- north: worker-1: Ready"],
        ),
        (
            "how is every cluster?",
            ["- east looks healthy: 0 of ", "- north needs attention: 3 of 32"],
        ),
        (
            "list the gateways of all clusters",
            ["2 Istio Gateways in 2 clusters", "- north: istio-system/public-gateway"],
        ),
        ("哪些集群有故障的 pod？", ["2 个集群中有 3 个 Pod 出现故障"]),
    ],
)
async def test_questions_about_all_clusters_need_no_model(
    runtime: Runtime, fleet: Fleet, question: str, expected: list[str]
) -> None:
    text = await answer(runtime, question)
    for part in (*expected, "west (west is unreachable since"):
        assert part in text


async def test_why_a_pod_fails_somewhere_is_read_in_its_own_cluster(
    runtime: Runtime, fleet: Fleet
) -> None:
    text = await answer(runtime, "why is cart failing in all clusters?")
    assert "Pod shop/cart-" in text
    assert "of cluster north is CrashLoopBackOff" in text


async def test_what_changed_is_told_of_all_clusters(runtime: Runtime, fleet: Fleet) -> None:
    fleet["north"].store.edit("deployments.apps", "storefront", "shop", _scale)
    journal = runtime.clusters.get("north").journal
    await eventually(lambda: journal.stats.entries)
    text = await answer(runtime, "what changed in all clusters in the last hour?")
    assert "in 2 clusters in the last 1h, newest first:" in text
    assert "- north: " in text
    assert "Deployment shop/storefront: replicas" in text
    assert "Did not answer: west" in text


def _scale(deployment: dict[str, Any]) -> None:
    deployment["spec"]["replicas"] += 1


async def test_clusters_are_listed_with_the_reason_of_a_lost_one(
    runtime: Runtime, fleet: Fleet
) -> None:
    text = await answer(runtime, "which clusters are there?")
    assert "connected to 3 clusters" in text
    assert "- east: synced (simulated)" in text
    assert "- west: unreachable (simulated): " in text


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("what changed in the last hour?", "1h"),
        ("what changed in the last 30 minutes", "30m"),
        ("what has changed in the past 2 days", "2d"),
        ("what changed today", "1d"),
        ("what changed last week", "7d"),
        ("what changed?", "1h"),
        ("最近2小时有什么变化", "2h"),
    ],
)
def test_a_question_on_changes_looks_them_up(text: str, period: str) -> None:
    assert since(text) == period
    step = next_step(Question(text, "Clusters: demo.", ()))
    assert not isinstance(step, str)
    [made] = step
    assert (made.name, made.arguments) == ("list_changes", {"since": period})


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (
            "what changed in all clusters in the last hour?",
            {"since": "1h", "clusters": ["*"]},
        ),
        (
            "what changed on deployment cart in shop since yesterday?",
            {"since": "2d", "object": "deployment/cart", "namespace": "shop"},
        ),
        ("who changed the gateway web in shop?", {"object": "gateway/web", "namespace": "shop"}),
        ("any recent changes in namespace shop?", {"namespace": "shop"}),
    ],
)
def test_changes_are_asked_of_what_the_question_names(text: str, arguments: dict[str, Any]) -> None:
    step = next_step(Question(text, "Clusters: demo.", ()))
    assert not isinstance(step, str)
    [made] = step
    assert made.arguments == {"since": "1h", **arguments}
