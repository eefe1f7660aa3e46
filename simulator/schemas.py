"""Structural schemas of custom resources: type checks, unknown fields and pruning.

The schema is that of the kind's CustomResourceDefinition; where that is open, as of most kinds of
the scenes, every field is kept.
"""

from __future__ import annotations

import re
from typing import Any

from simulator.kinds import Kind, Obj, copied
from simulator.status import Cause, invalid_value, required

_HAS = re.compile(r"has\(self\.(\w+)\)")
_UNCHECKED = (
    "some validation rules were not checked because the object was invalid; correct the existing "
    "errors to complete validation"
)
OPEN: Obj = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def schema_of(kind: Kind) -> Obj:
    """Return the OpenAPI v3 schema of a custom kind's objects."""
    return kind.schema or OPEN


def unknown_fields(kind: Kind, obj: Obj) -> list[str]:
    """Return the paths of the fields that a custom kind's schema does not know."""
    if not kind.is_custom:
        return []
    body = {k: copied(v) for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    found: list[str] = []
    _walk(schema_of(kind), body, "", found)
    return sorted(found)


def prune(kind: Kind, obj: Obj) -> Obj:
    """Return the object without the fields that a custom kind's schema does not know."""
    if not kind.is_custom:
        return obj
    metadata = {k: obj[k] for k in ("apiVersion", "kind", "metadata") if k in obj}
    body = {k: copied(v) for k, v in obj.items() if k not in metadata}
    _walk(schema_of(kind), body, "", [])
    return metadata | body


def _walk(schema: Obj, value: Any, path: str, found: list[str]) -> None:
    """Collect the unknown fields below a value and remove them from it."""
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get(
        "x-kubernetes-int-or-string"
    ):
        return
    if isinstance(value, list):
        for position, item in enumerate(value):
            _walk(schema.get("items", {}), item, f"{path}[{position}]", found)
    elif isinstance(value, dict):
        properties = schema.get("properties")
        extra = schema.get("additionalProperties")
        for name in list(value):
            here = f"{path}.{name}" if path else name
            if properties is not None and name in properties:
                if value[name] is None and not properties[name].get("nullable"):
                    del value[name]
                    continue
                _walk(properties[name], value[name], here, found)
            elif extra:
                _walk(extra, value[name], here, found)
            elif properties is not None:
                found.append(here)
                del value[name]


def schema_errors(kind: Kind, obj: Obj) -> list[Cause]:
    """Return every way in which a custom object breaks its schema."""
    if not kind.is_custom:
        return []
    body = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata")}
    causes: list[Cause] = []
    _check(schema_of(kind), body, "", causes)
    if causes:
        return [*causes, invalid_value("<nil>", None, _UNCHECKED)]
    _check_rules(schema_of(kind), body, "", causes)
    return causes


def _check_rules(schema: Obj, value: Any, path: str, causes: list[Cause]) -> None:
    """Evaluate the CEL rules of the one form that Istio uses: at most one of some fields."""
    if isinstance(value, list):
        for position, item in enumerate(value):
            _check_rules(schema.get("items", {}), item, f"{path}[{position}]", causes)
    elif isinstance(value, dict):
        for rule in schema.get("x-kubernetes-validations", ()):
            if sum(name in value for name in _HAS.findall(rule["rule"])) > 1:
                causes.append(Cause("FieldValueInvalid", f"Invalid value: {rule['message']}", path))
        for name, child in value.items():
            here = f"{path}.{name}" if path else name
            _check_rules(schema.get("properties", {}).get(name, {}), child, here, causes)


_GO_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return "number"
    return next(name for name, kind in _GO_TYPES.items() if type(value) is kind)


def _check(schema: Obj, value: Any, path: str, causes: list[Cause]) -> None:
    wanted = schema.get("type")
    if wanted and _type_name(value) != wanted and path:
        text = f'{path} in body must be of type {wanted}: "{_type_name(value)}"'
        shown = f'"{_type_name(value)}"'
        causes.append(Cause("FieldValueTypeInvalid", f"Invalid value: {shown}: {text}", path))
        return
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                causes.append(required(f"{path}.{name}" if path else name))
        properties = schema.get("properties", {})
        for name, child in value.items():
            here = f"{path}.{name}" if path else name
            _check(
                properties.get(name, schema.get("additionalProperties") or {}), child, here, causes
            )
    elif isinstance(value, list):
        if len(value) > schema.get("maxItems", len(value)):
            text = f"must have at most {schema['maxItems']} items"
            causes.append(Cause("FieldValueTooMany", f"Too many: {len(value)}: {text}", path))
        if len(value) < schema.get("minItems", 0):
            text = f"{path} in body should have at least {schema['minItems']} items"
            causes.append(invalid_value(path, len(value), text))
        for position, item in enumerate(value):
            _check(schema.get("items", {}), item, f"{path}[{position}]", causes)
    else:
        _check_value(schema, value, path, causes)


def _check_value(schema: Obj, value: Any, path: str, causes: list[Cause]) -> None:
    allowed = schema.get("enum")
    if allowed and value not in allowed:
        listed = ", ".join(f'"{item}"' for item in allowed)
        text = f'Unsupported value: "{value}": supported values: {listed}'
        causes.append(Cause("FieldValueNotSupported", text, path))
    if not isinstance(value, int | float):
        return
    if value < schema.get("minimum", value):
        text = f"{path} in body should be greater than or equal to {schema['minimum']}"
        causes.append(invalid_value(path, value, text))
    if value > schema.get("maximum", value):
        text = f"{path} in body should be less than or equal to {schema['maximum']}"
        causes.append(invalid_value(path, value, text))
