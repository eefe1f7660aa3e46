"""Which objects' free text a conversation has read: anybody may have written such text.

A plan that is proposed afterwards names these objects, so that the person who decides knows whose
words the model could have followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from langchain_core.messages import AnyMessage, BaseMessage, ToolMessage

MOST = 20
_FREE_TEXT = frozenset({"message", "messages", "events", "logs", "lines", "annotations"})


def objects_with_text(operation: str, data: Any) -> list[str]:
    """Return the objects of a result that carry free text, e.g. `pod shop/api-0`."""
    noun = operation.partition("_")[2].removesuffix("s") or operation
    return list(dict.fromkeys(_walk(data, noun, None)))[:MOST]


def read_so_far(messages: Iterable[AnyMessage | BaseMessage]) -> tuple[str, ...]:
    """Return the objects whose text is still in front of the model."""
    found: dict[str, None] = {}
    for message in messages:
        if isinstance(message, ToolMessage) and isinstance(message.artifact, dict):
            found.update(dict.fromkeys(message.artifact.get("taint", ())))
    return tuple(found)[:MOST]


def _walk(node: Any, noun: str, owner: str | None) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, noun, owner)
    if not isinstance(node, dict):
        return
    about = node
    if owner is None and "name" not in node:  # an answer about one object holds it by its noun
        inner = (value for value in node.values() if isinstance(value, dict) and "name" in value)
        about = next(inner, node)
    name, namespace = about.get("name"), about.get("namespace")
    if isinstance(name, str) and (namespace or owner is None):
        owner = f"{about.get('kind') or noun} {namespace}/{name}" if namespace else f"{noun} {name}"
    if owner and any(node.get(key) for key in _FREE_TEXT):
        yield owner
    for key, value in node.items():
        if key not in _FREE_TEXT:
            yield from _walk(value, noun, owner)
