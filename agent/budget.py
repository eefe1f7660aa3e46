"""What the model sees of an operation's result: compact, fenced, and never over its budget.

A result that is too large is cut where it is largest, and says so: "shown N of M" and how to
narrow it. Everything from a cluster is data: it cannot close its fence, and control and
direction characters are escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CHARS_PER_TOKEN = 4
_LONG_STRING = 400
_UNSAFE = re.compile(r"[<\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_FENCE = re.compile(r"<data[^>]*>\n(.*)\n</data>", re.DOTALL)


def fence(data: Mapping[str, Any], **labels: str | None) -> str:
    """Return the data as compact JSON between fences that it cannot close."""
    marks = "".join(f' {key}="{_escape(value)}"' for key, value in labels.items() if value)
    return f"<data{marks}>\n{_dump(data)}\n</data>"


def unfence(text: str) -> dict[str, Any] | None:
    """Return the data of a fenced text, or None if there is none."""
    found = _FENCE.search(text)
    if not found:
        return None
    try:
        data = json.loads(found[1])
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def fit(data: dict[str, Any], tokens: int, narrow: Sequence[str] = ()) -> dict[str, Any]:
    """Cut the data to a number of tokens; `narrow` names the arguments that would narrow it."""
    limit = tokens * CHARS_PER_TOKEN - 200
    if len(_dump(data)) <= limit:
        return data
    how = f"narrow it with {', '.join(narrow)}" if narrow else "ask for less"
    notes: list[str] = []
    cut = {"note": notes, **data}
    for _ in range(8):
        size = len(_dump(cut))
        if size <= limit:
            return cut
        if not _cut_longest_list(cut, size - limit, notes, how):
            break
    _cut_strings(cut)
    if len(_dump(cut)) <= limit:
        notes.append("long texts are cut off")
        return cut
    return {"note": [f"the result is too large to show ({len(_dump(data))} characters); {how}"]}


def clean(text: str, most: int) -> str:
    """Return text for one line of a sentence: control characters escaped, length capped."""
    text = "".join(c if c.isprintable() or c == " " else " " for c in text)
    return text if len(text) <= most else text[: most - 1] + "…"


def _dump(data: Any) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(value: str) -> str:
    return re.sub(r"[^\w.:/@-]", "_", value)[:100]


def _cut_longest_list(data: dict[str, Any], excess: int, notes: list[str], how: str) -> bool:
    lists = [(len(_dump(items)), path, items) for path, items in _lists(data) if len(items) > 1]
    if not lists:
        return False
    size, path, items = max(lists, key=lambda entry: entry[0])
    room, kept = size - excess - 150, 0
    for item in items:
        room -= len(_dump(item)) + 1
        if room < 0:
            break
        kept += 1
    kept = max(kept, 1)
    if kept == len(items):
        return False
    notes.append(f"{path}: shown {kept} of {len(items)}; {how}")
    del items[kept:]
    return True


def _lists(node: Any, path: str = "") -> Iterator[tuple[str, list[Any]]]:
    if isinstance(node, dict):
        for key, value in node.items():
            if not (path == "" and key == "note"):
                yield from _lists(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        yield path, node
        for index, value in enumerate(node):
            yield from _lists(value, f"{path}[{index}]")


def _cut_strings(node: Any) -> None:
    pairs: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(node, dict):
        pairs = iter(list(node.items()))
    elif isinstance(node, list):
        pairs = iter(list(enumerate(node)))
    for key, value in pairs:
        if isinstance(value, str) and len(value) > _LONG_STRING:
            node[key] = value[:_LONG_STRING] + "… (cut)"
        else:
            _cut_strings(value)
