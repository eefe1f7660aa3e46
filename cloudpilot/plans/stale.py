"""Whether an object is still the one that a plan was made for; pure.

Bound to UID, generation and the touched fields: the resourceVersion alone changes with every
status update.
"""

from __future__ import annotations

from typing import Any

from cloudpilot.plans.diff import clean, diff, field_hash, merge_patch, show_path
from cloudpilot.plans.plan import FieldDiff
from cloudpilot.plans.record import Record


def staleness(record: Record, live: dict[str, Any] | None) -> str | None:
    """Say why an object is no longer the one a plan was made for; None if it still is."""
    if record.verb == "create":
        return None if live is None else "an object of this name exists by now"
    if live is None:
        return "the object is gone"
    metadata = live["metadata"]
    if metadata["uid"] != record.object_uid:
        return "the object was deleted and made anew"
    now = clean(live)
    changed = [
        show_path(field.path)
        for field in record.touched
        if field_hash(now, field.path) != field.before
    ]
    if changed:
        return f"changed since: {', '.join(changed)}"
    if metadata.get("generation") != record.generation:
        return "another part of the object changed since"
    return None


def fresh_diff(record: Record, live: dict[str, Any] | None) -> list[FieldDiff]:
    """Return what the change would do to the object as it is now."""
    after = None if record.verb == "delete" else merge_patch(live or {}, record.body)
    return diff(live, after)
