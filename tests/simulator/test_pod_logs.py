"""Pod logs of the scene shop, and a followed log."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from simulator import SimulatedCluster
from tests.simulator.client import client_of, is_ready, pods_of


@pytest.fixture
async def http(shop: SimulatedCluster) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(shop) as found:
        yield found


def log_of(sim: SimulatedCluster, namespace: str, app: str, *, ready: bool | None = True) -> str:
    """The path of the log of a pod of an app; of any pod with `ready=None`."""
    pod = next(pod for pod in pods_of(sim, namespace, app) if ready in (None, is_ready(pod)))
    return f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/log"


async def test_previous_log_shows_the_end(shop: SimulatedCluster, http: httpx.AsyncClient):
    path = log_of(shop, "shop", "cart", ready=None)  # between two crashes it is ready
    response = await http.get(path, params={"previous": "true", "tailLines": "2"})
    lines = response.text.splitlines()
    assert response.headers["content-type"].startswith("text/plain")
    assert len(lines) == 2
    assert "heap at limit" in lines[-1]


async def test_previous_log_of_a_pod_that_never_died_is_400(
    shop: SimulatedCluster, http: httpx.AsyncClient
):
    response = await http.get(log_of(shop, "shop", "catalog"), params={"previous": "true"})
    assert response.status_code == 400
    assert "previous terminated container" in response.json()["message"]


async def test_container_that_waits_has_no_log(shop: SimulatedCluster, http: httpx.AsyncClient):
    response = await http.get(log_of(shop, "shop", "storefront", ready=False))
    assert response.status_code == 400
    assert response.json()["message"].endswith(
        "is waiting to start: trying and failing to pull image"
    )


async def test_log_options_narrow_the_log(shop: SimulatedCluster, http: httpx.AsyncClient):
    path = log_of(shop, "shop", "checkout")
    recent = (await http.get(path, params={"sinceSeconds": "60"})).text.splitlines()
    assert 8 <= len(recent) <= 14
    short = (await http.get(path, params={"limitBytes": "10"})).content
    assert len(short) == 10
    none = (await http.get(path, params={"tailLines": "0"})).text
    assert none == ""
    stamped = (await http.get(path, params={"tailLines": "1", "timestamps": "true"})).text
    assert stamped[:2] == "20"
    assert "Z level=" in stamped
    since = stamped.split(" ")[0]
    later = (await http.get(path, params={"sinceTime": since})).text.splitlines()
    assert 1 <= len(later) <= 3


async def test_container_is_chosen_by_name(shop: SimulatedCluster, http: httpx.AsyncClient):
    path = "/api/v1/namespaces/payments/pods/ledger-0/log"
    unclear = await http.get(path)
    assert unclear.json()["message"] == (
        "a container name must be specified for pod ledger-0, choose one of: [ledger log-shipper]"
    )
    params = {"container": "log-shipper", "tailLines": "1"}
    assert (await http.get(path, params=params)).status_code == 200


async def test_followed_log_brings_new_lines_and_ends_with_the_pod(own_shop: SimulatedCluster):
    path = log_of(own_shop, "shop", "checkout")
    params = {"follow": "true", "tailLines": "1"}
    async with client_of(own_shop) as http, http.stream("GET", path, params=params) as response:
        lines = response.aiter_lines()
        await asyncio.wait_for(anext(lines), 5)
        own_shop.advance(30)
        new = [await asyncio.wait_for(anext(lines), 5) for _ in range(5)]
        own_shop.store.delete("pods", path.split("/")[-2], "shop")
        async with asyncio.timeout(5):
            rest = [line async for line in lines]
    assert all("level=" in line for line in new)
    assert len(rest) <= 2


async def test_metrics_show_who_uses_what(shop: SimulatedCluster, http: httpx.AsyncClient):
    root = "/apis/metrics.k8s.io/v1beta1"
    nodes = (await http.get(f"{root}/nodes")).json()
    assert [node["metadata"]["name"] for node in nodes["items"]] == [
        "control-1",
        "worker-1",
        "worker-2",
    ]
    pods = (await http.get(f"{root}/namespaces/payments/pods")).json()
    ledger = next(pod for pod in pods["items"] if pod["metadata"]["name"] == "ledger-0")
    assert [c["name"] for c in ledger["containers"]] == ["ledger", "log-shipper"]
    usage = ledger["containers"][0]["usage"]
    assert usage["cpu"].endswith("n")
    assert 80 * 1024 < int(usage["memory"].removesuffix("Ki")) < 110 * 1024
    single = await http.get(f"{root}/namespaces/payments/pods/ledger-0")
    assert json.loads(single.text)["kind"] == "PodMetrics"
