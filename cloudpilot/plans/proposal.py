"""From the change an operation wants to what a human decides about: dry run, diff, risk.

Reads the cluster and asks it for a dry run; writes nothing, neither there nor in the database.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from cloudpilot.clusters import Cluster
from cloudpilot.errors import InvalidArguments
from cloudpilot.kube.redact import mask_text
from cloudpilot.plans.canonical import digest
from cloudpilot.plans.diff import (
    Path,
    clean,
    diff,
    field_hash,
    leaves,
)
from cloudpilot.plans.plan import Change, FieldDiff, Risk
from cloudpilot.plans.write import Write

_IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}


class Touched(BaseModel):
    """A field that the write sets: the hash of its value before, and as it will be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change after its dry run."""

    cluster_uid: str
    diff: list[FieldDiff]
    touched: list[Touched]
    warnings: list[str]
    risk: Risk
    intent: str
    """Hash of the cluster, the object and what would become of it."""


async def propose(
    change: Change, write: Write, cluster: Cluster, protected: Collection[str]
) -> Proposal:
    """Dry-run a change and say what it does.

    Raises:
        InvalidArguments: nothing would change.
        ClusterRejected: the API server refuses the object, the field named.
        ClusterConflict: the object changed meanwhile, or exists already.
    """
    cluster_uid = await cluster.uid()
    result = await write.send(cluster.client, change.before, dry_run=True)
    after = None if change.verb == "delete" else result.object
    differences = diff(change.before, after)
    if not differences:
        raise InvalidArguments(
            f"nothing would change: {change.kind} {change.name} is so already",
            hint="read the object again",
        )
    touched = _touched(change, after)
    return Proposal(
        cluster_uid=cluster_uid,
        diff=differences,
        touched=touched,
        warnings=[
            mask_text(text)
            for text in (*change.warnings, *result.warnings, *_managed_by(change.before))
        ],
        risk=_risk(change, protected),
        intent=digest(
            [
                cluster_uid,
                change.verb,
                change.kind,
                change.namespace,
                change.name,
                [[list(field.path), field.after] for field in touched],
            ]
        ),
    )


def _touched(change: Change, after: dict[str, Any] | None) -> list[Touched]:
    before, planned = clean(change.before or {}), clean(after or {})
    paths: list[Path]
    if change.verb == "delete":
        paths = [(key,) for key in sorted(before)]
    else:
        paths = [path for path in leaves(change.body) if path not in _IDENTITY]
    return [
        Touched(path=path, before=field_hash(before, path), after=field_hash(planned, path))
        for path in paths
    ]


def _risk(change: Change, protected: Collection[str]) -> Risk:
    namespace = change.namespace or change.name
    if namespace.startswith("kube-") or namespace in protected:
        return Risk.DESTRUCTIVE
    return Risk.DESTRUCTIVE if change.verb == "delete" else change.risk


def _managed_by(obj: dict[str, Any] | None) -> list[str]:
    """Warn if another tool owns the object and will put it back."""
    metadata = (obj or {}).get("metadata") or {}
    labels = metadata.get("labels") or {}
    keys = {*labels, *(metadata.get("annotations") or {})}
    owners = [
        owner
        for owner, prefix in (("Argo CD", "argocd.argoproj.io/"), ("Flux", "toolkit.fluxcd.io/"))
        if any(prefix in key for key in keys)
    ]
    if labels.get("app.kubernetes.io/managed-by") == "Helm":
        owners.append("Helm")
    return [f"the object is managed by {owner}, which may undo this change" for owner in owners]
