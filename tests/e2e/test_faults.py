"""The faults that the test bed plays look like real ones, and only the right fix heals them."""

from typing import Any

import pytest

from tests.controlplane.api import Object
from tests.controlplane.cluster import ControlPlane

BROKEN: dict[str, Any] = {
    "image": {"image": "registry.example.com/web:missing"},
    "command": {"command": ["/bin/false"]},
    "memory": {"resources": {"limits": {"memory": "8Mi"}}},
    "probe": {"readinessProbe": {"httpGet": {"path": "/missing", "port": 8080}}},
}


def deployment(namespace: str, broken: Object) -> Object:
    sound = {"name": "web", "image": "registry.example.com/web:1.0"}
    sidecar = {"name": "proxy", "image": "registry.example.com/proxy:1.0"}
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [sound | broken, sidecar]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template},
    }


async def containers(control_plane: ControlPlane, namespace: str) -> list[Object]:
    """Statuses of the two containers, once a single pod has them."""

    async def reported() -> list[Object]:
        pods = (await control_plane.admin.get(f"/api/v1/namespaces/{namespace}/pods"))["items"]
        return pods[0]["status"].get("containerStatuses", []) if len(pods) == 1 else []

    return await control_plane.eventually(reported, "container statuses")


@pytest.mark.parametrize(
    ("broken", "state", "last_state"),
    [
        ("image", {"waiting": "ImagePullBackOff"}, {}),
        ("command", {"waiting": "CrashLoopBackOff"}, {"terminated": "Error"}),
        ("memory", {"waiting": "CrashLoopBackOff"}, {"terminated": "OOMKilled"}),
        ("probe", {"running": None}, {}),
    ],
)
async def test_broken_container_fails_and_its_sidecar_does_not(
    control_plane: ControlPlane,
    namespace: str,
    broken: str,
    state: dict[str, str | None],
    last_state: dict[str, str],
) -> None:
    await control_plane.admin.apply(deployment(namespace, BROKEN[broken]))
    web, proxy = await containers(control_plane, namespace)
    assert {kind: value.get("reason") for kind, value in web["state"].items()} == state
    assert {kind: value["reason"] for kind, value in web["lastState"].items()} == last_state
    assert (web["ready"], proxy["ready"]) == (False, True)
    events = f"/api/v1/namespaces/{namespace}/events"

    async def warned() -> bool:
        return any(event["type"] == "Warning" for event in (await listed(control_plane, events)))

    await control_plane.eventually(warned, "Warning event")


@pytest.mark.parametrize("broken", sorted(BROKEN))
async def test_right_fix_heals(control_plane: ControlPlane, namespace: str, broken: str) -> None:
    await control_plane.admin.apply(deployment(namespace, BROKEN[broken]))
    await containers(control_plane, namespace)
    await control_plane.admin.apply(deployment(namespace, {}))
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"

    async def available() -> bool:
        status = (await control_plane.admin.get(path))["status"]
        return status.get("readyReplicas") == 1 and status.get("unavailableReplicas", 0) == 0

    await control_plane.eventually(available, "Deployment available")


async def listed(control_plane: ControlPlane, path: str) -> list[Object]:
    return (await control_plane.admin.get(path))["items"]
