"""Arguments as a model is told them: small enough that a dozen tools cost few tokens.

The operation validates, so what a schema leaves out (patterns, lengths) is not lost: a wrong value
comes back as a sentence that names the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_core.utils.json_schema import dereference_refs
from pydantic import BaseModel

from agent.budget import CHARS_PER_TOKEN
from cloudpilot.operation import Operation, Scope

MOST_TOKENS = 500
"""Of one tool's arguments; above it optional objects shrink to the names of their fields."""
_SEVERAL = {
    "clusters": {
        "type": "array",
        "items": {"type": "string"},
        "description": 'instead: several at once, ["*"] for all',
    }
}
_DROPPED = frozenset(
    (
        "title",
        "$defs",
        "additionalProperties",
        "examples",
        "pattern",
        "format",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
    )
)


def about_clusters(operation: Operation) -> dict[str, Any]:
    """Return the arguments that choose clusters, which no operation lists among its own."""
    if operation.scope is not Scope.CLUSTER or "cluster" in operation.params.model_fields:
        return {}
    one = {"cluster": {"type": "string", "description": "default: selected"}}
    return one | _SEVERAL if operation.params_across else one


def schema_of(operation: Operation) -> dict[str, Any]:
    """Return the JSON schema of an operation's arguments for a model."""
    schema = _schema_of(operation.params)
    schema["properties"] |= about_clusters(operation)
    return schema


def _schema_of(params: type[BaseModel]) -> dict[str, Any]:
    schema: dict[str, Any] = _compact(dereference_refs(params.model_json_schema()))
    schema.setdefault("properties", {})
    while len(json.dumps(schema)) > MOST_TOKENS * CHARS_PER_TOKEN:
        optional = list(_optional_objects(schema))
        if not optional:
            break
        properties, name = max(optional, key=lambda found: len(json.dumps(found[0][found[1]])))
        properties[name] = _shrunk(properties[name])
    return schema


def schema_tokens(tools: Sequence[BaseTool]) -> int:
    """Return about how many tokens it costs to describe these tools to a model."""
    described = json.dumps([convert_to_openai_tool(tool) for tool in tools], ensure_ascii=False)
    return len(described) // CHARS_PER_TOKEN


def _compact(node: Any) -> Any:
    """Drop what costs tokens and tells a model nothing; an optional value is just a value."""
    if isinstance(node, list):
        return [_compact(item) for item in node]
    if not isinstance(node, dict):
        return node
    variants = node.get("anyOf")
    if isinstance(variants, list):
        real = [variant for variant in variants if variant != {"type": "null"}]
        if len(real) == 1:
            node = {**real[0], **{key: node[key] for key in node if key != "anyOf"}}
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            kept[key] = {name: _compact(inner) for name, inner in value.items()}
        elif key not in _DROPPED and not (key == "default" and value in (None, [], {}, False, "")):
            kept[key] = _compact(value)
    return kept


def _optional_objects(node: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each optional property with fields of its own, none required, and where it is."""
    if not isinstance(node, dict):
        return
    properties = node.get("properties", {})
    for name, inner in properties.items():
        fields = inner.get("items", inner).get("properties")
        if (
            fields
            and name not in node.get("required", ())
            and not inner.get("items", inner).get("required")
        ):
            yield properties, name
        yield from _optional_objects(inner.get("items", inner))


def _shrunk(node: dict[str, Any]) -> dict[str, Any]:
    fields = node.get("items", node)["properties"]
    named = [
        f"{name} ({'|'.join(map(str, field['enum']))})" if "enum" in field else name
        for name, field in fields.items()
    ]
    text = f"{node.get('description', '')} Fields: {', '.join(named)}.".strip()
    return {"type": node.get("type", "object"), "description": text}
