"""The controller at the top of an object: a pod's Deployment, not its ReplicaSet."""

from __future__ import annotations

from collections.abc import Callable

from cloudpilot.kube.objects.meta import KubeObject, OwnerReference

Find = Callable[[str, str, str], KubeObject | None]
"""Finds an object by kind, namespace and name, in what is in memory already."""
_DEEPEST = 5
_HASH_LABEL = "pod-template-hash"


def top_owner(obj: KubeObject, find: Find) -> tuple[str, str]:
    """Return kind and name of the topmost controller; empty strings for an object without one.

    A ReplicaSet that is gone already is looked through by its name, which is its Deployment's with
    the hash that its pods carry.
    """
    kind = name = ""
    current: KubeObject | None = obj
    for _ in range(_DEEPEST):
        owner = _controller(current) if current is not None else None
        if owner is None:
            break
        suffix = f"-{obj.metadata.labels.get(_HASH_LABEL, '')}"
        kind, name = owner.kind, owner.name
        current = find(kind, obj.namespace, name)
        if current is None and kind == "ReplicaSet" and len(suffix) > 1 and name.endswith(suffix):
            return "Deployment", name.removesuffix(suffix)
    return kind, name


def _controller(obj: KubeObject) -> OwnerReference | None:
    return next((owner for owner in obj.metadata.owner_references if owner.controller), None)
