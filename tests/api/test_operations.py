"""The catalog over REST: every operation has a route, an exact schema and an example that works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.operations import route_path
from cloudpilot.clusters import Cluster
from cloudpilot.context import Door
from cloudpilot.operation import Effect, Operation
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.api.envelopes import data_of, error_of, fields_of
from tools import toolsets

PODS = "/api/v1/clusters/demo/pods"
GATEWAYS = "/api/v1/clusters/demo/namespaces/shop/gateways"
GATEWAY = {
    "name": "new",
    "servers": [
        {
            "port": {"number": 8080, "name": "http", "protocol": "HTTP"},
            "hosts": ["new.shop.example.com"],
        }
    ],
}
OFFERED = [op for toolset in toolsets() for op in toolset.operations if Door.REST in op.doors]


def request_of(operation: Operation, **more: Any) -> tuple[str, str, dict[str, Any]]:
    """Build method, URL and the httpx arguments of an operation's own example."""
    values = {**operation.example, **more}
    path = route_path(operation).replace("{cluster}", "demo")
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", str(values.pop(name)))
    where = "params" if operation.method in ("GET", "DELETE") else "json"
    arguments = {where: values}
    if where == "params":
        # As JSON writes them: true, not True.
        arguments[where] = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }
    return operation.method, path, arguments


def test_operations_have_routes_with_their_own_schemas_and_examples(
    app: FastAPI, subtests: pytest.Subtests
):
    schema = app.openapi()
    for operation in OFFERED:
        with subtests.test(operation=operation.name):
            check_described(operation, schema)


def check_described(operation: Operation, schema: dict[str, Any]) -> None:
    described = schema["paths"][route_path(operation)][operation.method.lower()]
    assert described["operationId"] == operation.name
    assert described["description"].splitlines()[0] == operation.summary
    assert described["security"] == [{"token": []}]
    status = "202" if operation.proposes else "200"
    answer = described["responses"][status]["content"]["application/json"]["schema"]
    envelope = schema["components"]["schemas"][answer["$ref"].rpartition("/")[2]]
    assert envelope["properties"]["data"] == {
        "$ref": f"#/components/schemas/{operation.result.__name__}"
    }
    for code in ("401", "404", "422", "500", "503"):
        wrong = described["responses"][code]["content"]["application/json"]["schema"]
        assert wrong == {"$ref": "#/components/schemas/ErrorEnvelope"}
    assert set(examples_of(described, schema)) >= set(operation.example)


def examples_of(described: dict[str, Any], schema: dict[str, Any]) -> Iterator[str]:
    for parameter in described.get("parameters", ()):
        if "examples" in parameter:
            yield parameter["name"]
    if body := described.get("requestBody"):
        name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        yield from schema["components"]["schemas"][name]["examples"][0]


def test_the_document_has_no_dangling_references_and_no_double_ids(app: FastAPI):
    schema = app.openapi()
    text = json.dumps(schema)
    names = set(schema["components"]["schemas"])
    used = {part.partition('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= names
    ids = [
        operation["operationId"] for path in schema["paths"].values() for operation in path.values()
    ]
    assert len(ids) == len(set(ids))
    assert not [name for name in names if "__" in name or "[" in name or name.endswith("_")]
    assert not [path for path in schema["paths"] if path.endswith("/")]


def test_only_the_probes_are_described_without_a_token(app: FastAPI):
    open_paths = {
        path
        for path, methods in app.openapi()["paths"].items()
        for operation in methods.values()
        if not operation.get("security")
    }
    assert open_paths == {"/healthz", "/readyz"}


async def test_every_example_of_a_read_works_on_the_demo(
    client: httpx.AsyncClient, shop_cluster: Cluster, runtime: Runtime
):
    pods = data_of(await client.get(PODS, params={"namespace": "shop"}))["items"]
    nodes = data_of(await client.get("/api/v1/clusters/demo/nodes"))["items"]
    found = {"get_pod": pods[0] | {}, "get_node": nodes[0]}
    for operation in OFFERED:
        if operation.effect is not Effect.READ:
            continue
        named = found.get(operation.name, {})
        more = {name: named[name] for name in operation.path_params if name in named}
        method, path, arguments = request_of(operation, **more)
        data_of(await client.request(method, path, **arguments))


@pytest.mark.parametrize(
    "operation", [op for op in OFFERED if op.proposes], ids=lambda operation: operation.name
)
async def test_a_write_is_answered_with_its_plan_and_nothing_is_written(
    client: httpx.AsyncClient,
    shop_cluster: Cluster,
    shop: SimulatedCluster,
    operation: Operation,
):
    before = data_of(await client.get("/api/v1/clusters/demo/gateways"))["items"]
    method, path, arguments = request_of(operation)
    response = await client.request(method, path, **arguments)
    plan = data_of(response, 202)
    assert plan["state"] == "proposed"
    assert plan["operation"] == operation.name
    assert len(plan["digest"]) == 64
    assert response.headers["location"] == f"/api/v1/plans/{plan['id']}"
    assert data_of(await client.get(response.headers["location"]))["digest"] == plan["digest"]
    assert data_of(await client.get("/api/v1/clusters/demo/gateways"))["items"] == before
    written = [r for r in shop.requests if r.method != "GET" and r.query.get("dryRun") != "All"]
    assert written == []


async def test_unknown_and_repeated_query_parameters_are_refused_by_name(
    client: httpx.AsyncClient, cluster: Cluster
):
    assert fields_of(await client.get(PODS, params={"namespce": "shop"})) == {"namespce"}
    assert fields_of(await client.get(f"{PODS}?limit=1&limit=2")) == {"limit"}
    assert fields_of(await client.post(f"{GATEWAYS}?dryRun=All", json=GATEWAY)) == {"dryRun"}


async def test_a_bad_number_is_a_422(client: httpx.AsyncClient, cluster: Cluster):
    for limit in ("-1", "0", "501", "1e9", "0x10", "", "NaN", "1.5", "9" * 5000):
        assert fields_of(await client.get(PODS, params={"limit": limit})) == {"limit"}, limit


BAD_NAMES = [
    "%2e%2e",
    "%00",
    "a%00b",
    "a%0ab",
    "a%3Fx=1",
    "a%23b",
    "a;b",
    "A",
    "-a",
    "a_b",
    "a" * 64,
    "a" * 10_240,
    "%F0%9F%98%80",
    "%D7%A9%D7%9C%D7%95%D7%9D",
    "%E2%80%AEa",
    "%ff%fe",
    "%D0%B0",
    "a%20b",
    "'%20OR%201=1--",
]


async def test_a_bad_name_in_the_path_reaches_no_cluster(
    client: httpx.AsyncClient, cluster: Cluster, simulated: SimulatedCluster
):
    asked = len(simulated.requests)
    for name in BAD_NAMES:
        for path in (
            f"/api/v1/clusters/{name}/overview",
            f"/api/v1/clusters/{name}",
            f"/api/v1/clusters/demo/namespaces/{name}",
            f"/api/v1/clusters/demo/namespaces/{name}/gateways/web",
        ):
            # Sent as it stands: httpx would quote it once more.
            url = httpx.URL("http://localhost").copy_with(raw_path=path.encode())
            response = await client.get(url)
            assert response.status_code in (404, 422), path
            error_of(response, response.status_code)
    assert [r.path for r in simulated.requests[asked:] if r.path.endswith("/gateways/web")] == []


async def test_an_encoded_slash_reaches_no_cluster(client: httpx.AsyncClient, cluster: Cluster):
    for name in ("..%2f", "a%2Fb", "%2fetc%2fpasswd"):
        response = await client.get(f"/api/v1/clusters/demo/namespaces/{name}")
        error_of(response, response.status_code)
        assert response.status_code in (404, 422)


async def test_an_unknown_cluster_is_a_404_that_names_the_known_ones(
    client: httpx.AsyncClient, cluster: Cluster
):
    error = error_of(await client.get("/api/v1/clusters/demos/overview"), 404)
    assert "demo" in error["hint"]


async def test_fields_that_claim_an_approval_are_unknown_fields(
    client: httpx.AsyncClient, cluster: Cluster
):
    forged = {**GATEWAY, "approved": True, "role": "admin", "digest": "0" * 64}
    assert fields_of(await client.post(GATEWAYS, json=forged)) == {"approved", "role", "digest"}


async def test_a_range_header_is_ignored(client: httpx.AsyncClient, cluster: Cluster):
    ranges = "bytes=" + ",".join(f"{n}-{n}" for n in range(10_000))
    data_of(await client.get(PODS, headers={"Range": ranges}))
