"""Registering clusters through the catalog: probed, sealed, never shown, each for itself."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from sqlalchemy import text

from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.clusters import ClusterSource
from cloudpilot.context import Actor, CallContext, Door
from cloudpilot.errors import (
    ClusterForbidden,
    ClusterUnavailable,
    Conflict,
    Forbidden,
    InvalidArguments,
    NotFound,
    SettingsError,
)
from cloudpilot.kube.access import direct
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually
from tests.fakes.scripted_server import Reply, ScriptedServer
from tests.fakes.tls_proxy import Authority, TLSProxy
from tools import toolsets

Call = Callable[..., Any]


@pytest.fixture
async def front(simulated: SimulatedCluster) -> AsyncIterator[TLSProxy]:
    """The empty simulated cluster behind TLS."""
    async with TLSProxy(simulated.url) as proxy:
        yield proxy


@pytest.fixture
def arguments(front: TLSProxy, simulated: SimulatedCluster) -> dict[str, Any]:
    """What a human hands in to register it."""
    return {
        "name": "prod",
        "server": front.url,
        "token": simulated.token,
        "ca_data": front.authority.pem,
        "description": "production",
    }


async def call(runtime: Runtime, operation: str, /, **arguments: Any) -> Any:
    context = runtime.context(Actor("local"), Door.REST)
    return await runtime.catalog.call(operation, context, arguments)


def shown(answer: BaseModel | Mapping[str, Any]) -> str:
    return answer.model_dump_json() if isinstance(answer, BaseModel) else str(answer)


async def test_cluster_is_registered_listed_updated_and_removed(
    runtime: Runtime, arguments: dict[str, Any]
) -> None:
    added = await call(runtime, "add_cluster", **arguments)
    assert (added.name, added.source, added.server) == ("prod", "registered", arguments["server"])
    cluster = runtime.clusters.get("prod")
    assert await cluster.cache.wait_settled(10)
    assert cluster.status == "ready"
    assert len(await cluster.uid()) == 36
    [listed] = (await call(runtime, "list_clusters")).items
    assert listed.state == "synced"

    changed = await call(runtime, "update_cluster", name="prod", description="Frankfurt")
    assert changed.description == "Frankfurt"
    assert (await call(runtime, "get_cluster", name="prod")).description == "Frankfurt"

    await call(runtime, "remove_cluster", name="prod")
    assert (await call(runtime, "list_clusters")).total == 0
    with pytest.raises(NotFound):
        await call(runtime, "get_cluster", name="prod")


async def test_registered_cluster_survives_a_restart(
    settings: Settings, arguments: dict[str, Any]
) -> None:
    async with Runtime.open(settings, toolsets()) as runtime:
        await call(runtime, "add_cluster", **arguments)
    async with Runtime.open(settings, toolsets()) as runtime:
        assert await runtime.clusters.get("prod").cache.wait_settled(10)
        assert runtime.clusters.get("prod").status == "ready"


async def test_kubeconfig_registers_as_well(
    runtime: Runtime, front: TLSProxy, simulated: SimulatedCluster
) -> None:
    authority = base64.b64encode(front.authority.pem.encode()).decode()
    cluster = {"server": front.url, "certificate-authority-data": authority}
    config = {
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": simulated.token}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    added = await call(runtime, "add_cluster", name="prod", kubeconfig=yaml.safe_dump(config))
    assert added.server == front.url
    with pytest.raises(InvalidArguments, match="together"):
        await call(runtime, "add_cluster", name="b", kubeconfig="x", server=front.url)


async def test_credential_is_in_no_answer_no_log_and_no_byte_of_the_database(
    settings: Settings,
    arguments: dict[str, Any],
    simulated: SimulatedCluster,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = []
    async with Runtime.open(settings, toolsets()) as runtime:
        answers.append(await call(runtime, "add_cluster", **arguments))
        assert await runtime.clusters.get("prod").cache.wait_settled(10)
        answers.append(await call(runtime, "list_clusters"))
        answers.append(await call(runtime, "get_cluster", name="prod"))
        with pytest.raises(Conflict) as twice:
            await call(runtime, "add_cluster", **arguments)
        with pytest.raises(ClusterForbidden) as wrong:
            await call(runtime, "add_cluster", **arguments | {"name": "b", "token": "c4nary-token"})
        [stored] = [await runtime.clusters.stored("prod")]
        folder = Path(settings.database.key_file).parent
        files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    texts = [shown(answer) for answer in answers]
    texts += [f"{e.value!r} {e.value.details} {e.value.hint}" for e in (twice, wrong)]
    texts += [caplog.text, repr(stored)]
    token = simulated.token.encode()
    forms = [token, base64.b64encode(token), token.hex().encode()]
    for name, content in files.items():
        assert not any(form in content for form in forms), name
    for shown_text in texts:
        assert simulated.token not in shown_text
        assert "c4nary" not in shown_text
    assert any(name.startswith("cloudpilot.db") for name in files)


async def test_moved_ciphertext_does_not_open(
    settings: Settings, runtime: Runtime, arguments: dict[str, Any]
) -> None:
    await call(runtime, "add_cluster", **arguments)
    await call(runtime, "add_cluster", **arguments | {"name": "other"})
    async with runtime.database.transaction() as session:
        stolen = "(select sealed_token from clusters where name = 'prod')"
        await session.execute(
            text(f"update clusters set sealed_token = {stolen} where name = 'other'")
        )
    with pytest.raises(SettingsError, match="'other'"):
        async with Runtime.open(settings, toolsets()):
            pass


async def test_another_key_stops_the_start_and_says_why(
    settings: Settings, arguments: dict[str, Any]
) -> None:
    async with Runtime.open(settings, toolsets()) as runtime:
        await call(runtime, "add_cluster", **arguments)
    settings.database.key_file.unlink()
    with pytest.raises(SettingsError, match=r"database\.key_file.*'prod'") as refused:
        async with Runtime.open(settings, toolsets()):
            pass
    assert "key file" in refused.value.hint


async def test_name_can_be_taken_once(runtime: Runtime, arguments: dict[str, Any]) -> None:
    await call(runtime, "add_cluster", **arguments)
    with pytest.raises(Conflict):
        await call(runtime, "add_cluster", **arguments)


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", "Prod", "x" * 300, "pr\u043ed", "a b", "-a", "a-", "a.b", "*"]
)
async def test_name_that_is_no_label_is_refused(
    runtime: Runtime, arguments: dict[str, Any], name: str
) -> None:
    with pytest.raises(InvalidArguments) as refused:
        await call(runtime, "add_cluster", **arguments | {"name": name})
    assert refused.value.details["fields"][0]["field"] == "name"


async def test_nothing_is_stored_of_a_cluster_that_does_not_answer(
    runtime: Runtime, arguments: dict[str, Any], front: TLSProxy
) -> None:
    authority = Authority()
    html = Reply(b"<html>", headers={"Content-Type": "text/html"})
    tls = authority.server_context("127.0.0.1")
    for reply in (html, Reply({}, 404), Reply({"metadata": {}}), Reply({"metadata": 7})):
        async with ScriptedServer(lambda _asked, r=reply: r, tls) as server:  # type: ignore[misc]
            broken = arguments | {"server": server.url, "ca_data": authority.pem}
            with pytest.raises(ClusterUnavailable):
                await call(runtime, "add_cluster", **broken)
    with pytest.raises(ClusterForbidden):
        await call(runtime, "add_cluster", **arguments | {"token": "wrong"})
    with pytest.raises(ClusterUnavailable):
        await call(runtime, "add_cluster", **arguments | {"ca_data": authority.pem})
    await front.stop()
    with pytest.raises(ClusterUnavailable):
        await call(runtime, "add_cluster", **arguments)
    assert (await call(runtime, "list_clusters")).total == 0


async def test_new_address_or_authority_needs_the_credential_again(
    runtime: Runtime, arguments: dict[str, Any], simulated: SimulatedCluster
) -> None:
    await call(runtime, "add_cluster", **arguments)
    async with TLSProxy(simulated.url) as other:
        for change in (
            {"server": other.url},
            {"server": other.url, "ca_data": other.authority.pem},
            {"ca_data": other.authority.pem},
        ):
            with pytest.raises(InvalidArguments) as refused:
                await call(runtime, "update_cluster", name="prod", **change)
            assert refused.value.details["fields"][0]["field"] == "token"
        assert other.connections == 0

        change = {"server": other.url, "ca_data": other.authority.pem, "token": simulated.token}
        moved = await call(runtime, "update_cluster", name="prod", **change)
        assert moved.server == other.url
        assert await runtime.clusters.get("prod").cache.wait_settled(10)


async def test_new_token_alone_is_taken_for_the_same_address(
    runtime: Runtime, arguments: dict[str, Any], simulated: SimulatedCluster
) -> None:
    await call(runtime, "add_cluster", **arguments)
    with pytest.raises(ClusterForbidden):
        await call(runtime, "update_cluster", name="prod", token="wrong")
    assert await runtime.clusters.get("prod").cache.wait_settled(10)
    assert runtime.clusters.get("prod").status == "ready", "a refused change changes nothing"
    await call(runtime, "update_cluster", name="prod", token=simulated.token)
    assert await runtime.clusters.get("prod").cache.wait_settled(10)
    assert runtime.clusters.get("prod").status == "ready"


async def test_update_without_anything_is_refused(
    runtime: Runtime, arguments: dict[str, Any]
) -> None:
    await call(runtime, "add_cluster", **arguments)
    with pytest.raises(InvalidArguments):
        await call(runtime, "update_cluster", name="prod")


async def test_another_cluster_at_the_same_address_is_noticed(
    runtime: Runtime, arguments: dict[str, Any], simulated: SimulatedCluster
) -> None:
    await call(runtime, "add_cluster", **arguments)
    cluster = runtime.clusters.get("prod")
    before = await cluster.uid()

    def replace(obj: dict[str, Any]) -> None:
        obj["metadata"]["uid"] = "another-uid"

    simulated.store.edit("namespaces", "kube-system", "", replace)
    with pytest.raises(Conflict) as noticed:
        await cluster.uid()
    assert noticed.value.details == {"expected_uid": before, "found_uid": "another-uid"}


async def test_one_dead_cluster_leaves_the_others_alive(
    runtime: Runtime, arguments: dict[str, Any], front: TLSProxy, shop: SimulatedCluster
) -> None:
    await call(runtime, "add_cluster", **arguments)
    runtime.clusters.attach("shop", direct(shop.url, shop.token), ClusterSource.SIMULATED)
    dead, alive = runtime.clusters.get("prod"), runtime.clusters.get("shop")
    assert await dead.cache.wait_settled(10)
    assert await alive.cache.wait_settled(10)
    await front.stop()
    await eventually(lambda: dead.status == "unreachable")
    shop.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "new"}})
    await eventually(lambda: alive.monitor.namespace("new"))
    assert alive.status == "ready"
    await front.start()
    await eventually(lambda: dead.cache.states()["Node"].status is SyncStatus.LIVE, 40)


async def test_only_registered_clusters_can_be_changed(
    runtime: Runtime, simulated: SimulatedCluster
) -> None:
    access = direct(simulated.url, simulated.token)
    runtime.clusters.attach("demo", access, ClusterSource.SIMULATED)
    with pytest.raises(InvalidArguments, match="simulated"):
        await call(runtime, "update_cluster", name="demo", description="mine")
    with pytest.raises(InvalidArguments, match="simulated"):
        await call(runtime, "remove_cluster", name="demo")
    with pytest.raises(Conflict):
        runtime.clusters.attach("demo", access, ClusterSource.SIMULATED)


async def test_models_cannot_register_clusters(runtime: Runtime, arguments: dict[str, Any]) -> None:
    context = runtime.context(Actor("local"), Door.CHAT)
    for name in ("add_cluster", "update_cluster", "remove_cluster"):
        given = arguments if name == "add_cluster" else {"name": "prod"}
        with pytest.raises(Forbidden):
            await runtime.catalog.call(name, context, given)


async def test_nearest_name_is_suggested(context: CallContext, shop_cluster: object) -> None:
    with pytest.raises(NotFound) as missed:
        context.clusters.get("dem")
    assert "demo" in missed.value.hint
