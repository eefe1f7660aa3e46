"""Many clusters over REST: three simulated ones behind one route."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api import operations
from api.operations import across_path
from cloudpilot.clusters import Cluster
from cloudpilot.context import Door
from cloudpilot.errors import CloudPilotError
from cloudpilot.monitor.shapes import Shape
from cloudpilot.operation import Operation, Toolset
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings
from simulator import SimulatedCluster
from tests.api.envelopes import data_of, error_of, fields_of
from tests.fleets import NAMES, add_pods, attach_dead, connected, lost
from tools import toolsets

PODS = "/api/v1/pods"
SPANNING = [
    operation
    for toolset in toolsets()
    for operation in toolset.operations
    if operation.params_across and Door.REST in operation.doors
]


@pytest.fixture
async def fleet(runtime: Runtime) -> AsyncIterator[dict[str, SimulatedCluster]]:
    """Three clusters with one, two and three pods of their own."""
    async with connected(runtime) as fleet:
        for count, name in enumerate(NAMES, 1):
            await add_pods(runtime, name, fleet[name], count)
        yield fleet


def clusters_of(answer: dict[str, Any]) -> list[str]:
    return [share["cluster"] for share in answer["clusters"]]


@pytest.mark.parametrize("operation", SPANNING, ids=lambda operation: operation.name)
def test_a_read_has_a_second_route_with_a_typed_table(app: FastAPI, operation: Operation) -> None:
    schema = app.openapi()
    components = schema["components"]["schemas"]
    described = schema["paths"][across_path(operation)][operation.method.lower()]
    assert described["operationId"] == f"{operation.name}_across_clusters"
    answer = described["responses"]["200"]["content"]["application/json"]["schema"]
    envelope = components[answer["$ref"].rpartition("/")[2]]
    merged = components[envelope["properties"]["data"]["$ref"].rpartition("/")[2]]
    row = components[merged["properties"]["items"]["items"]["$ref"].rpartition("/")[2]]
    assert row["properties"]["cluster"]["type"] == "string"
    assert len(row["properties"]) > 1
    parameters = {parameter["name"]: parameter for parameter in described["parameters"]}
    clusters = parameters["clusters"]
    assert (clusters["in"], clusters["required"]) == ("query", False)
    assert clusters["schema"]["default"] == ["*"]
    assert clusters["schema"]["type"] == "array"
    assert "cluster" not in parameters


async def test_every_example_works_on_all_clusters(
    client: httpx.AsyncClient, shop_cluster: Cluster, subtests: pytest.Subtests
) -> None:
    for operation in SPANNING:
        path, values = across_path(operation), dict(operation.example)
        for name in operation.path_params:
            path = path.replace(f"{{{name}}}", str(values.pop(name)))
        query = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }
        with subtests.test(operation.name):
            answer = data_of(await client.get(path, params=query))
            assert clusters_of(answer) == ["demo"]
            assert answer["errors"] == []
            assert {row["cluster"] for row in answer["items"]} <= {"demo"}


async def test_every_cluster_is_asked_unless_some_are_named(
    client: httpx.AsyncClient, fleet: dict[str, SimulatedCluster]
) -> None:
    everything = data_of(await client.get(PODS, params={"namespace": "default"}))
    assert clusters_of(everything) == list(NAMES)
    assert [(row["cluster"], row["name"]) for row in everything["items"]] == [
        ("east", "app-0"),
        ("north", "app-0"),
        ("north", "app-1"),
        ("west", "app-0"),
        ("west", "app-1"),
        ("west", "app-2"),
    ]
    for query in ("clusters=*", "clusters=%2A,east"):
        assert clusters_of(data_of(await client.get(f"{PODS}?{query}"))) == list(NAMES)
    for query in ("clusters=west,east", "clusters=west&clusters=east"):
        assert clusters_of(data_of(await client.get(f"{PODS}?{query}"))) == ["east", "west"]


async def test_wrong_clusters_are_refused(
    client: httpx.AsyncClient, fleet: dict[str, SimulatedCluster]
) -> None:
    for query in ("clusters=", "clusters=A", "clusters=a,,b", "clusters=..%2f"):
        fields = fields_of(await client.get(f"{PODS}?{query}"))
        assert {field.partition(".")[0] for field in fields} == {"clusters"}
    assert fields_of(await client.get(f"{PODS}?limit=1&limit=2")) == {"limit"}
    assert fields_of(await client.get("/api/v1/clusters/east/pods?clusters=*")) == {"clusters"}


async def test_pages_go_over_cluster_borders(
    client: httpx.AsyncClient, fleet: dict[str, SimulatedCluster]
) -> None:
    page: dict[str, Any] = {"namespace": "default", "limit": 2}
    first = data_of(await client.get(PODS, params=page))
    assert (first["total"], first["shown"], first["truncated"]) == (6, 2, True)
    second = data_of(await client.get(PODS, params={**page, "after": first["next"]}))
    assert [(row["cluster"], row["name"]) for row in second["items"]] == [
        ("north", "app-1"),
        ("west", "app-0"),
    ]


async def test_a_dead_cluster_is_part_of_a_good_answer(
    client: httpx.AsyncClient, runtime: Runtime, fleet: dict[str, SimulatedCluster]
) -> None:
    await fleet["north"].stop()
    await lost(runtime, "north")
    answer = data_of(await client.get("/api/v1/overview"))
    assert [row["cluster"] for row in answer["items"]] == ["east", "west"]
    [error] = answer["errors"]
    assert (error["cluster"], error["type"]) == ("north", "ClusterUnavailable")
    listed = data_of(await client.get("/api/v1/clusters"))["items"]
    assert {item["name"]: item["state"] for item in listed} == {
        "east": "synced",
        "north": "unreachable",
        "west": "synced",
    }


async def test_if_none_answers_it_is_an_error_with_all_reasons(
    client: httpx.AsyncClient, runtime: Runtime
) -> None:
    for name in ("a", "b"):
        attach_dead(runtime, name)
    for name in ("a", "b"):
        await lost(runtime, name)
    error = error_of(await client.get(PODS), 503)
    assert [item["cluster"] for item in error["details"]["errors"]] == ["a", "b"]
    error_of(await client.get(PODS, params={"clusters": "nowhere"}), 404)


async def test_two_routes_of_one_path_stop_the_start(app: FastAPI, settings: Settings) -> None:
    doubled = Toolset("doubled")

    @doubled.operation("GET /threads/{name}")
    async def get_thread_of_cluster(ctx: object, name: str) -> Shape:
        """Hide the thread of this name."""
        raise CloudPilotError(name)

    async with Runtime.open(settings, [doubled]) as runtime:
        with pytest.raises(ValueError, match="GET /api/v1/threads/{} is taken"):
            operations.add_routes(app, runtime)
