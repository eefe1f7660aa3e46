"""What Prometheus is told, compared with what the mirrors and the requests were."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as families
from prometheus_client.samples import Sample

from cloudpilot.clusters import Cluster
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster
from tests.api.envelopes import data_of, error_of
from tests.cloudpilot.waiting import eventually
from tests.fleets import attach_dead, lost


async def scrape(client: httpx.AsyncClient) -> list[Sample]:
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return [sample for family in families(response.text) for sample in family.samples]


def values(samples: list[Sample], name: str, **labels: str) -> Iterator[float]:
    for sample in samples:
        if sample.name == name and labels.items() <= sample.labels.items():
            yield sample.value


def value(samples: list[Sample], name: str, **labels: str) -> float:
    [found] = values(samples, name, **labels)
    return found


async def test_metrics_need_the_token(
    anonymous: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    error_of(await anonymous.get("/metrics"), 401)
    assert await scrape(client)


async def test_a_cluster_is_told_as_its_mirror_is(
    client: httpx.AsyncClient, shop_cluster: Cluster
) -> None:
    cache = shop_cluster.cache
    samples = await scrape(client)
    for kind in ("Pod", "Node", "Deployment", "Namespace"):
        informer = cache[kind]
        where = {"cluster": "demo", "kind": kind}
        assert value(samples, "cloudpilot_cluster_objects", **where) == len(informer)
        assert value(samples, "cloudpilot_informer_drifts_total", **where) == 0
        opened = sum(
            value(samples, f"cloudpilot_informer_{what}_total", **where)
            for what in ("lists", "watches")
        )
        assert opened >= 1
    assert sum(values(samples, "cloudpilot_cluster_kinds", cluster="demo")) == len(cache.states())
    states = {
        sample.labels["state"]: sample.value
        for sample in samples
        if sample.name == "cloudpilot_cluster_connection_state"
    }
    assert states == {"connecting": 0, "synced": 1, "stale": 0, "unreachable": 0}
    assert value(samples, "cloudpilot_cluster_contact_age_seconds", cluster="demo") >= 0
    assert value(samples, "cloudpilot_apiserver_requests_waiting", cluster="demo") >= 0
    asked = sum(values(samples, "cloudpilot_apiserver_requests_total", cluster="demo", code="2xx"))
    assert asked >= 1


async def test_changes_of_a_cluster_are_counted(
    client: httpx.AsyncClient, cluster: Cluster, simulated: SimulatedCluster
) -> None:
    where = {"cluster": "demo", "kind": "Namespace"}
    before = await scrape(client)
    metadata = {"name": "more"}
    simulated.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    await eventually(lambda: cluster.cache["Namespace"].get("", "more"))
    after = await scrape(client)
    for name in ("cloudpilot_informer_events_total", "cloudpilot_cluster_objects"):
        assert value(after, name, **where) > value(before, name, **where)


async def test_a_dead_cluster_is_unreachable_and_the_others_are_not(
    client: httpx.AsyncClient, runtime: Runtime, cluster: Cluster
) -> None:
    attach_dead(runtime, "dead")
    await lost(runtime, "dead")
    samples = await scrape(client)
    name = "cloudpilot_cluster_connection_state"
    assert value(samples, name, cluster="dead", state="unreachable") == 1
    assert value(samples, name, cluster="demo", state="synced") == 1
    failed = values(samples, "cloudpilot_apiserver_requests_total", cluster="dead", code="error")
    assert sum(failed) >= 1


async def test_requests_are_counted_by_operation_and_class_of_status(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, cluster: Cluster
) -> None:
    for _ in range(3):
        data_of(await client.get("/api/v1/clusters/demo/overview"))
    await client.get("/api/v1/clusters/other/overview")
    await client.get("/nothing/here")
    await anonymous.get("/api/v1/clusters")
    samples = await scrape(client)
    requests = "cloudpilot_http_requests_total"
    assert value(samples, requests, operation="get_overview", code="2xx") == 3
    assert value(samples, requests, operation="get_overview", code="4xx") == 1
    assert value(samples, requests, operation="none", code="4xx") == 2
    duration = "cloudpilot_http_request_duration_seconds"
    assert value(samples, f"{duration}_count", operation="get_overview") == 4
    assert value(samples, f"{duration}_bucket", operation="get_overview", le="+Inf") == 4


async def test_a_chat_and_its_stream_are_told_while_they_last(
    client: httpx.AsyncClient, cluster: Cluster
) -> None:
    response = await client.post("/api/v1/chat", json={"message": "how is the cluster?"})
    assert response.status_code == 200
    samples = await scrape(client)
    assert value(samples, "cloudpilot_http_event_streams") == 0
    assert value(samples, "cloudpilot_chat_runs") >= 0
    assert value(samples, "cloudpilot_http_requests_total", operation="start_chat", code="2xx") == 1
    timed = values(
        samples, "cloudpilot_http_request_duration_seconds_count", operation="start_chat"
    )
    assert list(timed) == []


async def test_the_event_loop_is_measured_all_the_time(client: httpx.AsyncClient) -> None:
    lag = "cloudpilot_event_loop_lag_seconds_count"
    before = value(await scrape(client), lag)

    async def grown() -> bool:
        return value(await scrape(client), lag) > before

    async with asyncio.timeout(15):
        while not await grown():  # noqa: ASYNC110 - only a scrape tells
            await asyncio.sleep(0.05)


async def test_every_family_is_well_formed_for_openmetrics_too(
    client: httpx.AsyncClient, shop_cluster: Cluster
) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    response = await client.get("/metrics", headers=accept)
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    named = {family.name: family for family in openmetrics(response.text)}  # type: ignore[no-untyped-call]
    ours = [family for name, family in named.items() if name.startswith("cloudpilot_")]
    assert len(ours) > 15
    assert all(family.documentation.endswith(".") for family in ours)


async def test_no_secret_is_among_the_labels(
    client: httpx.AsyncClient, shop_cluster: Cluster, shop: SimulatedCluster
) -> None:
    text = (await client.get("/metrics")).text
    assert shop.token not in text
    assert shop.url not in text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_metrics_are_read_only(client: httpx.AsyncClient, method: str) -> None:
    body: dict[str, Any] = {} if method == "DELETE" else {"json": {}}
    error_of(await client.request(method, "/metrics", **body), 405)
