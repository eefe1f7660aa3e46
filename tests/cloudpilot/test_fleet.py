"""One call to many clusters: three simulated ones, of which some stop, stall or do not exist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from cloudpilot.context import CallContext
from cloudpilot.errors import (
    CloudPilotError,
    ClusterUnavailable,
    InvalidArguments,
    NotFound,
)
from cloudpilot.fleet import merged_model
from cloudpilot.monitor.shapes import Shape
from cloudpilot.operation import Catalog, Effect, Scope, Toolset
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tests.fleets import NAMES, add_pods, attach_dead, connected, lost

Fleet = dict[str, SimulatedCluster]


class Probed(Shape):
    """What the server says."""

    version: str


class Said(Shape):
    """A sentence."""

    text: str


class Number(Shape):
    """A number."""

    value: int


class Numbers(Shape):
    """The largest numbers."""

    total: int
    items: list[Number]


class Plain(Shape):
    """No list."""

    name: str


@pytest.fixture
async def fleet(runtime: Runtime) -> AsyncIterator[Fleet]:
    """Three clusters, with two, none and three pods of their own."""
    async with connected(runtime) as fleet:
        await add_pods(runtime, "east", fleet["east"], 2)
        await add_pods(runtime, "west", fleet["west"], 3)
        yield fleet


async def call(runtime: Runtime, ctx: CallContext, operation: str, /, **arguments: Any) -> Any:
    return await runtime.catalog.call(operation, ctx, arguments)


async def pods(runtime: Runtime, ctx: CallContext, *clusters: str, **arguments: Any) -> Any:
    given = {"clusters": list(clusters or "*"), "namespace": "default", **arguments}
    return await call(runtime, ctx, "list_pods", **given)


def places(answer: Any) -> list[tuple[str, str]]:
    return [(row.cluster, row.name) for row in answer.items]


def failures(answer: Any) -> dict[str, str]:
    return {problem.cluster: problem.type for problem in answer.errors}


async def test_all_clusters_answer_as_one_table(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    answer = await pods(runtime, context)
    assert places(answer) == [
        ("east", "app-0"),
        ("east", "app-1"),
        ("west", "app-0"),
        ("west", "app-1"),
        ("west", "app-2"),
    ]
    assert (answer.total, answer.shown, answer.truncated, answer.next) == (5, 5, False, None)
    assert [(share.cluster, share.total) for share in answer.clusters] == [
        ("east", 2),
        ("north", 0),
        ("west", 3),
    ]
    assert all(share.as_of and not share.stale and not share.missing for share in answer.clusters)
    assert all("failing" in share.counts for share in answer.clusters)
    assert answer.errors == []


async def test_named_clusters_answer_alone(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    answer = await pods(runtime, context, "west", "east", "west")
    assert [share.cluster for share in answer.clusters] == ["east", "west"]
    written = await call(runtime, context, "list_pods", clusters="west,north", namespace="default")
    assert [share.cluster for share in written.clusters] == ["north", "west"]


async def test_an_answer_about_one_object_is_one_row(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    overview = await call(runtime, context, "get_overview", clusters=["*"])
    assert [(row.cluster, row.nodes.total) for row in overview.items] == [
        (name, 1) for name in NAMES
    ]
    assert overview.total == 3
    third = await call(
        runtime, context, "get_pod", clusters=["*"], namespace="default", name="app-2"
    )
    assert [row.cluster for row in third.items] == ["west"]
    assert failures(third) == {"east": "NotFound", "north": "NotFound"}


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
async def test_pages_walk_through_all_clusters_once(
    runtime: Runtime, context: CallContext, fleet: Fleet, limit: int
) -> None:
    whole = places(await pods(runtime, context))
    walked: list[tuple[str, str]] = []
    after = None
    for _ in range(10):
        page = await pods(runtime, context, limit=limit, after=after)
        assert page.shown == len(page.items) <= limit
        assert page.total == 5
        assert page.truncated == (page.next is not None)
        walked += places(page)
        after = page.next
        if after is None:
            break
    assert walked == whole


async def test_a_page_goes_on_where_its_cluster_was_removed(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    assert places(await pods(runtime, context, after="gone/default/app-1")) == [
        ("west", f"app-{number}") for number in range(3)
    ]
    with pytest.raises(InvalidArguments):
        await pods(runtime, context, limit=501)


async def test_a_stopped_cluster_is_an_error_entry_and_costs_the_others_nothing(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    await fleet["east"].stop()
    await lost(runtime, "east")
    answer = await pods(runtime, context)
    assert {cluster for cluster, _ in places(answer)} == {"west"}
    assert failures(answer) == {"east": "ClusterUnavailable"}
    [problem] = answer.errors
    assert "east is unreachable since" in problem.message
    assert problem.hint
    assert answer.total == 3


async def test_a_cluster_that_does_not_answer_in_time_is_an_error_entry(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    slow = Toolset("slow")

    @slow.operation("GET /slow")
    async def probe(ctx: CallContext) -> Probed:
        """Ask the API server itself."""
        return Probed(version=await ctx.cluster.client.kube_system_uid())

    catalog = Catalog([slow], runtime.plans)
    fleet["north"].faults.delay = 5.0
    hurried = replace(context, deadline_seconds=1.0)
    answer: Any = await catalog.call("probe", hurried, {"clusters": ["*"]})
    assert [row.cluster for row in answer.items] == ["east", "west"]
    assert failures(answer) == {"north": "DeadlineExceeded"}
    assert "1 s" in answer.errors[0].message


async def test_a_kind_that_is_forbidden_somewhere_is_missing_there_only(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    fleet["west"].faults.deny("pods")
    fleet["west"].faults.close_watches()
    await eventually(lambda: not runtime.clusters.get("west").monitor.known("Pod"))
    answer = await pods(runtime, context)
    assert {cluster for cluster, _ in places(answer)} == {"east"}
    assert failures(answer) == {"west": "ClusterForbidden"}


async def test_an_unknown_name_is_an_error_entry(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    answer = await pods(runtime, context, "*", "weest")
    assert failures(answer) == {"weest": "NotFound"}
    assert answer.errors[0].hint == "did you mean west?"
    assert answer.total == 5


async def test_when_none_answers_the_first_error_is_raised_with_all_of_them(
    runtime: Runtime, context: CallContext
) -> None:
    for name in ("a", "b"):
        attach_dead(runtime, name)
    for name in ("a", "b"):
        await lost(runtime, name)
    with pytest.raises(ClusterUnavailable) as failed:
        await pods(runtime, context)
    assert "none of 2 clusters answered; a: a is unreachable" in failed.value.message
    assert [item["cluster"] for item in failed.value.details["errors"]] == ["a", "b"]
    with pytest.raises(NotFound) as missed:
        await pods(runtime, context, "nowhere")
    assert missed.value.details["errors"][0]["type"] == "NotFound"


async def test_no_cluster_at_all_is_an_empty_table(runtime: Runtime, context: CallContext) -> None:
    answer = await pods(runtime, context)
    assert (answer.total, answer.items, answer.clusters, answer.errors) == (0, [], [], [])


@pytest.mark.parametrize("clusters", [["ea st"], [""], "east,,west", [7], {"east": 1}])
async def test_wrong_names_are_refused_at_once(
    runtime: Runtime, context: CallContext, clusters: Any
) -> None:
    with pytest.raises(InvalidArguments, match="clusters"):
        await call(runtime, context, "list_pods", clusters=clusters)


async def test_empty_clusters_are_as_if_not_given(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    nothing: tuple[list[str] | None, ...] = (None, [])
    for clusters in nothing:
        one = replace(context, cluster_name="west")
        answer = await call(runtime, one, "list_pods", clusters=clusters, namespace="default")
        assert (answer.cluster, answer.total) == ("west", 3)


async def test_what_writes_or_concerns_no_cluster_takes_no_clusters(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    for operation in runtime.catalog:
        spans = operation.effect is Effect.READ and operation.scope is Scope.CLUSTER
        assert (operation.params_across is not None) == spans
        if not spans:
            with pytest.raises(InvalidArguments) as refused:
                operation.parse({**operation.example, "clusters": ["*"]})
            fields = [item["field"] for item in refused.value.details["fields"]]
            assert fields == ["clusters"]


async def test_rows_are_masked_like_any_answer(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    said = Toolset("said")

    @said.operation("GET /said")
    async def say(ctx: CallContext) -> Said:
        """Say something secret."""
        return Said(text="token=hunter22")

    answer: Any = await Catalog([said], runtime.plans).call("say", context, {"clusters": ["*"]})
    assert [row.text for row in answer.items] == ["token=[masked]"] * 3


async def test_a_list_without_pages_is_cut_and_says_so(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    top = Toolset("top")

    @top.operation("GET /top")
    async def list_top(ctx: CallContext, limit: int = 3) -> Numbers:
        """List the largest."""
        return Numbers(total=9, items=[Number(value=n) for n in range(limit)])

    catalog = Catalog([top], runtime.plans)
    answer: Any = await catalog.call("list_top", context, {"clusters": ["*"], "limit": 4})
    assert [(row.cluster, row.value) for row in answer.items] == [("east", n) for n in range(4)]
    assert (answer.total, answer.shown, answer.truncated, answer.next) == (27, 4, True, None)


async def test_a_fault_of_ours_is_not_hidden_among_the_errors(
    runtime: Runtime, context: CallContext, fleet: Fleet
) -> None:
    broken = Toolset("broken")

    @broken.operation("GET /broken")
    async def stumble(ctx: CallContext) -> Shape:
        """Stumble."""
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        await Catalog([broken], runtime.plans).call("stumble", context, {"clusters": ["*"]})
    assert not isinstance(raised.value, CloudPilotError)


def test_every_merged_model_has_a_cluster_column_first() -> None:
    made = merged_model(Plain)
    assert made is merged_model(Plain)
    assert made.__name__ == "PlainAcrossClusters"
    row = made.model_json_schema()["$defs"]["PlainOfCluster"]
    assert list(row["properties"]) == ["cluster", "name"]
