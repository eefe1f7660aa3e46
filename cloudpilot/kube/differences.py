"""How two JSON values of the API differ, field by field. Pure.

Values are compared raw and shown masked, so that one secret replaced by another still shows as a
change. Items of lists are told apart by their names, so that a container that is inserted first
shows as one new container, not as a change of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cloudpilot.kube.redact import redact_value


@dataclass(frozen=True, slots=True)
class Item:
    """A step into a list, to the item of this name."""

    name: str


ORDER = " (order)"
"""Follows the path of a list whose items are the same ones in another order."""
Step = str | Item
"""A step down from a value: to a field, or to an item of a list."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One field before and after; None is a field that is not there."""

    steps: tuple[Step, ...]
    before: Any
    """Masked."""
    after: Any
    """Masked."""
    reordered: bool = False
    """Whether the items are the same ones in another order; `before` and `after` are names."""

    @property
    def path(self) -> str:
        """The field as people write it: `spec.template.spec.containers[web].image`."""
        return show_steps(self.steps) + (ORDER if self.reordered else "")


def differences(old: Any, new: Any, *, leaves: bool = True) -> Iterator[Difference]:
    """Compare two values.

    Args:
        old: The value before.
        new: The value after.
        leaves: Whether what came or went is told field by field, not as one.
    """
    return _walk((), (old, redact_value(old)), (new, redact_value(new)), leaves)


def show_steps(steps: tuple[Step, ...]) -> str:
    """Write a path; a key that would be misread stands in brackets and quotes."""
    text = ""
    for step in steps:
        if isinstance(step, Item):
            text += f"[{step.name}]"
        elif "." in step or "[" in step or not step:
            text += f'["{step}"]'
        else:
            text += f".{step}" if text else step
    return text


Pair = tuple[Any, Any]
"""A value, raw and masked."""

_NOTHING: Pair = (None, None)


def _walk(steps: tuple[Step, ...], old: Pair, new: Pair, leaves: bool) -> Iterator[Difference]:
    if _same(old[0], new[0]):
        return
    if steps and not leaves and (old[0] is None or new[0] is None):
        yield Difference(steps, old[1], new[1])
        return
    for split in (_fields, _items):
        olds, news = split(*old), split(*new)
        if olds is None or news is None or not (olds or news):
            continue
        if split is _items:
            kept, keeps = [key for key in olds if key in news], [key for key in news if key in olds]
            if kept != keeps:
                yield Difference(steps, list(olds), list(news), reordered=True)
        for key in dict.fromkeys((*olds, *news)):
            step: Step = key if split is _fields else Item(key)
            before, after = olds.get(key, _NOTHING), news.get(key, _NOTHING)
            yield from _walk((*steps, step), before, after, leaves)
        return
    yield Difference(steps, old[1], new[1])


def _same(old: Any, new: Any) -> bool:
    """Tell whether two values are one in JSON, where 1, 1.0 and true are three."""
    return bool(old == new) and _encoded(old) == _encoded(new)


def _encoded(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _fields(value: Any, shown: Any) -> dict[str, Pair] | None:
    """Return a mapping's fields, raw and masked, in a stable order; None if it is no mapping."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return None
    return {key: (value[key], shown[key]) for key in sorted(value)}


def _items(value: Any, shown: Any) -> dict[str, Pair] | None:
    """Return a list's items, raw and masked, by name; None if one has none or two share one."""
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
