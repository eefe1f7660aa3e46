"""Which version of a kind is used: the preferred one that is served, asked once a group."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from cloudpilot.errors import NotFound
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import KINDS, Kind
from tests.cloudpilot.kube.asking import client_of
from tests.fakes.scripted_server import Answer, Asked, Reply, ScriptedServer

ISTIO = "networking.istio.io"
ISTIO_KINDS = [kind for kind in KINDS.values() if kind.group == ISTIO]

Served = Mapping[str, list[str]]
"""The plurals of each served version of Istio's group."""


def serving(served: Served) -> Answer:
    def answer(asked: Asked) -> Reply:
        if asked.path == f"/apis/{ISTIO}" and served:
            return Reply({"versions": [{"version": version} for version in served]})
        version = asked.path.removeprefix(f"/apis/{ISTIO}/")
        if version in served:
            return Reply({"resources": [{"name": plural} for plural in served[version]]})
        return Reply({"kind": "Status", "code": 404}, 404)

    return answer


async def versions(client: KubeClient) -> list[str]:
    paths = await asyncio.gather(*(client.path(kind) for kind in ISTIO_KINDS))
    return [path.split("/")[3] for path in paths]


async def test_kinds_of_one_group_share_what_the_server_said() -> None:
    plurals = [kind.plural for kind in ISTIO_KINDS]
    async with ScriptedServer(serving({"v1": plurals, "v1beta1": plurals})) as server:
        client = client_of(server.url)
        assert await versions(client) == ["v1"] * len(ISTIO_KINDS)
        assert await versions(client) == ["v1"] * len(ISTIO_KINDS)
        assert [asked.path for asked in server.requests] == [f"/apis/{ISTIO}", f"/apis/{ISTIO}/v1"]
        await client.close()


async def test_older_version_is_used_for_the_kinds_that_have_only_that() -> None:
    served = {"v1beta1": ["gateways", "sidecars"], "v1": ["sidecars"], "v9": ["gateways"]}
    async with ScriptedServer(serving(served)) as server:
        client = client_of(server.url)
        assert await client.path(KINDS["Gateway"]) == f"/apis/{ISTIO}/v1beta1/gateways"
        assert await client.path(KINDS["Sidecar"]) == f"/apis/{ISTIO}/v1/sidecars"
        with pytest.raises(NotFound, match="serviceentries"):
            await client.path(KINDS["ServiceEntry"])
        await client.close()


async def test_absence_is_asked_once_for_kinds_that_ask_together() -> None:
    async with ScriptedServer(serving({})) as server:
        client = client_of(server.url)

        async def missing(kind: Kind) -> None:
            with pytest.raises(NotFound):
                await client.path(kind)
            client.forget_version(kind)  # as whoever found nothing does

        await asyncio.gather(*map(missing, ISTIO_KINDS))
        assert len(server.requests) == 1
        await client.close()


async def test_forgotten_version_is_asked_for_again() -> None:
    served = {"v1beta1": ["gateways"]}
    async with ScriptedServer(serving(served)) as server:
        client = client_of(server.url)
        assert "/v1beta1/" in await client.path(KINDS["Gateway"])
        served["v1"] = ["gateways"]
        assert "/v1beta1/" in await client.path(KINDS["Gateway"])
        client.forget_version(KINDS["Gateway"])
        assert "/v1/" in await client.path(KINDS["Gateway"])
        await client.close()


async def test_caller_that_gives_up_takes_nobody_with_it() -> None:
    plurals = [kind.plural for kind in ISTIO_KINDS]
    async with ScriptedServer(serving({"v1": plurals})) as server:
        client = client_of(server.url)
        first = asyncio.create_task(client.path(KINDS["Gateway"]))
        second = asyncio.create_task(client.path(KINDS["Sidecar"]))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert await second == f"/apis/{ISTIO}/v1/sidecars"
        await client.close()
