"""Kinds on a real API server: on demand, with their definition, in the versions it serves."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.clusters import Cluster, ClusterSource
from cloudpilot.kube.access import instant
from cloudpilot.kube.kinds import KINDS
from cloudpilot.settings import KubernetesSettings
from tests.cloudpilot.waiting import eventually
from tests.controlplane.api import Object
from tests.controlplane.cluster import CRDS, ControlPlane

KIND = "GRPCRoute"
RESOURCE = KINDS[KIND].resource
GROUP = KINDS[KIND].group


@pytest.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    """The real cluster; what is not there is asked for again only after an hour."""
    settings = KubernetesSettings(kubeconfig=control_plane.kubeconfig("admin"), poll_seconds=3600)
    opened = Cluster("e2e", await instant(settings), ClusterSource.INSTANT, settings)
    opened.start()
    assert await opened.cache.wait_settled(20)
    yield opened
    await opened.close()


@pytest.fixture
async def cleared(control_plane: ControlPlane) -> AsyncIterator[None]:
    """The definition is gone again after the test."""
    yield
    found = await control_plane.admin.get(CRDS)
    if any(item["metadata"]["name"] == RESOURCE for item in found["items"]):
        await control_plane.admin.delete(f"{CRDS}/{RESOURCE}")


def versions(*served: str) -> list[Object]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return [
        {"name": name, "served": name in served, "storage": name == "v1alpha2", "schema": schema}
        for name in ("v1alpha2", "v1")
    ]


def definition(*served: str) -> Object:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": RESOURCE,
            # The group is protected: its definitions must say where they were approved.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a test"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": KINDS[KIND].plural, "singular": "grpcroute", "kind": KIND},
            "versions": versions(*served),
        },
    }


def route(version: str, namespace: str, name: str) -> Object:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{GROUP}/{version}", "kind": KIND, "metadata": metadata}


async def test_every_kind_that_is_served_can_be_mirrored(cluster: Cluster) -> None:
    absent = {kind.name for kind in KINDS.values() if kind.group == GROUP}

    def with_status(status: SyncStatus) -> set[str]:
        states = cluster.cache.states().items()
        return {name for name, state in states if state.status is status}

    assert await cluster.cache.wait_settled(60, KINDS)
    # A server that just began to serve a kind answers 429 for a moment.
    await eventually(lambda: with_status(SyncStatus.LIVE) == KINDS.keys() - absent, 60)
    assert with_status(SyncStatus.NOT_INSTALLED) == absent


@pytest.mark.usefixtures("cleared")
async def test_kind_comes_changes_its_version_and_goes_with_its_definition(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    admin = control_plane.admin

    def status() -> SyncStatus:
        return cluster.cache.states()[KIND].status

    def names() -> set[str]:
        return {obj.name for obj in cluster.cache[KIND].list()}

    assert await cluster.cache.wait_settled(20, [KIND])
    assert status() is SyncStatus.NOT_INSTALLED
    await admin.create(definition("v1alpha2"))
    await eventually(lambda: status() is SyncStatus.LIVE, 40)
    await admin.create(route("v1alpha2", namespace, "first"))
    await eventually(lambda: names() == {"first"})
    assert "/v1alpha2/" in await cluster.client.path(KINDS[KIND])

    await admin.patch(f"{CRDS}/{RESOURCE}", {"spec": {"versions": versions("v1alpha2", "v1")}})

    async def preferred() -> bool:
        return "/v1/" in await cluster.client.path(KINDS[KIND])

    await control_plane.eventually(preferred, "the preferred version in use")
    await eventually(lambda: status() is SyncStatus.LIVE, 40)
    assert names() == {"first"}

    await admin.delete(f"{CRDS}/{RESOURCE}")
    await eventually(lambda: status() is SyncStatus.NOT_INSTALLED, 40)
    assert names() == set()
    assert cluster.cache.states()["VirtualService"].status is SyncStatus.LIVE
