"""JSON patch (RFC 6902), merge patch (RFC 7386) and strategic merge patch.

All three are pure: they return a patched copy. Server-side apply lives in `apply.py`.
"""

from __future__ import annotations

from typing import Any

from simulator.kinds import Obj, copied
from simulator.status import ApiError, bad_request

MERGE_KEYS = {
    "conditions": "type",
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_SETS = frozenset({"finalizers"})


def merge_key(field: str, items: list[Any]) -> str | None:
    """Return the field by which the items of a list are merged, if they are merged at all."""
    if field == "ports":
        in_container = any("containerPort" in item for item in items if isinstance(item, dict))
        return "containerPort" if in_container else "port"
    return MERGE_KEYS.get(field)


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch: objects merge, null deletes, everything else replaces."""
    if not isinstance(patch, dict):
        return copied(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


# -- strategic merge ---------------------------------------------------------------------------


def strategic_merge(target: Any, patch: Any, field: str = "") -> Any:
    """Apply a strategic merge patch: as a merge patch, but known lists merge by their key."""
    if isinstance(patch, list):
        return _merge_lists(target if isinstance(target, list) else [], patch, field)
    if not isinstance(patch, dict):
        return copied(patch)
    directive = patch.get("$patch")
    if directive == "delete":
        return {}
    merged = dict(target) if isinstance(target, dict) and directive != "replace" else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [item for item in merged.get(name, []) if item not in value]
        elif key == "$retainKeys":
            merged = {name: item for name, item in merged.items() if name in value}
        elif key.startswith("$"):
            continue
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = strategic_merge(merged.get(key), value, key)
    return merged


def _merge_lists(target: list[Any], patch: list[Any], field: str) -> list[Any]:
    if {"$patch": "replace"} in patch:
        return [copied(item) for item in patch if item != {"$patch": "replace"}]
    if field in _SETS:
        return target + [item for item in patch if item not in target]
    key = merge_key(field, [*target, *patch])
    if key is None:
        return copied(patch)
    merged = list(target)
    added = []
    for item in patch:
        if key not in item:
            text = f"map: {_go_map(item)} does not contain declared merge key: {key}"
            raise ApiError(500, "", text)
        position = next((i for i, old in enumerate(merged) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [old for old in merged if old.get(key) != item[key]]
        elif position is None:
            added.append(strategic_merge({}, item))
        else:
            merged[position] = strategic_merge(merged[position], item)
    return merged + added


def _go_map(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    return "map[" + " ".join(f"{k}:{_go_map(v)}" for k, v in sorted(item.items())) + "]"


# -- JSON patch --------------------------------------------------------------------------------


def json_patch(document: Obj, operations: Any) -> Obj:
    """Apply a list of JSON patch operations in order, all or none.

    Raises:
        ApiError: 400 for a malformed patch, 422 for one that does not fit the object.
    """
    if not isinstance(operations, list) or not all(isinstance(op, dict) for op in operations):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal object into Go value of type "
            "[]handlers.jsonPatchOp"
        )
    patched: Any = copied(document)
    for operation in operations:
        patched = _operate(patched, operation)
    result: Obj = patched
    return result


def _operate(document: Any, operation: Obj) -> Any:
    op, path = operation.get("op"), operation.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise unprocessable()
    if op == "add":
        return _add(document, path, copied(operation.get("value")))
    if op == "remove":
        return _remove(document, path)
    if op == "replace":
        return _replace(document, path, copied(operation.get("value")))
    if op == "test":
        if _find(document, path, missing=None) != operation.get("value"):
            raise unprocessable()
        return document
    if op in ("move", "copy"):
        value = copied(_find(document, operation.get("from", "")))
        if op == "move":
            document = _remove(document, operation.get("from", ""))
        return _add(document, path, value)
    raise unprocessable()


def unprocessable() -> ApiError:
    """422 as the server answers a JSON patch that does not fit: it does not say why."""
    text = "the server rejected our request due to an error in our request"
    return ApiError(422, "Invalid", text, {})


def _tokens(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


_RAISE = object()


def _find(document: Any, path: str, missing: Any = _RAISE) -> Any:
    for token in _tokens(path):
        if isinstance(document, dict) and token in document:
            document = document[token]
        elif isinstance(document, list) and token.isdigit() and int(token) < len(document):
            document = document[int(token)]
        elif missing is not _RAISE:
            return missing
        else:
            raise unprocessable()
    return document


def _parent(document: Any, path: str) -> tuple[Any, str]:
    parent = _find(document, path.rpartition("/")[0])
    if not isinstance(parent, dict | list):
        raise unprocessable()
    return parent, _tokens(path)[-1]


def _add(document: Any, path: str, value: Any) -> Any:
    parent, last = _parent(document, path)
    if isinstance(parent, dict):
        parent[last] = value
    elif last == "-":
        parent.append(value)
    elif last.isdigit() and int(last) <= len(parent):
        parent.insert(int(last), value)
    else:
        raise unprocessable()
    return document


def _replace(document: Any, path: str, value: Any) -> Any:
    """Replace a value; the server's library also adds a field that was not there."""
    parent, last = _parent(document, path)
    if isinstance(parent, dict):
        parent[last] = value
    else:
        _find(document, path)
        parent[int(last)] = value
    return document


def _remove(document: Any, path: str) -> Any:
    _find(document, path)
    parent, last = _parent(document, path)
    del parent[int(last) if isinstance(parent, list) else last]
    return document
