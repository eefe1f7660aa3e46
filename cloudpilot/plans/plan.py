"""What a write is before it happens: the change an operation wants, and the plan made of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Risk(StrEnum):
    """How bad a mistake would be; decides the rules of the approval."""

    REVERSIBLE = "reversible"
    IMPACTING = "impacting"
    DESTRUCTIVE = "destructive"


class PlanState(StrEnum):
    """Where a plan is in its life."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    STALE = "stale"
    EXECUTING = "executing"
    SUCCEEDED = "succeeded"
    UNHEALTHY = "unhealthy"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDONE = "undone"


class Change(BaseModel):
    """The one object an operation wants to write, and how; nothing is written by making one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    verb: Literal["create", "update", "delete"]
    kind: str
    """Name of the kind in `cloudpilot.kube.kinds`."""
    namespace: str | None
    name: str
    body: dict[str, Any] = Field(default_factory=dict)
    """create: the whole object; update: a JSON merge patch; delete: empty."""
    before: dict[str, Any] | None = None
    """The object as it was read when the change was made; None for a create."""
    summary: str
    """One sentence for the person who decides."""
    risk: Risk
    warnings: list[str] = Field(default_factory=list)
    """What the operation itself found that the person who decides must know."""


class FieldDiff(BaseModel):
    """One field before and after, masked."""

    path: str
    before: Any = None
    after: Any = None


class Plan(BaseModel):
    """A proposed change with all that a human needs to decide."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    id: str
    state: PlanState
    operation: str
    arguments: dict[str, Any]
    """Canonical arguments of the operation."""
    summary: str
    cluster: str
    cluster_uid: str
    """UID of the cluster's kube-system namespace: the cluster's identity."""
    kind: str
    namespace: str | None
    name: str
    verb: str
    risk: Risk
    diff: list[FieldDiff]
    warnings: list[str]
    """What the API server warned about in the dry run, and our own findings."""
    digest: str
    """SHA-256 over all that is approved; an approval must name it."""
    confirmation: str | None
    """What must be typed to approve a destructive plan; None otherwise."""
    requester: str
    door: str
    thread_id: str | None
    run_id: str | None
    taint: list[str]
    created_at: datetime
    expires_at: datetime
    decided_by: str | None = None
    decided_at: datetime | None = None
    outcome: str | None = None
    """What happened, in one sentence."""
    fresh_diff: list[FieldDiff] = Field(default_factory=list)
    """stale: what the change would do to the object as it is now."""
