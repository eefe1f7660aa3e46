"""The read path against a real API server: live, counted, honest about what it may not see."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.clusters import Cluster, ClusterSource
from cloudpilot.errors import ClusterConflict, NotFound
from cloudpilot.kube.access import instant
from cloudpilot.kube.kinds import ALWAYS, KINDS
from cloudpilot.settings import KubernetesSettings
from tests.cloudpilot.waiting import eventually
from tests.controlplane.api import Object
from tests.controlplane.cluster import ControlPlane

READABLE = [KINDS[name] for name in ALWAYS if name != "Secret"]
READ_ONLY = {
    "apiGroups": sorted({kind.group for kind in READABLE}),
    "resources": sorted({kind.plural for kind in READABLE}),
    "verbs": ["get", "list", "watch"],
}


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Cluster]:
    settings = KubernetesSettings(kubeconfig=kubeconfig, poll_seconds=0.5)
    cluster = Cluster("e2e", await instant(settings), ClusterSource.INSTANT, settings)
    cluster.start()
    try:
        assert await cluster.cache.wait_settled(20)
        yield cluster
    finally:
        await cluster.close()


@pytest.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    async with connected(control_plane.kubeconfig("admin")) as opened:
        yield opened


def pod(namespace: str, name: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1.0"}]},
    }


def data(kind: str, namespace: str, name: str) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {"canary": "YzRuYXJ5"}}


def gateway(namespace: str, name: str = "public") -> Object:
    server = {
        "port": {"number": 80, "name": "http", "protocol": "HTTP"},
        "hosts": ["a.example.com"],
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }


async def test_everything_is_live_after_the_first_sync(cluster: Cluster) -> None:
    assert {state.status for state in cluster.cache.states().values()} == {SyncStatus.LIVE}
    overview = cluster.monitor.overview()
    assert overview.missing == []
    assert overview.nodes is not None
    assert overview.nodes.ready >= 3
    assert None not in overview.model_dump().values()


async def test_new_pods_reach_the_mirror_without_another_list(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    stats = cluster.cache["Pod"].stats
    await eventually(lambda: cluster.monitor.namespace(namespace))
    lists = stats.lists
    for name in (f"web-{n}" for n in range(10)):
        await control_plane.admin.create(pod(namespace, name))
        await eventually(partial(cluster.cache["Pod"].get, namespace, name))
    await eventually(lambda: getattr(cluster.monitor.namespace(namespace), "pods", 0) == 10)
    assert cluster.monitor.overview().stale is False
    assert (lists, stats.lists) == (1, 1)


async def test_namespace_comes_and_goes_without_refresh(
    cluster: Cluster, control_plane: ControlPlane
) -> None:
    name = f"e2e-passing-{time.monotonic_ns()}"
    before = cluster.monitor.overview().namespaces
    assert before is not None
    await control_plane.create_namespace(name)
    await eventually(lambda: cluster.monitor.namespace(name))
    await control_plane.delete_namespace(name)
    await eventually(
        lambda: (
            getattr(cluster.monitor.namespace(name), "status", "gone") in ("Terminating", "gone")
        )
    )


async def test_new_node_is_counted(cluster: Cluster, control_plane: ControlPlane) -> None:
    [name] = await control_plane.add_nodes(1)
    await eventually(lambda: getattr(cluster.monitor.node(name), "status", "") == "Ready")
    node = cluster.monitor.node(name)
    assert node is not None
    assert node.cpu_capacity_millicores == 32_000
    overview = cluster.monitor.overview()
    assert overview.nodes is not None
    assert overview.nodes.total == len(cluster.monitor.nodes())


@pytest.mark.parametrize(("kind", "plural"), [("ConfigMap", "configmaps"), ("Secret", "secrets")])
async def test_metadata_is_mirrored_exactly_and_nothing_of_the_content(
    cluster: Cluster, control_plane: ControlPlane, namespace: str, kind: str, plural: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/{plural}"

    async def real() -> set[str]:
        return {row["Name"] for row in await control_plane.admin.table(path)}

    def mirrored() -> set[str]:
        return {obj.name for obj in cluster.cache[kind].list(namespace)}

    for n in range(5):
        await control_plane.admin.create(data(kind, namespace, f"data-{n}"))
    expected = await real()
    await eventually(lambda: mirrored() == expected)
    await control_plane.admin.patch(f"{path}/data-0", {"data": {"more": "YQ=="}})
    await control_plane.admin.delete(f"{path}/data-1")
    await eventually(lambda: mirrored() == expected - {"data-1"})
    assert "YzRuYXJ5" not in repr(cluster.cache[kind].list(namespace))


async def test_restricted_user_sees_what_it_may_and_is_told_the_rest(
    control_plane: ControlPlane, namespace: str
) -> None:
    await control_plane.admin.create(pod(namespace, "web"))
    async with (
        control_plane.granted(READ_ONLY),
        connected(control_plane.kubeconfig("cloudpilot")) as cluster,
    ):
        overview = cluster.monitor.overview()
        assert [(m.kind, m.status) for m in overview.missing] == [("Secret", "forbidden")]
        assert 'cannot list resource "secrets"' in overview.missing[0].reason
        assert overview.secrets is None
        assert overview.config_maps is not None
        assert cluster.cache["Pod"].get(namespace, "web")
        assert cluster.status == "degraded"
    asked = [event for event in control_plane.audit_events() if "objectRef" in event]
    reads = [event for event in asked if event["objectRef"]["resource"] == "secrets"]
    assert reads
    assert {event["responseStatus"]["code"] for event in reads} <= {403}


async def test_forbidden_watch_is_polled(control_plane: ControlPlane, namespace: str) -> None:
    listing = READ_ONLY | {"verbs": ["list"]}
    async with (
        control_plane.granted(listing),
        connected(control_plane.kubeconfig("cloudpilot")) as cluster,
    ):
        assert cluster.cache.states()["Pod"].status is SyncStatus.POLLING
        await control_plane.admin.create(pod(namespace, "web"))
        await eventually(lambda: cluster.cache["Pod"].get(namespace, "web"))


async def test_istio_gateway_appears_and_is_written_with_the_clusters_rules(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    kind, client = KINDS["Gateway"], cluster.client
    assert await client.path(kind, namespace) == (
        f"/apis/networking.istio.io/v1/namespaces/{namespace}/gateways"
    )
    await client.create(kind, gateway(namespace, "tried"), namespace, dry_run=True)
    made = await client.create(kind, gateway(namespace), namespace)
    await eventually(lambda: cluster.cache["Gateway"].get(namespace, "public"))
    with pytest.raises(NotFound):
        await client.get(kind, "tried", namespace)

    uid = made.object["metadata"]["uid"]
    labels = {"metadata": {"labels": {"team": "web"}}}
    await client.patch(kind, "public", namespace, labels, dry_run=True)
    await client.delete(kind, "public", namespace, uid=uid, dry_run=True)
    assert await client.get(kind, "public", namespace) == made.object

    with pytest.raises(ClusterConflict):
        await client.delete(kind, "public", namespace, uid="another-uid")
    await client.delete(kind, "public", namespace, uid=uid)
    await eventually(lambda: cluster.cache["Gateway"].get(namespace, "public") is None)


async def test_outage_is_seen_and_heals(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    apiserver = control_plane.components["kube-apiserver"]
    apiserver.kill()
    try:
        await eventually(lambda: cluster.status == "unreachable")
        assert cluster.monitor.overview().stale
        assert cluster.monitor.nodes(), "what was known stays readable"
    finally:
        apiserver.start()
    await control_plane.eventually(lambda: control_plane.admin.text("/readyz"), "back again", 60.0)
    await control_plane.admin.create(pod(namespace, "after"))
    await eventually(lambda: cluster.cache["Pod"].get(namespace, "after"), 60)
    await eventually(lambda: cluster.status == "ready", 60)
