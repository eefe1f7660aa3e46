"""What the journal looks at in an object: its facts, by field; all else in it is noise.

Facts are plain JSON in the API's own field names. The difference of an object's facts before and
after is a change, and facts minus the changes since are what was true then.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from cloudpilot.db.journal_records import Entry, What
from cloudpilot.kube.differences import ORDER, differences, show_steps
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.objects.meta import Condition, KubeObject
from cloudpilot.kube.objects.node import Node
from cloudpilot.kube.objects.pod import Pod

_FLAPPING = frozenset(
    {
        ("HorizontalPodAutoscaler", "ScalingLimited"),
        ("PodDisruptionBudget", "DisruptionAllowed"),
    }
)
"""Conditions that come and go while all is well."""
_PHASED = frozenset({"Namespace", "PersistentVolume", "PersistentVolumeClaim"})
_NO_FACTS = frozenset({What.POD_FAILING, What.READINESS})
"""What entries tell that is no field of an object."""
_CUT = "…"
LONGEST_TEXT = 1_000
"""How much of one value is kept, in characters."""

Facts = dict[str, Any]


def facts_of(kind: Kind, obj: KubeObject, *, body: bool = True) -> Facts:
    """Return the facts about an object; those of its body only on demand: they cost the most."""
    if isinstance(obj, Pod):
        facts = _pod_facts(obj)
    elif isinstance(obj, Node):
        facts = _node_facts(obj)
    else:
        facts = _body(obj) if body else {}
    metadata: Facts = {"creationTimestamp": obj.metadata.creation_timestamp}
    if obj.metadata.labels:
        metadata["labels"] = obj.metadata.labels
    facts["metadata"] = metadata
    status = facts.setdefault("status", {})
    if not isinstance(obj, Pod):
        conditions = {c.type: c.status for c in conditions_of(obj) if matters(kind, c)}
        if conditions:
            status["conditions"] = conditions
    if kind.name in _PHASED:
        status["phase"] = getattr(getattr(obj, "status", None), "phase", None)
    return facts


def conditions_of(obj: KubeObject) -> Iterable[Condition]:
    """Return the conditions of any object; none if its kind has none."""
    found: Iterable[Condition] = getattr(getattr(obj, "status", None), "conditions", ())
    return found


def matters(kind: Kind, condition: Condition) -> bool:
    """Tell whether a condition's coming and going is news."""
    return (kind.name, condition.type) not in _FLAPPING


def shown(value: Any, longest: int = LONGEST_TEXT) -> str | None:
    """Write a value as the journal keeps it: text as it is, anything else as JSON."""
    if value is None:
        return None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= longest else text[: longest - 1] + _CUT


def fields_of(facts: Any) -> dict[str, str]:
    """Spread facts out: each field that holds something, and its text, masked."""
    return {
        found.path: shown(found.after) or ""
        for found in differences(None, facts)
        if found.after not in (None, {}, [])
    }


def rewind(fields: dict[str, str] | None, entry: Entry) -> dict[str, str] | None:
    """Return the fields as they were before an entry; None for an object that was not there."""
    if entry.what is What.CREATED:
        return None
    if entry.what is What.DELETED:
        return fields_of(_parsed(entry.before) or {})
    if fields is None or entry.what in _NO_FACTS or not entry.field or entry.field.endswith(ORDER):
        return fields
    inside = (f"{entry.field}.", f"{entry.field}[")
    kept = {
        name: text
        for name, text in fields.items()
        if name != entry.field and not name.startswith(inside)
    }
    if entry.before is None:
        return kept
    parts = _parsed(entry.before)
    if parts is None:
        return kept | {entry.field: entry.before}
    return kept | {_below(entry.field, name): text for name, text in fields_of(parts).items()}


def _below(field: str, name: str) -> str:
    return f"{field}{name}" if name.startswith("[") else f"{field}.{name}".rstrip(".")


def _parsed(text: str | None) -> Any:
    """Read text that is a mapping or a list; None for all other."""
    if text is None or not text.startswith(("{", "[")):
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None


def _body(obj: KubeObject) -> Facts:
    if not obj.body:
        return {}
    body = msgspec.json.decode(obj.body)
    return body if isinstance(body, dict) else {}


def _pod_facts(pod: Pod) -> Facts:
    return {
        "spec": {
            "nodeName": pod.spec.node_name or None,
            "containers": [{"name": c.name, "image": c.image} for c in pod.spec.containers],
        },
        "status": {
            "containerStatuses": [
                {"name": c.name, "restartCount": c.restart_count}
                for c in (*pod.status.init_container_statuses, *pod.status.container_statuses)
            ],
        },
    }


def _node_facts(node: Node) -> Facts:
    taints = {f"{taint.key}:{taint.effect}": taint.value or True for taint in node.spec.taints}
    return {"spec": {"unschedulable": node.spec.unschedulable or None, "taints": taints}}


def condition_field(name: str) -> str:
    """Return the field that a condition's status is written under."""
    return show_steps(("status", "conditions", name))


def entry_about(kind: Kind, obj: KubeObject, what: What, time: datetime, **more: Any) -> Entry:
    """Make an entry about an object."""
    metadata = obj.metadata
    return Entry(
        kind=kind.name,
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        time=time,
        what=what,
        **more,
    )
