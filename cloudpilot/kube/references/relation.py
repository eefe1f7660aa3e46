"""The words of the object graph: what one object can be to another, and a reference to one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects.gateway_api import GROUP

HOST = "Host"
"""Stands for a kind where a mesh host is named that is not written like a Service's."""
KUBERNETES_GATEWAY = f"Gateway.{GROUP}"


class RelationType(StrEnum):
    """What one object is to another, in the order of what people ask for first."""

    OWNED_BY = "owned by"
    OWNS = "owns"
    SELECTS = "selects"
    SELECTED_BY = "selected by"
    HAS_ENDPOINTS = "has endpoints"
    ENDPOINTS_OF = "endpoints of"
    ROUTES_TO = "routes to"
    ROUTED_TO_BY = "routed to by"
    ATTACHED_TO = "attached to"
    SERVES = "serves"
    CONFIGURES = "configures"
    CONFIGURED_BY = "configured by"
    SCALES = "scales"
    SCALED_BY = "scaled by"
    USES = "uses"
    USED_BY = "used by"
    BOUND_TO = "bound to"
    OF_CLASS = "of class"
    CLASS_OF = "class of"
    RUNS_ON = "runs on"
    RUNS = "runs"
    CALLS = "calls"
    CALLED_BY = "called by"
    GRANTS = "grants"
    GRANTED_BY = "granted by"
    GRANTS_TO = "grants to"
    HAS_RIGHTS_FROM = "has rights from"

    @property
    def inverse(self) -> RelationType:
        """The same edge seen from its other end."""
        return _INVERSES.get(self, self)


_INVERSES = {
    one: other
    for a, b in (
        (RelationType.OWNED_BY, RelationType.OWNS),
        (RelationType.SELECTS, RelationType.SELECTED_BY),
        (RelationType.HAS_ENDPOINTS, RelationType.ENDPOINTS_OF),
        (RelationType.ROUTES_TO, RelationType.ROUTED_TO_BY),
        (RelationType.ATTACHED_TO, RelationType.SERVES),
        (RelationType.CONFIGURES, RelationType.CONFIGURED_BY),
        (RelationType.SCALES, RelationType.SCALED_BY),
        (RelationType.USES, RelationType.USED_BY),
        (RelationType.OF_CLASS, RelationType.CLASS_OF),
        (RelationType.RUNS_ON, RelationType.RUNS),
        (RelationType.CALLS, RelationType.CALLED_BY),
        (RelationType.GRANTS, RelationType.GRANTED_BY),
        (RelationType.GRANTS_TO, RelationType.HAS_RIGHTS_FROM),
    )
    for one, other in ((a, b), (b, a))
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One object named by another."""

    relation: RelationType
    kind: str
    """A name of `KINDS`, `HOST`, or kind and group of a kind we do not know."""
    namespace: str
    name: str
    note: str = ""
    optional: bool = False
    """Whether the object that names it does without it."""

    @property
    def value(self) -> str:
        """How indexes spell the object that is named."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Referrer:
    """How to find what an object names of some kinds."""

    kinds: tuple[str, ...]
    find: Callable[[Any], Iterable[Reference]]


def kind_name(group: str, kind: str) -> str:
    """Return our name of a kind, or kind and group where it is not ours."""
    for known in KINDS.values():
        if (known.group, known.kind) == (group, kind):
            return known.name
    return f"{kind}.{group}" if group else kind
