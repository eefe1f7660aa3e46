"""The server around the scene: start, stop, many at once."""

import asyncio
import time

import httpx
import pytest

from simulator import SimulatedCluster
from tests.simulator.client import client_of


async def test_it_stops_at_once_with_watches_open():
    async with SimulatedCluster("empty") as sim, client_of(sim) as client:
        streams = [
            client.stream("GET", path, params={"watch": "1"})
            for path in ("/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces")
        ]
        responses = [await stream.__aenter__() for stream in streams]
        lines = responses[1].aiter_lines()
        await asyncio.wait_for(anext(lines), 5)
        began = time.monotonic()
        await sim.stop()
        assert time.monotonic() - began < 5
        assert sim.open_watches == 0
        for stream in streams:
            await stream.__aexit__(None, None, None)


async def test_clusters_live_side_by_side():
    async with SimulatedCluster("empty") as one, SimulatedCluster("empty") as two:
        assert one.url != two.url
        headers = {"Authorization": f"Bearer {one.token}"}
        async with httpx.AsyncClient(headers=headers) as client:
            assert (await client.get(f"{one.url}/api/v1/nodes")).status_code == 200
            assert (await client.get(f"{two.url}/api/v1/nodes")).status_code == 401


async def test_taken_port_is_an_error():
    async with SimulatedCluster("empty") as sim:
        port = int(sim.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            await SimulatedCluster("empty", port=port).__aenter__()


async def test_token_can_be_given():
    async with SimulatedCluster("empty", token="known") as sim, client_of(sim) as client:
        assert sim.token == "known"
        assert (await client.get("/api/v1/nodes")).status_code == 200


async def test_internal_failure_is_a_status(empty: SimulatedCluster, client: httpx.AsyncClient):
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "odd"}, "spec": []}
    response = await client.post("/api/v1/namespaces/default/pods", json=body)
    assert response.status_code >= 400
    assert response.json()["kind"] == "Status"
