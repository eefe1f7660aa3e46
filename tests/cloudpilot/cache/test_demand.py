"""Kinds start when they are read, stop when nobody reads them, and every change is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cloudpilot.cache.connection import ConnectionState
from cloudpilot.cache.delta import Delta
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.kinds import ALWAYS
from simulator import SimulatedCluster
from tests.cloudpilot.cache.mirrored import mirrored, names, namespace, status
from tests.cloudpilot.waiting import eventually
from tests.fakes.chaos_proxy import BLACK_HOLE, CALM, ChaosProxy


def account(name: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def asked_for(simulated: SimulatedCluster, plural: str) -> int:
    return sum(f"/{plural}" in request.path for request in simulated.requests)


async def test_only_what_is_always_mirrored_starts_by_itself(simulated: SimulatedCluster) -> None:
    async with mirrored(simulated.url, simulated.token) as mirror:
        assert await mirror.wait_settled(10)
        assert set(mirror) == set(mirror.states()) == set(ALWAYS)
        assert mirror.peek("ServiceAccount") is None
        assert not mirror.started("ServiceAccount")
        assert asked_for(simulated, "serviceaccounts") == 0


async def test_reading_a_kind_starts_it_once(simulated: SimulatedCluster) -> None:
    simulated.store.create(account("robot"))
    async with mirrored(simulated.url, simulated.token) as mirror:
        first = mirror["ServiceAccount"]
        assert mirror["ServiceAccount"] is first, "also while it is still empty"
        assert mirror.peek("ServiceAccount") is first
        assert await mirror.wait_settled(10, ["ServiceAccount", "Role"])
        assert "robot" in names(mirror, "ServiceAccount")
        assert status(mirror, "Role") is SyncStatus.LIVE


async def test_handlers_hear_of_kinds_that_start_later(simulated: SimulatedCluster) -> None:
    simulated.store.create(account("early"))
    heard: list[tuple[str, bool]] = []

    def listen(delta: Delta) -> None:
        if delta.kind.name == "ServiceAccount":
            heard.append((delta.new.name, delta.is_in_initial_list))

    async with mirrored(simulated.url, simulated.token) as mirror:
        mirror.add_handler(listen)
        assert await mirror.wait_settled(10, ["ServiceAccount"])
        simulated.store.create(account("late"))
        await eventually(lambda: ("late", False) in heard)
        assert ("early", True) in heard


async def test_idle_kind_stops_silently_and_starts_anew(simulated: SimulatedCluster) -> None:
    simulated.store.create(account("robot"))
    gone: list[str] = []

    def listen(delta: Delta) -> None:
        if delta.new is None:
            gone.append(delta.old.name)

    async with mirrored(simulated.url, simulated.token, idle_seconds=3) as mirror:
        mirror.add_handler(listen)
        assert await mirror.wait_settled(10, [*ALWAYS, "ServiceAccount"])
        watches = simulated.open_watches
        await eventually(lambda: not mirror.started("ServiceAccount"))
        assert "ServiceAccount" not in mirror.states()
        await eventually(lambda: simulated.open_watches < watches)
        assert set(mirror) == set(ALWAYS), "what is always mirrored stays"
        assert gone == []

        before = asked_for(simulated, "serviceaccounts")
        assert await mirror.wait_settled(10, ["ServiceAccount"])
        assert "robot" in names(mirror, "ServiceAccount")
        assert asked_for(simulated, "serviceaccounts") > before


async def test_kind_that_is_read_does_not_stop(simulated: SimulatedCluster) -> None:
    async with mirrored(simulated.url, simulated.token, idle_seconds=1) as mirror:
        first = mirror["ServiceAccount"]
        other = mirror["Role"]
        read = asyncio.create_task(_keep_reading(lambda: mirror["ServiceAccount"]))
        await eventually(lambda: not mirror.started("Role"))
        assert mirror.peek("ServiceAccount") is first
        assert mirror["Role"] is not other
        read.cancel()
        await asyncio.gather(read, return_exceptions=True)


async def _keep_reading(read: Callable[[], object]) -> None:
    while True:
        read()
        await asyncio.sleep(0.02)


async def test_mirror_that_is_not_running_only_remembers_what_to_start(
    simulated: SimulatedCluster,
) -> None:
    async with mirrored(simulated.url, simulated.token) as mirror:
        assert await mirror.wait_settled(10)
    assert len(mirror["ServiceAccount"]) == 0
    assert not await mirror.wait_settled(0.05, ["ServiceAccount"])


async def test_revision_grows_with_every_change_and_only_then(simulated: SimulatedCluster) -> None:
    async with mirrored(simulated.url, simulated.token) as mirror:
        seen = [mirror.revision]

        def grew() -> bool:
            seen.append(mirror.revision)
            return seen[-1] > seen[-2]

        assert await mirror.wait_settled(10)
        assert grew()
        assert not grew(), "nothing happened"
        simulated.store.create(namespace("new"))
        await eventually(lambda: "new" in names(mirror, "Namespace"))
        assert grew()
        simulated.store.delete("namespaces", "new")
        await eventually(lambda: "new" not in names(mirror, "Namespace"))
        assert grew()
        simulated.faults.deny("nodes")
        simulated.faults.close_watches()
        await eventually(lambda: status(mirror, "Node") is SyncStatus.FORBIDDEN)
        assert grew()
        assert mirror["ServiceAccount"] is not None
        assert grew()


async def test_connection_goes_from_connecting_over_synced_to_stale_and_back(
    simulated: SimulatedCluster,
) -> None:
    async with mirrored(simulated.url, simulated.token) as mirror:
        assert mirror.connection.state is ConnectionState.CONNECTING
        assert await mirror.wait_settled(10)
        synced = mirror.connection
        assert synced.state is ConnectionState.SYNCED
        assert mirror.connection is synced, "nothing happened since"
        simulated.faults.fail(1000, 503, path="/nodes")
        simulated.faults.close_watches()
        await eventually(lambda: mirror.connection.state is ConnectionState.STALE)
        assert mirror.connection.reason.startswith("Node: ")
        assert mirror.connection.since > synced.since
        simulated.faults.clear()
        await eventually(lambda: mirror.connection.state is ConnectionState.SYNCED, 40)


async def test_black_holed_cluster_is_unreachable_and_fresh_again_after_its_return(
    simulated: SimulatedCluster,
) -> None:
    # The real patience: 15 s to notice, 35 s to be fresh; the bounds here only end a hang.
    async with (
        ChaosProxy(simulated.url) as proxy,
        mirrored(proxy.url, simulated.token, poll_seconds=30) as mirror,
    ):
        assert await mirror.wait_settled(10)
        proxy.set(BLACK_HOLE)
        await eventually(lambda: mirror.connection.state is ConnectionState.UNREACHABLE, 60)
        assert "no answer in time" in mirror.connection.reason
        await eventually(
            lambda: {s.status for s in mirror.states().values()} == {SyncStatus.UNREACHABLE}, 60
        )
        simulated.store.create(namespace("meanwhile"))
        proxy.set(CALM)
        await eventually(lambda: mirror.connection.state is ConnectionState.SYNCED, 60)
        assert "meanwhile" in names(mirror, "Namespace")
