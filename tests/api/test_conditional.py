"""Answers that are given again, and 304 for who holds them: quick, and never a lie."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from cloudpilot.clusters import Cluster
from simulator import SimulatedCluster
from tests.api.envelopes import data_of, error_of
from tests.cloudpilot.waiting import eventually

OVERVIEW = "/api/v1/clusters/demo/overview"
READS = [
    OVERVIEW,
    "/api/v1/clusters/demo/nodes",
    "/api/v1/clusters/demo/namespaces/shop",
    "/api/v1/clusters/demo/pods?limit=3",
    "/api/v1/pods?limit=3",
]


def cluster_is_stale(cluster: Cluster) -> bool:
    return cluster.monitor.overview().stale


async def create_namespace(cluster: Cluster, simulated: SimulatedCluster, name: str) -> None:
    """Create a namespace and wait until the mirror has it."""
    headers = {"Authorization": f"Bearer {simulated.token}"}
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    async with httpx.AsyncClient(base_url=simulated.url, headers=headers) as api:
        (await api.post("/api/v1/namespaces", json=body)).raise_for_status()
    await eventually(lambda: cluster.cache["Namespace"].get("", name) is not None)


async def counted(client: httpx.AsyncClient, headers: dict[str, str] | None = None) -> Any:
    response = await client.get(OVERVIEW, headers=headers)
    return data_of(response)["namespaces"], response.headers["etag"]


@pytest.mark.parametrize("path", READS)
async def test_who_holds_an_answer_hears_304_without_a_body(
    client: httpx.AsyncClient, shop_cluster: Cluster, path: str
):
    first = await client.get(path)
    data_of(first)
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    again = await client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert "content-type" not in again.headers
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert again.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ("{tag}", 304),
        ("{strong}", 304),
        ('"other", {tag}', 304),
        ('W/"other" , {strong},"more"', 304),
        ("*", 304),
        ('"other"', 200),
        ('W/"other"', 200),
        ("nonsense", 200),
        ("", 200),
        ('"*"', 200),
    ],
)
async def test_tags_are_compared_weakly_one_by_one(
    client: httpx.AsyncClient, shop_cluster: Cluster, given: str, status: int
):
    tag = (await client.get(OVERVIEW)).headers["etag"]
    assert tag.startswith('W/"')
    sent = given.format(tag=tag, strong=tag.removeprefix("W/"))
    response = await client.get(OVERVIEW, headers={"If-None-Match": sent})
    assert response.status_code == status


async def test_an_answer_given_again_has_an_id_of_its_own(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    for name in ("first", "second", "third"):
        response = await client.get(OVERVIEW, headers={"X-Request-ID": name})
        data_of(response)
        assert response.json()["request_id"] == name


async def test_a_change_is_seen_at_once_and_changes_the_tag(
    client: httpx.AsyncClient, cluster: Cluster, simulated: SimulatedCluster
):
    before, tag = await counted(client)
    revision = cluster.cache.revision
    await create_namespace(cluster, simulated, "fresh")
    assert cluster.cache.revision > revision
    after, changed = await counted(client, {"If-None-Match": tag})
    assert (after, changed == tag) == (before + 1, False)


async def test_a_tag_outlives_changes_that_an_answer_does_not_show(
    client: httpx.AsyncClient, cluster: Cluster, simulated: SimulatedCluster
):
    path = "/api/v1/clusters/demo/namespaces/default"
    tag = (await client.get(path)).headers["etag"]
    await create_namespace(cluster, simulated, "elsewhere")
    assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304


async def test_an_answer_names_another_time_when_it_is_made_anew(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    first = data_of(await client.get(OVERVIEW))["as_of"]
    async with asyncio.timeout(15):
        while data_of(await client.get(OVERVIEW))["as_of"] == first:  # noqa: ASYNC110 - no signal
            await asyncio.sleep(0.05)


async def test_what_is_no_answer_of_the_mirror_has_no_tag(
    client: httpx.AsyncClient, shop_cluster: Cluster
):
    for path in ("/healthz", "/api/v1/plans", "/api/v1/clusters", "/openapi.json"):
        response = await client.get(path, headers={"If-None-Match": "*"})
        assert (response.status_code, "etag" in response.headers) == (200, False), path


async def test_errors_are_never_304(client: httpx.AsyncClient, shop_cluster: Cluster):
    for path, status in (
        ("/api/v1/clusters/demo/namespaces/nowhere", 404),
        ("/api/v1/clusters/nowhere/overview", 404),
        ("/api/v1/clusters/demo/pods?limit=0", 422),
        ("/api/v1/clusters/demo/pods?colour=red", 422),
    ):
        error_of(await client.get(path, headers={"If-None-Match": "*"}), status)


async def test_nothing_is_given_without_the_token(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, shop_cluster: Cluster
):
    tag = (await client.get(OVERVIEW)).headers["etag"]
    error_of(await anonymous.get(OVERVIEW, headers={"If-None-Match": tag}), 401)
    error_of(await anonymous.get(OVERVIEW), 401)


async def test_what_goes_stale_is_not_the_same_answer(
    client: httpx.AsyncClient, shop: SimulatedCluster, shop_cluster: Cluster
):
    tag = (await client.get(OVERVIEW)).headers["etag"]
    await shop.stop()
    await eventually(lambda: cluster_is_stale(shop_cluster))
    response = await client.get(OVERVIEW, headers={"If-None-Match": tag})
    assert data_of(response)["stale"]
