"""The argument types that operations share, defined once, and lists cut to a page."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Annotated, TypeVar

from pydantic import Field, StringConstraints

from cloudpilot.errors import InvalidArguments, NotFound

_LABEL = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"
_SUBDOMAIN = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"

Namespace = Annotated[
    str,
    StringConstraints(pattern=_LABEL, max_length=63),
    Field(description="Name of a namespace"),
]
Name = Annotated[
    str,
    StringConstraints(pattern=_SUBDOMAIN, max_length=253),
    Field(description="Name of the object"),
]
AnyNamespace = Annotated[
    str,
    StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?|\*)$", max_length=63),
    Field(description="Name of a namespace; `*` or nothing for all namespaces"),
]
ClusterName = Annotated[
    str,
    StringConstraints(pattern=_LABEL, max_length=63),
    Field(description="Name of a cluster, as `list_clusters` gives it"),
]
Limit = Annotated[int, Field(ge=1, le=500, description="Most entries to return")]
After = Annotated[
    str,
    StringConstraints(max_length=400),
    Field(description="Return entries after this one: the `next` of the answer before"),
]

T = TypeVar("T")


def page(
    items: Sequence[T], keys: Iterable[str], limit: int, after: str | None
) -> tuple[Sequence[T], str | None]:
    """Cut a page out of a list that is sorted by its keys, part by part where `/` joins them.

    Returns:
        The page, and the key to continue after; None if nothing follows.
    """
    names = list(keys)
    start = 0
    if after is not None:
        start = next((i + 1 for i, name in enumerate(names) if name == after), -1)
        if start < 0:
            behind = after.split("/")
            start = sum(name.split("/") <= behind for name in names)
    end = start + limit
    return items[start:end], names[end - 1] if end < len(names) else None


def no_such(kind: str, name: str, known: Iterable[str], *, where: str = "") -> NotFound:
    """Say that a thing does not exist, and which ones come nearest."""
    near = difflib.get_close_matches(name, list(dict.fromkeys(known)), n=5, cutoff=0.5)
    hint = f"did you mean {', '.join(near)}?" if near else f"list the {kind}s first"
    return NotFound(f"there is no {kind} {name!r}{where}", hint=hint, details={"nearest": near})


def every_namespace(namespace: str | None) -> str | None:
    """Translate `*` into None."""
    return None if namespace == "*" else namespace


def need_one(field: str, values: Sequence[object | None]) -> None:
    """Refuse a call in which none of several arguments was given."""
    if all(value is None for value in values):
        raise InvalidArguments.field(field, "nothing to change was given")
