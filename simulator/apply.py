"""Who owns which field (`metadata.managedFields`) and server-side apply on top of it.

Ownership is kept per leaf. A path is a tuple of the elements that FieldsV1 uses: `f:name` for a
field, `k:{...}` for the item of a keyed list; lists without a key are owned as a whole. Apply
conflicts where a field has another owner and another value. Defaulted fields have no owner here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from simulator.kinds import Obj, copied
from simulator.patch import MERGE_KEYS
from simulator.status import ApiError, Cause

Path = tuple[str, ...]
Fields = set[Path]

_UNOWNED = frozenset(
    {
        "f:creationTimestamp",
        "f:deletionGracePeriodSeconds",
        "f:deletionTimestamp",
        "f:generateName",
        "f:generation",
        "f:managedFields",
        "f:name",
        "f:namespace",
        "f:resourceVersion",
        "f:selfLink",
        "f:uid",
    }
)
_KEYED = {**{field: (key,) for field, key in MERGE_KEYS.items()}, "ports": ()}


def _keys(field: str, item: Any, custom: bool) -> tuple[str, ...] | None:
    """Return the key fields of a list's items, or None where the list is owned as a whole."""
    if field == "ownerReferences":
        return ("uid",)
    if custom or field not in _KEYED or not isinstance(item, dict):
        return None
    if field == "ports":
        return ("containerPort" if "containerPort" in item else "port", "protocol")
    return _KEYED[field]


def _element(item: Obj, keys: tuple[str, ...]) -> str:
    values = {key: item.get(key, "TCP" if key == "protocol" else "") for key in keys}
    return "k:" + json.dumps(values, separators=(",", ":"))


def fields_of(value: Any, custom: bool, path: Path = ()) -> dict[Path, Any]:
    """Return every owned leaf of an object with its value."""
    if isinstance(value, dict) and value:
        leaves: dict[Path, Any] = {}
        for name, child in value.items():
            if path in ((), ("f:metadata",)) and (
                name in ("apiVersion", "kind") or f"f:{name}" in _UNOWNED and path
            ):
                continue
            leaves |= fields_of(child, custom, (*path, f"f:{name}"))
        return leaves
    if isinstance(value, list) and value and path:
        keys = _keys(path[-1][2:], value[0], custom)
        if keys:
            leaves = {}
            for item in value:
                here = (*path, _element(item, keys))
                leaves |= {(*here, "."): None} | fields_of(item, custom, here)
            return leaves
    return {path: value}


def _encode(paths: Iterable[Path]) -> Obj:
    tree: Obj = {}
    for path in sorted(paths):
        node = tree
        for element in path:
            node = node.setdefault(element, {})
    return tree


def _decode(tree: Obj, path: Path = ()) -> Fields:
    if not tree:
        return {path}
    return {leaf for name, child in tree.items() for leaf in _decode(child, (*path, name))}


def _entry(obj: Obj, manager: str, operation: str, subresource: str) -> Obj | None:
    for entry in obj["metadata"].get("managedFields") or ():
        if (
            entry["manager"] == manager
            and entry["operation"] == operation
            and entry.get("subresource", "") == subresource
        ):
            found: Obj = entry
            return found
    return None


def _set_entry(obj: Obj, entry: Obj, fields: Fields) -> None:
    entries = obj["metadata"].setdefault("managedFields", [])
    if entry in entries:
        entries.remove(entry)
    if fields:
        entries.append({**entry, "fieldsType": "FieldsV1", "fieldsV1": _encode(fields)})


def _disown(obj: Obj, fields: Fields, keep: Obj | None) -> None:
    for entry in list(obj["metadata"].get("managedFields") or ()):
        owned = _decode(entry["fieldsV1"])
        if entry is not keep and owned & fields:
            _set_entry(obj, entry, owned - fields)


def record_update(
    before: Obj | None, after: Obj, manager: str, now: str, custom: bool, subresource: str = ""
) -> None:
    """Note in `after` that a manager wrote the fields in which it differs from `before`."""
    metadata = after["metadata"]
    if before is not None:
        metadata["managedFields"] = copied(before["metadata"].get("managedFields") or [])
    old = fields_of(before, custom) if before is not None else {}
    new = fields_of(after, custom)
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    _disown(after, changed | (old.keys() - new.keys()), None)
    if changed:
        entry = _entry(after, manager, "Update", subresource)
        owned = _decode(entry["fieldsV1"]) if entry else set()
        fresh = _new_entry(after, manager, "Update", now, subresource)
        if entry:
            metadata["managedFields"].remove(entry)
        _set_entry(after, fresh, owned | changed)
    if not metadata.get("managedFields"):
        metadata.pop("managedFields", None)


def _new_entry(obj: Obj, manager: str, operation: str, now: str, subresource: str) -> Obj:
    entry = {
        "manager": manager,
        "operation": operation,
        "apiVersion": obj["apiVersion"],
        "time": now,
        "fieldsType": "FieldsV1",
    }
    return entry | ({"subresource": subresource} if subresource else {})


# -- apply -------------------------------------------------------------------------------------


def apply(live: Obj, applied: Obj, manager: str, now: str, *, custom: bool, force: bool) -> Obj:
    """Merge an applied configuration into the live object.

    Raises:
        ApiError: 409 naming each field that another manager owns, unless forced.
    """
    merged = copied(live)
    wanted = fields_of(applied, custom)
    present = fields_of(live, custom)
    taken = {p for p, value in wanted.items() if present.get(p, _ABSENT) != value}
    conflicts = list(_conflicts(live, taken, manager))
    if conflicts and not force:
        raise _conflict_error(conflicts)
    _disown(merged, taken, _entry(merged, manager, "Apply", ""))
    entry = _entry(merged, manager, "Apply", "")
    owned_before = _decode(entry["fieldsV1"]) if entry else set()
    others = {
        path
        for other in merged["metadata"].get("managedFields") or ()
        if other is not entry
        for path in _decode(other["fieldsV1"])
    }
    for path in sorted(owned_before - wanted.keys() - others, key=len, reverse=True):
        _drop(merged, path)
    _merge(merged, applied, custom)
    if entry and owned_before == wanted.keys() and merged == live:
        return merged
    if entry:
        merged["metadata"]["managedFields"].remove(entry)
    fresh = _new_entry(merged, manager, "Apply", now, "") | {"apiVersion": applied["apiVersion"]}
    _set_entry(merged, fresh, set(wanted))
    return merged


_ABSENT = object()


def _conflicts(live: Obj, taken: Fields, manager: str) -> Iterable[Cause]:
    for entry in live["metadata"].get("managedFields") or ():
        if entry["manager"] == manager and entry["operation"] == "Apply":
            continue
        who = f'conflict with "{entry["manager"]}"'
        if entry.get("subresource"):
            who += f' with subresource "{entry["subresource"]}"'
        if entry["operation"] == "Update":
            who += f" using {entry['apiVersion']}"
        for path in sorted(_decode(entry["fieldsV1"]) & taken):
            if path[-1] != ".":
                yield Cause("FieldManagerConflict", who, _dotted(path))


def _conflict_error(conflicts: list[Cause]) -> ApiError:
    managers: dict[str, list[str]] = {}
    for cause in conflicts:
        managers.setdefault(cause.message, []).append(cause.field)
    if len(conflicts) == 1:
        listed = f"{conflicts[0].message}: {conflicts[0].field}"
        text = f"Apply failed with 1 conflict: {listed}"
    else:
        lines = [
            f"{who.replace('conflict', 'conflicts', 1)}:\n- " + "\n- ".join(fields)
            if len(fields) > 1
            else f"{who}: {fields[0]}"
            for who, fields in managers.items()
        ]
        text = f"Apply failed with {len(conflicts)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", text, {"causes": [cause.as_dict() for cause in conflicts]})


def _dotted(path: Path) -> str:
    text = ""
    for element in path:
        if element.startswith("f:"):
            text += "." + element[2:]
        elif element.startswith("k:"):
            pairs = json.loads(element[2:]).items()
            text += "[" + ",".join(f"{k}={json.dumps(v)}" for k, v in pairs) + "]"
    return text


def _drop(obj: Any, path: Path) -> None:
    """Remove a field that its only owner no longer applies."""
    removals: list[Callable[[], Any]] = []
    node = obj
    for element in path:
        if element.startswith("f:") and isinstance(node, dict) and element[2:] in node:
            name, holder = element[2:], node
            removals.append(partial(holder.pop, name, None))
            node = node[name]
        elif element.startswith("k:") and isinstance(node, list):
            wanted = json.loads(element[2:]).items()
            item = next((i for i in node if wanted <= ({"protocol": "TCP"} | i).items()), None)
            if item is None:
                return
            removals.append(partial(node.remove, item))
            node = item
        elif element != ".":
            return
    if removals:
        removals[-1]()


def _merge(target: Obj, applied: Obj, custom: bool) -> None:
    for name, value in applied.items():
        current = target.get(name)
        keys = _keys(name, value[0], custom) if isinstance(value, list) and value else None
        if isinstance(value, dict) and isinstance(current, dict):
            _merge(current, value, custom)
        elif keys and isinstance(current, list):
            by_key = {_element(item, keys): item for item in current}
            for item in value:
                if (element := _element(item, keys)) in by_key:
                    _merge(by_key[element], item, custom)
                else:
                    current.append(copied(item))
        else:
            target[name] = copied(value)
