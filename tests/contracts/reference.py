"""Describes every operation, and writes what is generated from that: golden catalog and docs.

`python -m tests.contracts.reference golden|docs|check`; `make golden docs` after a wanted change.
"""

import json
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from api.operations import route_path
from cloudpilot import config_example
from cloudpilot.operation import Operation
from tests.contracts.tree import ROOT
from tools import toolsets

GOLDEN = ROOT / "tests" / "contracts" / "golden" / "catalog.json"
OPERATIONS = ROOT / "docs" / "operations.md"
CONFIG = ROOT / "config.example.yaml"
_HEAD = """\
# Operations

Everything CloudPilot can do, from the same registry that makes the REST routes, the assistant's
tools and the commands of `main.py run`. Written by `make docs`; the exact schemas of every request
and answer are in `GET /openapi.json`.

Every REST answer has one shape: `{"code", "message", "data", "request_id"}`, and on failure
`"error": {"type", "hint", "details"}` beside it. `{cluster}` is a name that `list_clusters` gives.

- **read** answers at once, from memory or from the cluster.
- **write** and **destroy** write nothing: the answer is `202` with a plan that a human approves.
- **manage** changes CloudPilot's own records, never a cluster; the assistant is not offered it.
"""


def operations() -> list[Operation]:
    """Every operation, by name."""
    found = [operation for toolset in toolsets() for operation in toolset.operations]
    return sorted(found, key=lambda operation: operation.name)


def golden() -> str:
    """All that any door shows of every operation, as JSON."""
    return json.dumps([_described(item) for item in operations()], indent=2) + "\n"


def reference() -> str:
    """The page that people read."""
    lines = [_HEAD]
    by_toolset = sorted(operations(), key=lambda operation: (operation.toolset, operation.name))
    for toolset, members in groupby(by_toolset, key=lambda operation: operation.toolset):
        lines += [f"## {toolset}", ""]
        for operation in members:
            lines += [*_section(operation), ""]
    return "\n".join(lines).rstrip() + "\n"


def generated() -> dict[Path, str]:
    """What each generated file should hold."""
    return {GOLDEN: golden(), OPERATIONS: reference(), CONFIG: config_example.render()}


def _described(operation: Operation) -> dict[str, Any]:
    return {
        "name": operation.name,
        "toolset": operation.toolset,
        "doc": operation.doc,
        "method": operation.method,
        "route": route_path(operation),
        "effect": operation.effect.value,
        "scope": operation.scope.value,
        "doors": sorted(door.value for door in operation.doors),
        "example": dict(operation.example),
        "params": operation.params.model_json_schema(),
        "result": operation.result.model_json_schema(mode="serialization"),
    }


def _section(operation: Operation) -> Iterator[str]:
    yield f"### {operation.name}"
    yield ""
    yield f"`{operation.method} {route_path(operation)}` · **{operation.effect.value}**"
    yield ""
    yield operation.doc
    schema = operation.params.model_json_schema()
    properties, types = schema.get("properties", {}), schema.get("$defs", {})
    if operation.example:
        yield ""
        yield f"Example: `{json.dumps(dict(operation.example))}`"
    if not properties:
        return
    yield ""
    yield "| argument | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, shape in properties.items():
        needed = name in schema.get("required", ())
        default = "needed" if needed else f"`{json.dumps(shape.get('default'))}`"
        yield f"| `{name}` | {_type(shape)} | {default} | {meaning(shape, types)} |"


def meaning(shape: dict[str, Any], types: dict[str, Any]) -> str:
    """The words of an argument: its own, else those of its type."""
    choices = [shape, *shape.get("anyOf", ())]
    parts = [*choices, *(choice["items"] for choice in choices if "items" in choice)]
    named = [types[part["$ref"].rpartition("/")[2]] for part in parts if "$ref" in part]
    texts = (item.get("description", "") for item in (*choices, *named))
    return " ".join(next((text for text in texts if text), "").split())


def _type(shape: dict[str, Any]) -> str:
    if "$ref" in shape:
        return str(shape["$ref"]).rpartition("/")[2]
    if "anyOf" in shape:
        return " or ".join(_type(item) for item in shape["anyOf"] if item.get("type") != "null")
    if "enum" in shape:
        return " or ".join(f"`{value}`" for value in shape["enum"])
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}))}"
    return str(shape.get("type", "any"))


def main(arguments: list[str]) -> int:
    """Write the golden catalog or the docs, or say what is not up to date."""
    chosen = {"golden": [GOLDEN], "docs": [OPERATIONS, CONFIG], "check": list(generated())}
    if len(arguments) != 1 or arguments[0] not in chosen:
        print(__doc__)
        return 2
    stale = []
    for path in chosen[arguments[0]]:
        text = generated()[path]
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path)
        if arguments[0] != "check":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(path.relative_to(ROOT))
    return int(bool(stale) and arguments[0] == "check")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
