from __future__ import annotations

import httpx

from cloudpilot.clusters import Cluster
from simulator import SimulatedCluster
from tests.api.envelopes import data_of


async def test_the_probes_need_no_token_and_name_no_cluster(
    anonymous: httpx.AsyncClient, cluster: Cluster
):
    assert data_of(await anonymous.get("/healthz"))["status"] == "ok"
    ready = await anonymous.get("/readyz")
    assert data_of(ready)["database"] == "ok"
    assert sum(data_of(ready)["clusters"].values()) == 1
    assert "demo" not in ready.text


async def test_a_dead_cluster_does_not_make_us_unready(
    anonymous: httpx.AsyncClient, cluster: Cluster, simulated: SimulatedCluster
):
    await simulated.__aexit__(None, None, None)
    try:
        assert data_of(await anonymous.get("/readyz"))["status"] == "ok"
    finally:
        await simulated.__aenter__()
