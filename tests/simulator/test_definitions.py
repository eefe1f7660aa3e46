"""Every kind that CloudPilot knows is served, and definitions can be taken away under it."""

import httpx
import pytest

from cloudpilot.kube.kinds import KINDS, Kind
from simulator import SimulatedCluster
from tests.simulator.client import until

GATEWAYS = "gateways.networking.istio.io"


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
async def test_every_known_kind_is_served(client: httpx.AsyncClient, kind: Kind):
    root = "/api" if not kind.group else f"/apis/{kind.group}"
    statuses = {
        version: (await client.get(f"{root}/{version}/{kind.plural}")).status_code
        for version in kind.versions
    }
    assert 200 in statuses.values(), statuses
    version = next(version for version, status in statuses.items() if status == 200)
    listed = (await client.get(f"{root}/{version}")).json()["resources"]
    entry = next(resource for resource in listed if resource["name"] == kind.plural)
    assert (entry["kind"], entry["namespaced"]) == (kind.kind, kind.namespaced)


async def test_definition_deleted_from_the_store_ends_its_api(
    empty: SimulatedCluster, client: httpx.AsyncClient
):
    path = "/apis/networking.istio.io/v1/gateways"
    async with client.stream("GET", path, params={"watch": "1"}) as response:
        await until(lambda: empty.open_watches == 1)
        empty.store.delete("customresourcedefinitions", GATEWAYS)
        assert [line async for line in response.aiter_lines()] == []
    assert (await client.get(path)).status_code == 404
    assert (await client.get("/apis/networking.istio.io/v1/virtualservices")).status_code == 200
    assert (await client.get("/apis/gateway.networking.k8s.io/v1/gateways")).status_code == 200
