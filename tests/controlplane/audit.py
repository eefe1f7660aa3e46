"""The API server's audit log: the truth about who wrote what, independent of our own records."""

import json
from pathlib import Path
from typing import Any

WRITE_VERBS = frozenset({"create", "update", "patch", "delete", "deletecollection"})

# Components and the admin are in system:masters; what they do is of no interest, and most.
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "userGroups": ["system:masters"]},
        {"level": "Request", "verbs": sorted(WRITE_VERBS)},
        {"level": "Metadata"},
    ],
}


def read_events(log: Path, user: str | None = None) -> list[dict[str, Any]]:
    """All audit events, oldest first, of one user or of everyone outside system:masters."""
    if not log.exists():
        return []
    complete, _, _ = log.read_bytes().rpartition(b"\n")
    events = [json.loads(line) for line in complete.splitlines()]
    return [event for event in events if user in (None, event["user"]["username"])]


def is_write(event: dict[str, Any]) -> bool:
    """Whether the event tried to change something; a dry run and a review of access do not."""
    if event["verb"] not in WRITE_VERBS:
        return False
    if "dryRun=" in event["requestURI"]:
        return False
    return event.get("objectRef", {}).get("apiGroup") not in (
        "authorization.k8s.io",
        "authentication.k8s.io",
    )
