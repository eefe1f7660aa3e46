"""Faults that no real API server produces on demand: the mirror equals the server after each.

What a real one does produce is in `tests/e2e/test_chaos.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from cloudpilot.cache.connection import ConnectionState
from cloudpilot.cache.informer import Informer
from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import KINDS
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tests.controlplane.api import Api, Object
from tests.controlplane.mirror_check import assert_mirrors
from tests.e2e.mirrored import Editor, mirroring
from tests.fakes.chaos_proxy import BLACK_HOLE, CALM, ChaosProxy, Weather

GATEWAYS = "gateways.networking.istio.io"


def config_map(name: str) -> Object:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def label(obj: Object) -> None:
    obj["metadata"]["labels"] = {"changed": "yes"}


@pytest.fixture
async def api(empty: SimulatedCluster) -> AsyncIterator[Api]:
    async with Api(empty.url, empty.token) as opened:
        yield opened


@pytest.fixture
async def proxy(empty: SimulatedCluster) -> AsyncIterator[ChaosProxy]:
    async with ChaosProxy(empty.url) as opened:
        yield opened


@pytest.fixture
async def editor(api: Api) -> Editor:
    return Editor(api, "default")


@pytest.fixture(params=[True, False], ids=["streamed", "paged"])
async def streams_lists(request: pytest.FixtureRequest, empty: SimulatedCluster) -> bool:
    """Whether the server can stream lists."""
    empty.faults.watch_list = bool(request.param)
    return empty.faults.watch_list


@pytest.fixture
async def mirror(
    empty: SimulatedCluster, proxy: ChaosProxy, api: Api, editor: Editor, streams_lists: bool
) -> AsyncIterator[Mirror]:
    """Every kind, in sync, through the proxy."""
    await editor.change()
    async with mirroring(direct(proxy.url, empty.token)) as started:
        assert await started.wait_settled(30)
        await assert_mirrors(started, api)
        yield started


async def test_events_cut_amid_a_line_are_not_lost(
    proxy: ChaosProxy, mirror: Mirror, editor: Editor, api: Api
) -> None:
    for size in (1, 40, 700):
        proxy.cut(after_bytes=size, reset=False)
        await editor.change()
    await assert_mirrors(mirror, api)


@pytest.mark.parametrize("http", [True, False], ids=["http", "error event"])
async def test_410_after_an_absence(
    empty: SimulatedCluster,
    proxy: ChaosProxy,
    mirror: Mirror,
    editor: Editor,
    api: Api,
    http: bool,
) -> None:
    await proxy.refuse()
    proxy.cut()
    await editor.change()
    empty.faults.gone(http=http)
    await proxy.restore()
    await assert_mirrors(mirror, api)


@pytest.mark.parametrize(
    ("status", "said", "times"),
    [
        (429, 1, 3),
        (503, None, 3),
        (429, "-1", 3),
        (503, "soon", 3),
        (429, "Wed, 21 Oct 2026 07:28:00 GMT", 3),
        (503, 86400, 1),
    ],
)
async def test_overload_with_any_retry_after_heals(
    empty: SimulatedCluster, api: Api, status: int, said: int | str | None, times: int
) -> None:
    async with mirroring(direct(empty.url, empty.token), ("ConfigMap",)) as mirror:
        assert await mirror.wait_settled(30)
        empty.faults.fail(times, status=status, retry_after=said, path="/configmaps")
        empty.faults.close_watches()
        empty.store.create(config_map("meanwhile"))
        await assert_mirrors(mirror, api, 60)
        assert mirror["ConfigMap"].get("default", "meanwhile")


async def test_flapping_server_is_caught_up_with(
    empty: SimulatedCluster, mirror: Mirror, editor: Editor, api: Api
) -> None:
    for _ in range(4):
        empty.faults.fail(10, status=500)
        empty.faults.close_watches()
        await asyncio.sleep(0.3)
        empty.faults.clear()
        await editor.change()
    await assert_mirrors(mirror, api)


async def test_continue_token_that_expires_amid_a_list(
    empty: SimulatedCluster, proxy: ChaosProxy, api: Api
) -> None:
    empty.faults.watch_list = False
    for number in range(1200):
        empty.store.create(config_map(f"map-{number}"))
    proxy.set(Weather(bytes_per_second=200_000))
    async with mirroring(direct(proxy.url, empty.token), ("ConfigMap",)) as mirror:

        def pages() -> list[str]:
            asked = [r.query for r in empty.requests if r.path == "/api/v1/configmaps"]
            return [query.get("continue", "") for query in asked if "limit" in query]

        await eventually(pages)
        empty.store.delete("configmaps", "map-7", "default")
        empty.faults.gone()
        proxy.set(CALM)
        await assert_mirrors(mirror, api)
        assert pages().count("") > 1, "it was listed from the beginning"


async def test_custom_kind_leaves_and_returns_with_its_definition(
    empty: SimulatedCluster, mirror: Mirror, editor: Editor, api: Api
) -> None:
    definition = empty.store.get("customresourcedefinitions", GATEWAYS)
    assert definition
    assert len(mirror["Gateway"]) > 0
    empty.store.delete("customresourcedefinitions", GATEWAYS)
    await eventually(lambda: mirror["Gateway"].state.status is SyncStatus.NOT_INSTALLED, 30)
    assert len(mirror["Gateway"]) == 0
    assert mirror.connection.state is ConnectionState.SYNCED
    await assert_mirrors(mirror, api)
    empty.store.create(definition)
    editor.kept.clear()
    await editor.change()
    await eventually(lambda: len(mirror["Gateway"]) > 0, 30)
    await assert_mirrors(mirror, api)


async def test_version_that_is_withdrawn_is_read_in_another(
    empty: SimulatedCluster, mirror: Mirror, api: Api
) -> None:
    def withdraw(definition: Object) -> None:
        definition["spec"]["versions"][0] |= {"served": False, "storage": False}
        definition["spec"]["versions"][1]["storage"] = True

    assert empty.store.edit("customresourcedefinitions", GATEWAYS, "", withdraw)
    path = "/apis/networking.istio.io/v1beta1/namespaces/default/gateways/round-1"
    await api.patch(path, {"metadata": {"labels": {"changed": "yes"}}})
    await assert_mirrors(mirror, api)
    asked = [r.path for r in empty.requests if r.query.get("watch")]
    assert "/apis/networking.istio.io/v1beta1/gateways" in asked


@asynccontextmanager
async def comparing(url: str, token: str) -> AsyncIterator[Informer[Any]]:
    """ConfigMaps, compared with the server all the time."""
    client = KubeClient(direct(url, token), connect_seconds=3, read_seconds=10)
    informer: Informer[Any] = Informer(
        client, KINDS["ConfigMap"], poll_seconds=1, drift_seconds=0.5
    )
    task = asyncio.create_task(informer.run())
    try:
        yield informer
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await client.close()


@pytest.mark.parametrize("loss", ["created", "changed", "deleted"])
async def test_lost_event_is_found_by_comparing(
    empty: SimulatedCluster, api: Api, loss: str
) -> None:
    if loss != "created":
        empty.store.create(config_map("one"))
    async with comparing(empty.url, empty.token) as informer:
        await assert_mirrors({"ConfigMap": informer}, api)
        empty.faults.lose_events("configmaps")
        if loss == "created":
            empty.store.create(config_map("one"))
        elif loss == "changed":
            empty.store.edit("configmaps", "one", "default", label)
        else:
            empty.store.delete("configmaps", "one", "default")
        empty.store.create(config_map("two"))
        await eventually(lambda: informer.get("default", "two"))
        await assert_mirrors({"ConfigMap": informer}, api, 30)
        assert informer.stats.drifts == 1, "it was lost indeed"


async def test_server_restored_from_a_backup_replaces_what_was_known() -> None:
    async with SimulatedCluster("empty") as now:
        port, token = int(now.url.rpartition(":")[2]), now.token
        async with comparing(now.url, token) as informer, Api(now.url, token) as api:
            for number in range(20):
                now.store.create(config_map(f"newer-{number}"))
            await assert_mirrors({"ConfigMap": informer}, api)
            await now.stop()
            async with SimulatedCluster("empty", port=port, token=token, seed=1) as then:
                assert then.store.version < now.store.version
                then.store.create(config_map("older"))
                await assert_mirrors({"ConfigMap": informer}, api)
                assert informer.get("default", "older")


async def test_black_holed_cluster_keeps_what_is_known_and_says_so(
    proxy: ChaosProxy, mirror: Mirror, editor: Editor, api: Api
) -> None:
    proxy.set(BLACK_HOLE)
    await eventually(lambda: mirror.connection.state is ConnectionState.UNREACHABLE, 30)
    assert len(mirror["ConfigMap"]) > 0
    await editor.change()
    await proxy.restore()
    await assert_mirrors(mirror, api)
    assert mirror.connection.state is ConnectionState.SYNCED
