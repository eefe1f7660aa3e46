"""Custom kinds appear and vanish with their CustomResourceDefinition, without a restart.

The mirrors here ask again on their own only after an hour, so that only the definition can tell.
"""

from __future__ import annotations

from typing import Any

from cloudpilot.cache.reflector import SyncStatus
from simulator import SimulatedCluster
from tests.cloudpilot.cache.mirrored import mirrored, names, status
from tests.cloudpilot.waiting import eventually

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
GATEWAYS = "gateways.networking.istio.io"
HOUR = 3600


def gateway(name: str, version: str = "v1") -> dict[str, Any]:
    return {
        "apiVersion": f"networking.istio.io/{version}",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": []},
    }


def take_away(simulated: SimulatedCluster) -> dict[str, Any]:
    """Delete the definition of Istio's Gateway; return what creates it again."""
    definition = simulated.store.get(DEFINITIONS, GATEWAYS)
    assert definition is not None
    simulated.store.delete(DEFINITIONS, GATEWAYS)
    metadata = {"name": GATEWAYS}
    return {k: v for k, v in definition.items() if k != "status"} | {"metadata": metadata}


def serve_only(version: str, definition: dict[str, Any]) -> None:
    for item in definition["spec"]["versions"]:
        item["served"] = item["name"] == version


async def test_kind_vanishes_with_its_definition_and_appears_with_it(
    simulated: SimulatedCluster,
) -> None:
    simulated.store.create(gateway("old"))
    async with mirrored(simulated.url, simulated.token, poll_seconds=HOUR) as mirror:
        assert await mirror.wait_settled(10)
        assert names(mirror, "Gateway") == {"old"}
        definition = take_away(simulated)
        await eventually(lambda: status(mirror, "Gateway") is SyncStatus.NOT_INSTALLED)
        assert names(mirror, "Gateway") == set()
        assert not mirror.states()["Gateway"].known
        assert status(mirror, "VirtualService") is SyncStatus.LIVE, "its siblings stay"

        simulated.store.create(definition)
        await eventually(lambda: status(mirror, "Gateway") is SyncStatus.LIVE)
        simulated.store.create(gateway("new"))
        await eventually(lambda: names(mirror, "Gateway") == {"new"})


async def test_kind_that_was_never_there_appears_with_its_definition(
    simulated: SimulatedCluster,
) -> None:
    definition = take_away(simulated)
    async with mirrored(simulated.url, simulated.token, poll_seconds=HOUR) as mirror:
        assert await mirror.wait_settled(10)
        assert status(mirror, "Gateway") is SyncStatus.NOT_INSTALLED
        simulated.store.create(definition)
        await eventually(lambda: status(mirror, "Gateway") is SyncStatus.LIVE)


async def test_kind_goes_on_in_another_version_when_its_own_is_taken_away(
    simulated: SimulatedCluster,
) -> None:
    async with mirrored(simulated.url, simulated.token, poll_seconds=HOUR) as mirror:
        assert await mirror.wait_settled(10)
        simulated.store.edit(DEFINITIONS, GATEWAYS, "", lambda crd: serve_only("v1beta1", crd))

        def watched_in_v1beta1() -> bool:
            return any(
                request.path.startswith("/apis/networking.istio.io/v1beta1/gateways")
                for request in simulated.requests
            )

        await eventually(watched_in_v1beta1)
        simulated.store.create(gateway("moved", "v1beta1"))
        await eventually(lambda: names(mirror, "Gateway") == {"moved"})
        assert status(mirror, "Gateway") is SyncStatus.LIVE


async def test_where_definitions_may_not_be_read_the_timer_finds_the_kind(
    simulated: SimulatedCluster,
) -> None:
    simulated.faults.deny(DEFINITIONS)
    definition = take_away(simulated)
    async with mirrored(simulated.url, simulated.token, poll_seconds=0.2) as mirror:
        assert await mirror.wait_settled(10)
        assert status(mirror, "Gateway") is SyncStatus.NOT_INSTALLED
        simulated.store.create(definition)
        await eventually(lambda: status(mirror, "Gateway") is SyncStatus.LIVE)
