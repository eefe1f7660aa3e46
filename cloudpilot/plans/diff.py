"""What a change does to an object, field by field: pure functions over raw objects.

Bookkeeping that the server changes by itself is no difference. How fields are compared and named is
`cloudpilot.kube.differences`.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from cloudpilot.kube.differences import differences, show_steps
from cloudpilot.plans.canonical import digest
from cloudpilot.plans.plan import FieldDiff

MARKER = "cloudpilot.io/plan"
"""Annotation that names the plan which wrote the object last."""

_BOOKKEEPING = ("apiVersion", "kind", "status")
_METADATA_BOOKKEEPING = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
)
_ANNOTATION_BOOKKEEPING = ("kubectl.kubernetes.io/last-applied-configuration", MARKER)

Path = tuple[str, ...]


def clean(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the object without what the server keeps for itself; what identifies it goes too."""
    copy = {key: deepcopy(item) for key, item in obj.items() if key not in _BOOKKEEPING}
    metadata = copy.get("metadata")
    if isinstance(metadata, dict):
        for name in _METADATA_BOOKKEEPING:
            metadata.pop(name, None)
        annotations = metadata.get("annotations")
        if isinstance(annotations, dict):
            for name in _ANNOTATION_BOOKKEEPING:
                annotations.pop(name, None)
            if not annotations:
                del metadata["annotations"]
        if not metadata:
            del copy["metadata"]
    return copy


def diff(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[FieldDiff]:
    """Compare an object before and after; None is an object that is not there."""
    old, new = clean(before or {}), clean(after or {})
    return [
        FieldDiff(path=found.path, before=found.before, after=found.after)
        for found in differences(old, new)
    ]


def leaves(patch: dict[str, Any], path: Path = ()) -> list[Path]:
    """Return the paths that a JSON merge patch sets: arrays are replaced whole."""
    found: list[Path] = []
    for key, item in sorted(patch.items()):
        if isinstance(item, dict) and item:
            found += leaves(item, (*path, key))
        else:
            found.append((*path, key))
    return found


def field_hash(obj: dict[str, Any] | None, path: Path) -> str:
    """Hash the value at a path of a cleaned object; null and missing are one, as in the API."""
    value: Any = obj
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return digest(value)


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396) to a copy."""
    if not isinstance(patch, dict):
        return deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, item in patch.items():
        if item is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), item)
    return merged


def show_path(path: Path) -> str:
    """Write a path as the diff does."""
    return show_steps(path)
