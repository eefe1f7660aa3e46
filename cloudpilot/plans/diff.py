"""What a change does to an object, field by field: pure functions over raw objects.

Bookkeeping that the server changes by itself is no difference. Values are compared raw and shown
masked, so that one secret replaced by another still shows as a change.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from cloudpilot.kube.redact import redact_value
from cloudpilot.plans.canonical import canonical_json, digest
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
    return list(_walk("", old, new, redact_value(old), redact_value(new)))


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
    text = ""
    for key in path:
        text = _below(text, key)
    return text


def _walk(path: str, old: Any, new: Any, shown_old: Any, shown_new: Any) -> Iterator[FieldDiff]:
    """Compare raw values; yield the masked ones, which have the same shape."""
    if canonical_json(old) == canonical_json(new):
        return
    for split in (_fields, _items):
        olds, news = split(old, shown_old), split(new, shown_new)
        if olds is None or news is None or not (olds or news):
            continue
        if split is _items:
            kept, keeps = [key for key in olds if key in news], [key for key in news if key in olds]
            if kept != keeps:
                yield FieldDiff(path=f"{path} (order)", before=list(olds), after=list(news))
        for key in dict.fromkeys((*olds, *news)):
            name = _below(path, key) if split is _fields else f"{path}[{key}]"
            (a, shown_a), (b, shown_b) = olds.get(key, _NOTHING), news.get(key, _NOTHING)
            yield from _walk(name, a, b, shown_a, shown_b)
        return
    yield FieldDiff(path=path, before=shown_old, after=shown_new)


_NOTHING = (None, None)


def _fields(value: Any, shown: Any) -> dict[str, tuple[Any, Any]] | None:
    """Return a mapping's fields, raw and masked, in a stable order; None if it is no mapping."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return None
    return {key: (value[key], shown[key]) for key in sorted(value)}


def _items(value: Any, shown: Any) -> dict[str, tuple[Any, Any]] | None:
    """Return a list's items, raw and masked, by their names; None if they have none or share one.

    So a server that is inserted first shows as one new server, not as a change of each.
    """
    if value is None:
        return {}
    if not isinstance(value, list):
        return None
    named = {}
    for item, shown_item in zip(value, shown, strict=True):
        name = _name(item)
        if name is None or name in named:
            return None
        named[name] = (item, shown_item)
    return named


def _name(item: Any) -> str | None:
    if not isinstance(item, dict):
        return None
    port = item.get("port")
    name = port.get("name") if isinstance(port, dict) else item.get("name")
    return name if isinstance(name, str) and name else None


def _below(path: str, key: str) -> str:
    if "." in key or "[" in key or not key:
        return f'{path}["{key}"]'
    return f"{path}.{key}" if path else key
