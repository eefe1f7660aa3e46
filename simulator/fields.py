"""The types of built-in fields that are easily got wrong, in the words of Go's JSON decoder.

Custom kinds are checked against their schema instead (`schemas.py`); other fields of built-in
kinds are taken as they come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from simulator.kinds import Kind, Obj

_QUANTITY = re.compile(r"^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$")
_QUANTITY_ERROR = (
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
)
_GO_NAMES = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}


def type_error(kind: Kind, obj: Obj) -> str:
    """Return why an object cannot be decoded, or an empty string."""
    return next(_errors(kind, obj), "")


def _errors(kind: Kind, obj: Obj) -> Iterator[str]:
    metadata = obj["metadata"]
    for name in ("labels", "annotations"):
        yield from _string_map(f"ObjectMeta.metadata.{name}", metadata.get(name))
    if kind.is_custom:
        return
    if kind.resource in ("configmaps", "secrets"):
        yield from _string_map(f"{kind.kind}.data", obj.get("data"))
    spec = obj.get("spec")
    if spec is None:
        return
    if not isinstance(spec, dict):
        yield _mismatch(spec, f"{kind.kind}.spec", f"v1.{kind.kind}Spec")
        return
    if "replicas" in spec and type(spec["replicas"]) not in (int, type(None)):
        yield _mismatch(spec["replicas"], f"{kind.kind}Spec.spec.replicas", "int32")
    template = spec.get("template") if "template" in spec else {"spec": spec}
    pod_spec = (template or {}).get("spec") or {}
    for container in pod_spec.get("containers") or () if isinstance(pod_spec, dict) else ():
        resources = container.get("resources") or {}
        for amounts in (resources.get("requests"), resources.get("limits")):
            for quantity in (amounts or {}).values():
                if not _QUANTITY.match(str(quantity)):
                    yield _QUANTITY_ERROR


def _string_map(field: str, value: Any) -> Iterator[str]:
    if value is None:
        return
    if not isinstance(value, dict):
        yield _mismatch(value, field, "map[string]string")
        return
    for item in value.values():
        if not isinstance(item, str):
            yield _mismatch(item, field, "string")


def _mismatch(value: Any, field: str, wanted: str) -> str:
    found = _GO_NAMES.get(type(value), "object")
    return f"json: cannot unmarshal {found} into Go struct field {field} of type {wanted}"
