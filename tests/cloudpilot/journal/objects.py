"""Objects for the journal's tests, as the mirror holds them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import msgspec

from cloudpilot.cache.delta import Delta
from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects.meta import KubeObject

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LONG_AGO = "2026-01-01T00:00:00Z"


def mirrored(kind: str, obj: dict[str, Any]) -> KubeObject:
    """An object as the mirror keeps it: projected, and with its body where its kind keeps one."""
    metadata = {"namespace": "shop", "uid": "1", "creationTimestamp": LONG_AGO}
    whole = {**obj, "metadata": metadata | obj.get("metadata", {})}
    found: KubeObject = msgspec.convert(whole, KINDS[kind].projection, strict=False)
    if KINDS[kind].keeps_body:
        body = {key: value for key, value in whole.items() if key not in ("metadata", "status")}
        found.body = json.dumps(body).encode()
    return found


def modified(
    kind: str, old: dict[str, Any], new: dict[str, Any], managed: list[Any] | None = None
) -> Delta:
    """An object's change as the handler is told of it, with who wrote it if that is known."""
    raw = None
    if managed is not None:
        raw = msgspec.Raw(json.dumps({"metadata": {"managedFields": managed}}).encode())
    return Delta(KINDS[kind], mirrored(kind, old), mirrored(kind, new), raw)


def deployment(image: str = "web:1", **spec: Any) -> dict[str, Any]:
    """A Deployment of one container."""
    template = {"spec": {"containers": [{"name": "web", "image": image}]}}
    return {
        "metadata": {"name": "cart"},
        "spec": {"replicas": 2, "template": template} | spec,
    }


def pod(
    state: dict[str, Any] | None = None,
    *,
    restarts: int = 0,
    last: dict[str, Any] | None = None,
    ready: bool = False,
    phase: str = "Running",
    **metadata: Any,
) -> dict[str, Any]:
    """A pod of one container that belongs to a ReplicaSet of `cart`."""
    owner = {"kind": "ReplicaSet", "name": "cart-abc", "uid": "9", "controller": True}
    status = {
        "name": "web",
        "ready": ready,
        "restartCount": restarts,
        "state": state or {"running": {"startedAt": LONG_AGO}},
        "lastState": {"terminated": last} if last else {},
    }
    return {
        "metadata": {"name": "cart-abc-1", "ownerReferences": [owner], **metadata},
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "web:1"}]},
        "status": {
            "phase": phase,
            "containerStatuses": [status],
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Initialized", "status": "True"},
                {"type": "Ready", "status": str(ready)},
            ],
        },
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """The state of a container that waits."""
    return {"waiting": {"reason": reason, "message": message}}


def ended(
    exit_code: int, reason: str = "Error", at: str = "2026-01-31T11:59:58Z"
) -> dict[str, Any]:
    """How a container ended."""
    return {"exitCode": exit_code, "reason": reason, "finishedAt": at}
