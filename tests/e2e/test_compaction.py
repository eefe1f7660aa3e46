"""etcd forgets old revisions: 410 from the real API server, and what the mirror does then."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from cloudpilot.cache.connection import ConnectionState
from tests.cloudpilot.waiting import eventually
from tests.controlplane.access import SERVICE_USER
from tests.controlplane.api import ApiError, Object
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.mirror_check import assert_mirrors
from tests.e2e.mirrored import RULES, Editor, access_through, mirroring
from tests.fakes.chaos_proxy import ChaosProxy

PODS = "/api/v1/pods"
pytestmark = pytest.mark.timeout(300)  # each wait in them is bounded by itself


async def restart(control_plane: ControlPlane) -> None:
    """With an API server that was there all the time the watch cache would remember."""
    control_plane.components["kube-apiserver"].kill()
    control_plane.components["kube-apiserver"].start()
    await control_plane.eventually(lambda: control_plane.admin.text("/readyz"), "back again", 90.0)


def lists(control_plane: ControlPlane) -> int:
    """How often pods were listed, in pages or by a stream."""
    asked = [
        event
        for event in control_plane.audit_events(SERVICE_USER)
        if event.get("objectRef", {}).get("resource") == "pods"
        and (event["verb"] == "list" or "sendInitialEvents" in event["requestURI"])
    ]
    return len({event["auditID"] for event in asked})


async def test_watch_from_a_compacted_revision_lists_again(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    editor = Editor(control_plane.admin, namespace)
    await editor.change()
    async with ChaosProxy(control_plane.url) as proxy, control_plane.granted(RULES):
        access = await access_through(proxy.url, control_plane, tmp_path, SERVICE_USER)
        async with mirroring(access) as mirror:
            await assert_mirrors(mirror, control_plane.admin)
            await proxy.refuse()
            proxy.cut()
            await eventually(lambda: mirror.connection.state is ConnectionState.UNREACHABLE, 30)
            before = lists(control_plane)
            last = (await control_plane.admin.get(PODS))["metadata"]["resourceVersion"]
            await editor.change()
            assert await control_plane.compact() > int(last)
            await restart(control_plane)
            [error] = await watched(control_plane, last)
            assert (error["type"], error["object"]["code"]) == ("ERROR", 410)
            await editor.change()
            await proxy.restore()
            await assert_mirrors(mirror, control_plane.admin, 90)
            assert mirror["Pod"].get(namespace, f"round-{editor.rounds}")
            assert mirror["Pod"].get(namespace, "round-1") is None
        assert lists(control_plane) > before


async def watched(control_plane: ControlPlane, version: str) -> list[Object]:
    """All that a watch from a version says within a second."""
    query = {"watch": "1", "timeoutSeconds": "1", "resourceVersion": version}
    answer: httpx.Response = await control_plane.admin.request("GET", PODS, params=query)
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_continue_token_of_a_compacted_revision_is_410(
    control_plane: ControlPlane, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for number in range(3):
        metadata = {"name": f"map-{number}", "namespace": namespace}
        await control_plane.admin.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        )
    page = await control_plane.admin.get(path, limit=1)
    await control_plane.admin.delete(f"{path}/map-2")
    await control_plane.compact()
    await restart(control_plane)
    query = {"limit": 1, "continue": page["metadata"]["continue"]}
    with pytest.raises(ApiError, match="410: The provided continue parameter is too old"):
        await control_plane.admin.get(path, **query)
