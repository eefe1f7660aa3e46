"""A sample as people ask for it: which subjects are meant, in which order, each in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from cloudpilot.cache.mirror import Mirror
from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.quantity import memory_bytes
from cloudpilot.monitor.shapes import Shape
from cloudpilot.usage.sample import Figures, Sample, Scope

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Pod", "ReplicaSet")
"""In this order a workload that is gone is looked for where its kind is not said."""


class Subject(Shape):
    """What a figure is about."""

    namespace: str | None
    kind: str | None
    """Of a workload: Deployment, StatefulSet, ... or Pod for a pod without a controller."""
    name: str


class UsageRow(Subject):
    """What one node, namespace or workload uses, requests and may use. Null is unknown, not 0."""

    cpu_usage_millicores: int | None
    cpu_requests_millicores: int | None
    cpu_limits_millicores: int | None
    """Of the containers that have one."""
    cpu_allocatable_millicores: int | None
    """Only nodes have it, like everything else that is allocatable."""
    cpu_percent: int | None
    """CPU usage of what a node can allocate; of a namespace or workload, of its requests."""
    memory_usage_bytes: int | None
    memory_requests_bytes: int | None
    memory_limits_bytes: int | None
    """Of the containers that have one."""
    memory_allocatable_bytes: int | None
    memory_percent: int | None
    """Memory usage of what a node can allocate; of a namespace or workload, of its requests."""
    pods: int | None
    """Pods that have not ended."""
    pods_measured: int | None
    """Pods that the usage of a namespace or workload is the sum of."""
    pods_allocatable: int | None
    restarts: int | None
    """Restarts of the containers of all pods there are."""
    ephemeral_storage_capacity_bytes: int | None
    """A node's disk for images, logs and emptyDir. What is used of it is not known."""
    ephemeral_storage_allocatable_bytes: int | None
    claims: int | None
    """PersistentVolumeClaims of a namespace."""
    claims_pending: int | None
    storage_requests_bytes: int | None
    """What those claims ask for."""
    storage_capacity_bytes: int | None
    """What their bound volumes have. What is used of them is not known."""


class ClaimRow(Shape):
    """One PersistentVolumeClaim. How full its volume is is not known."""

    name: str
    phase: str
    storage_class: str | None
    requests_bytes: int
    capacity_bytes: int | None


def subject_of(scope: Scope, subject: str) -> Subject:
    """Return the parts of a subject's name."""
    if scope is Scope.WORKLOAD:
        namespace, kind, name = subject.split("/", 2)
        return Subject(namespace=namespace, kind=kind, name=name)
    return Subject(namespace=None, kind=None, name=subject)


def usage_row(scope: Scope, subject: str, figures: Figures) -> UsageRow:
    """Return a subject's figures, with what they are in percent."""
    of_node = scope is Scope.NODE
    cpu = figures.cpu_allocatable_millicores if of_node else figures.cpu_requests_millicores
    memory = figures.memory_allocatable_bytes if of_node else figures.memory_requests_bytes
    return UsageRow(
        **dict(subject_of(scope, subject)),
        **asdict(figures),
        cpu_percent=_percent(figures.cpu_usage_millicores, cpu),
        memory_percent=_percent(figures.memory_usage_bytes, memory),
    )


def size_of(figures: Figures, by: str) -> int:
    """Return what a subject is sorted by: its usage, or its requests where that is unknown."""
    known: dict[str, Sequence[int | None]] = {
        "cpu": (figures.cpu_usage_millicores, figures.cpu_requests_millicores),
        "memory": (figures.memory_usage_bytes, figures.memory_requests_bytes),
        "pods": (figures.pods,),
        "restarts": (figures.restarts,),
        "storage": (figures.storage_requests_bytes, figures.ephemeral_storage_capacity_bytes),
    }
    return next((value for value in known[by] if value is not None), -1)


def usage_known(sample: Sample, scope: Scope) -> bool:
    """Whether the metrics API told what is used."""
    source = "NodeMetrics" if scope is Scope.NODE else "PodMetrics"
    return all(missing.kind != source for missing in sample.missing)


def select(sample: Sample, scope: Scope, namespace: str | None, name: str | None) -> list[str]:
    """Return the subjects that are meant by a namespace and a name such as `deployment/cart`."""
    if name is None and namespace is None:
        return list(sample.figures[scope])
    prefix, _, bare = (name or "").rpartition("/")
    if scope is not Scope.WORKLOAD:
        wanted = bare or namespace
        return [subject for subject in sample.figures[scope] if subject == wanted]
    kinds = _kinds(prefix)
    found = []
    for subject in sample.figures[scope]:
        within, kind, its_name = subject.split("/", 2)
        if namespace not in (None, within) or bare not in ("", its_name):
            continue
        if not prefix or kind.lower() in kinds:
            found.append(subject)
    return found


def past_subjects(scope: Scope, namespace: str | None, name: str) -> list[str]:
    """Return what a subject may have been called that is not there now."""
    prefix, _, bare = name.rpartition("/")
    if scope is not Scope.WORKLOAD:
        return [bare]
    if namespace is None:
        return []
    kinds = _kinds(prefix)
    known = [kind for kind in _WORKLOADS if not prefix or kind.lower() in kinds]
    return [f"{namespace}/{kind}/{bare}" for kind in known or [prefix]]


def claim_rows(mirror: Mirror, namespace: str, limit: int) -> list[ClaimRow] | None:
    """Return the PersistentVolumeClaims of a namespace; None if they cannot be read."""
    claims = mirror["PersistentVolumeClaim"]
    if not claims.state.known:
        return None
    return [
        ClaimRow(
            name=claim.name,
            phase=claim.status.phase,
            storage_class=claim.spec.storage_class_name,
            requests_bytes=memory_bytes(claim.spec.resources.requests.get("storage")),
            capacity_bytes=memory_bytes(claim.status.capacity.get("storage")) or None,
        )
        for claim in claims.list(namespace)[:limit]
    ]


def _kinds(prefix: str) -> set[str]:
    """Return the kinds that people mean by a word, lower-case: `deploy` is a Deployment."""
    word = prefix.lower()
    return {kind.kind.lower() for kind in KINDS.values() if word in kind.spellings} | {word}


def _percent(part: int | None, whole: int | None) -> int | None:
    return round(100 * part / whole) if part is not None and whole else None
