"""What a delta means: entries for the journal, none for noise. Pure.

Noise is what machines do all day: status counters, heartbeats, leases, ReplicaSets that follow from
their Deployment, pods that start as they should.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from cloudpilot.cache.delta import Delta
from cloudpilot.db.journal_records import Entry, What
from cloudpilot.journal.facts import (
    condition_field,
    conditions_of,
    entry_about,
    facts_of,
    matters,
    shown,
)
from cloudpilot.journal.pod_changes import pod_changes, pod_is_quiet
from cloudpilot.kube.differences import Difference, Step, differences
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.managed_fields import ManagedFields
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.redact import mask_text, redact_value
from cloudpilot.kube.timestamps import parse_time

IGNORED = frozenset({"ReplicaSet", "EndpointSlice", "Event"})
"""Kinds that follow from others or are kept elsewhere."""
_FOLLOWS = frozenset({"Pod", "Job"})
"""Kinds whose objects come from a controller by the thousand: their creation is its doing."""
_ROUTES = frozenset(
    {
        "Ingress",
        "Gateway",
        "VirtualService",
        "DestinationRule",
        "ServiceEntry",
        "Gateway.gateway.networking.k8s.io",
        "HTTPRoute",
        "GRPCRoute",
    }
)
_BAD_WHEN_TRUE = frozenset(
    {
        "MemoryPressure",
        "DiskPressure",
        "PIDPressure",
        "NetworkUnavailable",
        "ReplicaFailure",
        "Failed",
        "FailureTarget",
        "Stalled",
    }
)
_CONTENT = frozenset({"ConfigMap", "Secret"})
_LATE = timedelta(seconds=5)
_LONGEST_OBJECT = 16_000
_MOST_FIELDS = 50
_CONDITIONS = ("status", "conditions")


def is_noise(delta: Delta) -> bool:
    """Tell cheaply whether a delta cannot mean anything to the journal."""
    old, new = delta.old, delta.new
    if delta.kind.name in IGNORED or delta.is_withdrawn:
        return True
    if old is None or new is None or old.metadata.uid != new.metadata.uid:
        return False
    if old.metadata.labels != new.metadata.labels:
        return False
    if delta.kind.name == "Pod":
        return pod_is_quiet(old, new)
    if delta.kind.metadata_only:
        return bool(old.metadata.resource_version == new.metadata.resource_version)
    if delta.kind.name == "Node" and old.spec != new.spec:
        return False
    status = [getattr(obj, "status", None) for obj in (old, new)]
    return bool(old.body == new.body and status[0] == status[1])


def changes(delta: Delta, now: datetime) -> list[Entry]:
    """Return what changed, in the order of the object's fields.

    Objects of the first list were there before: they have changed nothing. Owners are not set here:
    to know them takes the whole mirror.
    """
    if delta.is_in_initial_list or is_noise(delta):
        return []
    old, new = delta.old, delta.new
    if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
        # Deleted and created anew between two looks.
        return [
            *changes(Delta(delta.kind, old, None), now),
            *changes(Delta(delta.kind, None, new, delta.raw), now),
        ]
    if new is None:
        return [_deleted(delta.kind, old, now)] if old is not None else []
    if old is None:
        return _created(delta.kind, new, delta, now)
    if delta.kind.name == "Pod":
        same = old.spec == new.spec and old.metadata.labels == new.metadata.labels
        return [*(() if same else _fields(delta, now)), *pod_changes(old, new, now)]
    if delta.kind.metadata_only:
        return [*_content(delta, now), *_fields(delta, now)]
    return list(_fields(delta, now))


def when(told: datetime | None, now: datetime) -> datetime:
    """Choose between the time the cluster tells and the time of seeing it.

    The cluster's is in whole seconds, so it only counts for what is seen late.
    """
    return told if told is not None and told < now - _LATE else now


def _created(kind: Kind, new: KubeObject, delta: Delta, now: datetime) -> list[Entry]:
    controlled = any(owner.controller for owner in new.metadata.owner_references)
    if controlled and kind.name in _FOLLOWS:
        return []
    manager = ManagedFields(delta.raw).newest()
    time = when(parse_time(new.metadata.creation_timestamp), now)
    return [entry_about(kind, new, What.CREATED, time, who=manager.name if manager else None)]


def _deleted(kind: Kind, old: KubeObject, now: datetime) -> Entry:
    """Tell that an object is gone, with all that was known of it. By whom is nowhere kept."""
    last = shown(redact_value(facts_of(kind, old)), _LONGEST_OBJECT)
    return entry_about(kind, old, What.DELETED, now, before=last)


def _content(delta: Delta, now: datetime) -> Iterator[Entry]:
    """Tell that something changed of which only the metadata is ever asked for."""
    old, new = delta.old.metadata, delta.new.metadata
    data = delta.kind.name in _CONTENT
    if not data and old.generation == new.generation:
        return
    managed = ManagedFields(delta.raw)
    if data and (old.labels != new.labels or managed.only_elects()):
        return
    what, field = (What.DATA, "data") if data else (What.SPEC, "spec")
    manager = managed.newest()
    time = when(manager.time if manager else None, now)
    name = manager.name if manager else None
    yield entry_about(delta.kind, delta.new, what, time, field=field, who=name)


def _fields(delta: Delta, now: datetime) -> Iterator[Entry]:
    body = delta.old.body != delta.new.body
    before, after = (facts_of(delta.kind, obj, body=body) for obj in (delta.old, delta.new))
    managed: ManagedFields | None = None
    count = 0
    for found in differences(before, after, leaves=False):
        if _is_bookkeeping(delta.kind, found.steps):
            continue
        if found.steps[:2] == _CONDITIONS:
            yield from _conditions(delta, found, now)
            continue
        managed = managed or ManagedFields(delta.raw)
        count += 1
        if count > _MOST_FIELDS:
            yield _changed(delta, found, managed, now, message="and further fields")
            return
        yield _changed(delta, found, managed, now)


def _is_bookkeeping(kind: Kind, steps: tuple[Step, ...]) -> bool:
    if kind.name != "Pod":
        return steps[:2] == ("metadata", "creationTimestamp")
    # A pod's node and restarts are the scheduler's and the kubelet's doing: see `pod_changes`.
    return steps[0] == "status" or steps == ("spec", "nodeName")


def _changed(
    delta: Delta, found: Difference, managed: ManagedFields, now: datetime, message: str = ""
) -> Entry:
    # Who removed a field owns nothing any more: the last writer is the nearest guess.
    manager = managed.of(found.steps) if found.after is not None else managed.newest()
    owned = manager is not None and (manager.owns or found.after is None)
    return entry_about(
        delta.kind,
        delta.new,
        _what(delta.kind, found.steps),
        when(manager.time if manager and owned else None, now),
        field=found.path,
        before=shown(found.before),
        after=shown(found.after),
        who=manager.name if manager else None,
        message=message,
    )


def _what(kind: Kind, steps: tuple[Step, ...]) -> What:
    if steps[:2] == ("metadata", "labels"):
        return What.LABELS
    if steps == ("status", "phase"):
        return What.PHASE
    if steps[-1] == "image":
        return What.IMAGE
    if steps == ("spec", "replicas"):
        return What.REPLICAS
    return What.ROUTE if kind.name in _ROUTES else What.SPEC


def _conditions(delta: Delta, found: Difference, now: datetime) -> Iterator[Entry]:
    """Tell of conditions that turned, and of bad ones that appeared."""
    old = {c.type: c for c in conditions_of(delta.old) if matters(delta.kind, c)}
    wanted = found.steps[2] if len(found.steps) > 2 else None
    for condition in conditions_of(delta.new):
        if wanted not in (None, condition.type) or not matters(delta.kind, condition):
            continue
        before = old.get(condition.type)
        good = "False" if condition.type in _BAD_WHEN_TRUE else "True"
        if before is None and condition.status == good:
            continue
        if before is None and condition.type not in _BAD_WHEN_TRUE and condition.status != "False":
            continue
        yield entry_about(
            delta.kind,
            delta.new,
            What.CONDITION,
            when(parse_time(condition.last_transition_time), now),
            field=condition_field(condition.type),
            before=before.status if before else None,
            after=condition.status,
            reason=condition.reason,
            message=shown(mask_text(condition.message)) or "",
        )
