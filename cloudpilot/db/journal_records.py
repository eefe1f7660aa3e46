"""What the journal remembers of clusters, as plain values.

Lean structs, not dataclasses: thousands of them are made within a second when a cluster is busy.
Every text in them is masked and capped before it gets here.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec


class What(StrEnum):
    """What happened to an object."""

    CREATED = "created"
    DELETED = "deleted"
    SPEC = "spec"
    IMAGE = "image"
    REPLICAS = "replicas"
    ROUTE = "route"
    """Where an Ingress, a Gateway or a route of Istio or the Gateway API leads."""
    LABELS = "labels"
    DATA = "data"
    """The content of a ConfigMap or Secret, of which nothing is known but that it changed."""
    CONDITION = "condition"
    PHASE = "phase"
    RESTART = "restart"
    POD_FAILING = "pod_failing"
    READINESS = "readiness"


class _Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is about one object."""

    kind: str
    namespace: str
    name: str
    uid: str = ""
    owner_kind: str = ""
    """The controller at the top, a pod's Deployment; empty for an object without one."""
    owner_name: str = ""


class Entry(_Record, frozen=True, kw_only=True):
    """One change of one object."""

    id: int = 0
    """Unique within a cluster and growing; set by the journal."""
    time: datetime
    what: What
    field: str = ""
    """The field that changed, `spec.template.spec.containers[web].image`."""
    before: str | None = None
    after: str | None = None
    who: str | None = None
    """The field manager; None where the cluster does not tell."""
    reason: str = ""
    exit_code: int | None = None
    message: str = ""


class Occurrence(_Record, frozen=True, kw_only=True):
    """An Event of the cluster, kept beyond its time to live; repetitions are counted."""

    type: str
    reason: str
    message: str
    count: int
    """As the Event counts itself; a new one starts again."""
    more: int = 0
    """How many of them happened since the last record of it."""
    first: datetime
    last: datetime
    source: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two of them one."""
        return (self.kind, self.namespace, self.name, self.uid, self.reason, self.message)


class LastState(_Record, frozen=True, kw_only=True):
    """A pod that went away while it failed: how it was, and the end of its log."""

    gone: datetime
    node: str = ""
    reason: str
    message: str
    exit_code: int | None = None
    restarts: int = 0
    container: str = ""
    """The container whose log it is."""
    log: str | None = None
    """None if it could not be read in time; `log_note` says why."""
    log_note: str = ""


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """A time during which a kind of a cluster was watched without a break."""

    id: int
    kind: str
    since: datetime
    until: datetime
    """The last time it was known to be watched."""


class EntryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted; of everything by default."""

    since: datetime | None = None
    until: datetime | None = None
    namespace: str | None = None
    kinds: tuple[str, ...] = ()
    kind: str | None = None
    """The kind of the named object."""
    name: str | None = None
    """The object itself, and what it controls."""
    owned: bool = True
    """Whether what the object controls counts too."""
    limit: int = 100

    def wants(self, record: Any, time: datetime) -> bool:
        """Tell whether a record of that time is wanted."""
        return not (
            (self.since is not None and time < self.since)
            or (self.until is not None and time > self.until)
            or (self.namespace is not None and record.namespace != self.namespace)
            or (self.kinds and record.kind not in self.kinds)
            or (self.name is not None and not self._is_about(record))
        )

    def _is_about(self, record: Any) -> bool:
        objects = [(record.kind, record.name), (record.owner_kind, record.owner_name)]
        return any(
            name == self.name and self.kind in (None, kind)
            for kind, name in objects[: 1 + self.owned]
        )
