"""Objects for tests of the graph, decoded as the mirror decodes them."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects.meta import KubeObject

_METADATA = {"labels", "ownerReferences", "uid", "deletionTimestamp", "annotations"}


def sent(kind: str, name: str, namespace: str = "", **parts: Any) -> dict[str, Any]:
    """As a server sends it; a few parts of metadata are given like any other."""
    metadata = {"name": name, "namespace": namespace, "uid": f"{kind}/{namespace}/{name}"}
    metadata |= {key: parts.pop(key) for key in _METADATA & parts.keys()}
    return {"metadata": metadata, **parts}


def decoded(kind: str, name: str, namespace: str = "", **parts: Any) -> KubeObject:
    """As the mirror holds it."""
    body = json.dumps(sent(kind, name, namespace, **parts))
    return msgspec.json.decode(body, type=KINDS[kind].projection)


def owned_by(kind: str, name: str, namespace: str, group: str = "apps/v1") -> dict[str, Any]:
    """The `ownerReferences` that name one object made by `sent`."""
    owner = {"apiVersion": group, "kind": kind, "name": name, "uid": f"{kind}/{namespace}/{name}"}
    return {"ownerReferences": [owner | {"controller": True}]}
