"""The object graph: what an object depends on, and what depends on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, StringConstraints

from cloudpilot.arguments import Namespace, no_such
from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.context import CallContext
from cloudpilot.errors import InvalidArguments
from cloudpilot.graph.glance import glance, is_ready
from cloudpilot.graph.related import Relation, kinds_near, prepare, related
from cloudpilot.graph.selection import selected
from cloudpilot.kube.kinds import KINDS, Kind, find_kind
from cloudpilot.kube.objects.service import Service
from cloudpilot.monitor.shapes import Fresh, Shape
from cloudpilot.operation import Toolset

toolset = Toolset("related")

_MOST_ROWS = 200
_PATIENCE_SECONDS = 5.0

_KindName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9.-]+$", max_length=120),
    Field(description="Kind as kubectl takes it: `deployment`, `svc`, `vs`, `gateways`, ..."),
]
_ObjectName = Annotated[
    str,
    # Roles are called `system:node`: any segment of a path is allowed.
    StringConstraints(pattern=r"^[^/%\s]+$", max_length=253),
    Field(description="Name of the object"),
]


class RelationRow(Shape):
    """One relation of the object."""

    relation: str
    """What the object asked about is to this one: `owned by`, `selects`, `routes to`, `uses`,
    `used by`, ..."""
    kind: str
    namespace: str | None
    """Null for a cluster-scoped object."""
    name: str
    """Empty where a selector matches nothing."""
    exists: bool | None
    """False for a reference to nothing; null where its kind cannot be read."""
    note: str | None
    """How it is referred to, and its state in a few words."""


class RelationCut(Shape):
    """Relations left out because there are too many."""

    relation: str
    kind: str
    left_out: int


class RelatedAnswer(Fresh):
    """What an object has to do with others."""

    kind: str
    namespace: str | None
    name: str
    exists: bool | None
    """Whether the object itself exists; false where others name it all the same."""
    state: str | None
    """The object's own state in a few words."""
    total: int
    broken: int
    """References to things that do not exist and are needed."""
    relations: list[RelationRow]
    """What is missing first; at most 200."""
    cut: list[RelationCut]
    """What was left out, counted."""


@toolset.operation(
    "GET /objects/{kind}/{name}/related",
    example={"kind": "deployment", "name": "storefront", "namespace": "shop"},
)
async def get_related(
    ctx: CallContext, kind: _KindName, name: _ObjectName, namespace: Namespace | None = None
) -> RelatedAnswer:
    """Show what an object depends on and what depends on it, and which references are broken.

    Use when someone asks what uses, owns, selects, routes to, scales or mounts an object, what
    breaks without it, or which ConfigMap, Secret, claim, Service or Gateway it names is missing.
    Not for why a pod fails: get that pod.
    """
    known = _kind(kind)
    where = _namespace(ctx, known, namespace)
    cache, monitor = ctx.cluster.cache, ctx.cluster.monitor
    near = sorted(kinds_near(known.name))
    await cache.wait_settled(_PATIENCE_SECONDS, near)
    await prepare(cache, known.name)
    obj = cache[known.name].get(where, name)
    found = related(cache, known.name, where, name)
    if obj is None and not found:
        monitor.require(known.name)
        others = (f"{o.namespace}/{o.name}".lstrip("/") for o in cache[known.name].list())
        raise no_such(known.kind, f"{where}/{name}".lstrip("/"), others)
    installed = [k for k in near if cache[k].state.status is not SyncStatus.NOT_INSTALLED]
    return RelatedAnswer(
        **dict(monitor.freshness(*installed)),
        kind=known.name,
        namespace=where or None,
        name=name,
        exists=True if obj is not None else (False if monitor.known(known.name) else None),
        state=glance(obj) or None if obj is not None else None,
        total=len(found),
        broken=sum(one.exists is False and not one.optional for one in found),
        relations=[_row(cache, one) for one in found[:_MOST_ROWS]],
        cut=_cut(found[_MOST_ROWS:]),
    )


def _kind(text: str) -> Kind:
    kind = find_kind(text)
    if kind is None:
        spellings = (spelling for known in KINDS.values() for spelling in known.spellings)
        raise no_such("kind", text.lower(), spellings)
    return kind


def _namespace(ctx: CallContext, kind: Kind, namespace: str | None) -> str:
    if not kind.namespaced:
        return ""
    where = namespace or ctx.namespace
    if not where:
        raise InvalidArguments.field("namespace", f"a {kind.kind} lives in one: name it")
    return where


def _row(cache: Mirror, one: Relation) -> RelationRow:
    notes = [one.note, glance(one.object) if one.object is not None else ""]
    if isinstance(one.object, Service):
        pods = selected(cache["Pod"], one.object)
        notes.append(f"{sum(map(is_ready, pods))} of {len(pods)} pods ready")
    if one.exists is False and one.optional:
        notes.append("optional")
    return RelationRow(
        relation=one.relation.value,
        kind=one.kind,
        namespace=one.namespace or None,
        name=one.name,
        exists=one.exists,
        note="; ".join(filter(None, notes)) or None,
    )


def _cut(left_out: Sequence[Relation]) -> list[RelationCut]:
    counts = Counter((one.relation.value, one.kind) for one in left_out)
    return [RelationCut(relation=r, kind=k, left_out=n) for (r, k), n in counts.items()]
