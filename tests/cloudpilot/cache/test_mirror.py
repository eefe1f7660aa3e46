"""The mirror of a simulated cluster: live, healing, and honest about what it may not see."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from cloudpilot.cache.delta import Delta
from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.client import METADATA, METADATA_LIST
from simulator import SimulatedCluster
from tests.cloudpilot.cache.mirrored import mirrored, names, namespace, status
from tests.cloudpilot.waiting import eventually


@pytest.fixture
async def mirror(simulated: SimulatedCluster) -> AsyncIterator[Mirror]:
    async with mirrored(simulated.url, simulated.token) as running:
        assert await running.wait_settled(10)
        yield running


def config_map(name: str, kind: str = "ConfigMap") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "data": {"canary": "YzRuYXJ5"},
    }


TEAM = {"team": "web"}


def label(obj: dict[str, Any]) -> None:
    obj["metadata"]["labels"] = TEAM


async def test_settled_means_live_everywhere(mirror: Mirror) -> None:
    assert {state.status for state in mirror.states().values()} == {SyncStatus.LIVE}
    assert {obj.name for obj in mirror["Node"].list()} == {"node-1"}
    assert "kube-system" in names(mirror, "Namespace")


async def test_changes_arrive_by_themselves(mirror: Mirror, simulated: SimulatedCluster) -> None:
    simulated.store.create(namespace("new"))
    await eventually(lambda: "new" in names(mirror, "Namespace"))
    simulated.store.edit("namespaces", "new", "", label)
    await eventually(
        lambda: [n.metadata.labels for n in mirror["Namespace"].list()].count(TEAM) == 1
    )
    simulated.store.delete("namespaces", "new")
    await eventually(lambda: "new" not in names(mirror, "Namespace"))


async def test_closed_watches_go_on_without_listing_again(
    mirror: Mirror, simulated: SimulatedCluster
) -> None:
    lists = len([r for r in simulated.requests if "limit" in r.query])
    simulated.faults.close_watches()
    simulated.store.create(namespace("meanwhile"))
    await eventually(lambda: "meanwhile" in names(mirror, "Namespace"))
    await eventually(lambda: simulated.open_watches == len(mirror.states()))
    assert len([r for r in simulated.requests if "limit" in r.query]) == lists


async def test_watch_too_old_lists_again_without_ghosts(simulated: SimulatedCluster) -> None:
    async with mirrored(simulated.url, simulated.token) as mirror:
        assert await mirror.wait_settled(10)
        simulated.store.create(namespace("ghost"))
        await eventually(lambda: "ghost" in names(mirror, "Namespace"))
        simulated.faults.fail(1000, 503, path="/namespaces")
        simulated.faults.close_watches()
        await eventually(lambda: status(mirror, "Namespace") is SyncStatus.UNREACHABLE)
        assert "ghost" in names(mirror, "Namespace"), "what was known stays readable"
        simulated.store.delete("namespaces", "ghost")
        simulated.faults.gone()
        simulated.faults.clear()
        await eventually(lambda: status(mirror, "Namespace") is SyncStatus.LIVE, 20)
        assert "ghost" not in names(mirror, "Namespace")


async def test_forbidden_watch_is_replaced_by_polling(simulated: SimulatedCluster) -> None:
    simulated.faults.deny("pods", "watch")
    async with mirrored(simulated.url, simulated.token) as mirror:
        assert await mirror.wait_settled(10)
        assert status(mirror, "Pod") is SyncStatus.POLLING
        assert "watch" in mirror.states()["Pod"].reason
        assert mirror.states()["Pod"].known
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        }
        simulated.store.create(pod)
        await eventually(lambda: "web" in names(mirror, "Pod"))
        simulated.faults.clear()
        await eventually(lambda: status(mirror, "Pod") is SyncStatus.LIVE)


async def test_forbidden_kinds_are_named_and_others_live(simulated: SimulatedCluster) -> None:
    simulated.faults.deny("secrets")
    simulated.faults.deny("pods")
    async with mirrored(simulated.url, simulated.token) as mirror:
        assert await mirror.wait_settled(10)
        states = mirror.states()
        for kind, plural in (("Secret", "secrets"), ("Pod", "pods")):
            assert states[kind].status is SyncStatus.FORBIDDEN
            assert f'cannot list resource "{plural}"' in states[kind].reason
            assert not states[kind].known
        others = {name for name, state in states.items() if state.status is SyncStatus.LIVE}
        assert others == set(states) - {"Secret", "Pod"}
        simulated.faults.clear()
        await eventually(lambda: mirror.states()["Secret"].known)
        await eventually(lambda: status(mirror, "Pod") is SyncStatus.LIVE)


async def test_rights_that_are_taken_away_take_the_content_with_them(
    mirror: Mirror, simulated: SimulatedCluster
) -> None:
    assert mirror["Node"].list()
    simulated.faults.deny("nodes")
    simulated.faults.close_watches()
    await eventually(lambda: status(mirror, "Node") is SyncStatus.FORBIDDEN)
    assert list(mirror["Node"].list()) == []


async def test_wrong_token_forbids_everything(simulated: SimulatedCluster) -> None:
    async with mirrored(simulated.url, "wrong") as mirror:
        assert await mirror.wait_settled(10)
        assert {state.status for state in mirror.states().values()} == {SyncStatus.FORBIDDEN}


async def test_unreachable_heals_when_the_server_returns() -> None:
    async with SimulatedCluster("empty") as first:
        url, token = first.url, first.token
        port = int(url.rpartition(":")[2])
        async with mirrored(url, token) as mirror:
            assert await mirror.wait_settled(10)
            await first.__aexit__(None, None, None)
            await eventually(
                lambda: {s.status for s in mirror.states().values()} == {SyncStatus.UNREACHABLE}
            )
            assert names(mirror, "Node") == {"node-1"}
            assert mirror.states()["Node"].as_of is not None
            async with SimulatedCluster("empty", port=port, token=token) as second:
                second.store.create(namespace("after"))
                await eventually(
                    lambda: {s.status for s in mirror.states().values()} == {SyncStatus.LIVE}, 40
                )
                assert "after" in names(mirror, "Namespace")
        await first.__aenter__()


async def test_metadata_of_secrets_is_mirrored_and_never_what_they_hold(
    mirror: Mirror, simulated: SimulatedCluster
) -> None:
    for kind, plural in (("ConfigMap", "configmaps"), ("Secret", "secrets")):
        for name in ("one", "two"):
            simulated.store.create(config_map(name, kind))
        await eventually(lambda k=kind: {"one", "two"} <= names(mirror, k))  # type: ignore[misc]
        simulated.store.edit(plural, "one", "default", label)
        simulated.store.delete(plural, "two", "default")
        await eventually(lambda k=kind: "two" not in names(mirror, k))  # type: ignore[misc]
        assert "YzRuYXJ5" not in repr(mirror[kind].list())
    asked = [r for r in simulated.requests if "secrets" in r.path]
    assert asked
    assert {r.headers["accept"] for r in asked} <= {METADATA, METADATA_LIST}


async def test_handlers_hear_every_difference(mirror: Mirror, simulated: SimulatedCluster) -> None:
    heard: list[tuple[str | None, str | None]] = []

    def broken(_delta: Delta) -> None:
        raise RuntimeError("a handler must not stop the mirror")

    def listen(delta: Delta) -> None:
        if delta.kind.name == "Namespace":
            heard.append((delta.old and delta.old.name, delta.new and delta.new.name))

    mirror.add_handler(broken)
    mirror.add_handler(listen)
    simulated.store.create(namespace("new"))
    simulated.store.edit("namespaces", "new", "", label)
    simulated.store.delete("namespaces", "new")
    await eventually(lambda: (("new", None)) in heard)
    assert heard == [(None, "new"), ("new", "new"), ("new", None)]


async def test_projection_keeps_what_questions_need(shop: SimulatedCluster) -> None:
    async with mirrored(shop.url, shop.token) as mirror:
        assert await mirror.wait_settled(10)
        pod = next(pod for pod in mirror["Pod"].list("shop") if pod.name.startswith("cart"))
        raw = shop.store.get("pods", pod.name, "shop")
        assert raw is not None
        again = msgspec.convert(raw, type(pod))
        assert again.metadata.uid == pod.metadata.uid
        assert again.spec == pod.spec
