"""The shapes in which the monitor answers; every one says how fresh it is and what is missing."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Fields describe themselves by the text below them."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Missing(Shape):
    """A kind this answer knows nothing or nothing current about, and why."""

    kind: str
    status: str
    """`syncing`, `polling`, `forbidden`, `not installed` or `unreachable`."""
    reason: str


class Fresh(Shape):
    """How current an answer is."""

    cluster: str
    as_of: datetime | None
    """The time the answer is true for; null if nothing was ever read."""
    stale: bool
    """Whether a part of it is not being watched right now."""
    missing: list[Missing] = []
    """The parts that are absent or behind, each with its reason."""


class NodeCounts(Shape):
    """Nodes by readiness."""

    total: int
    ready: int
    not_ready: int


class PodCounts(Shape):
    """Pods by phase."""

    total: int
    running: int
    pending: int
    succeeded: int
    failed: int
    unknown: int
    failing: int
    """Pods somebody should look at, whatever their phase."""


class ResourceTotals(Shape):
    """CPU and memory of all pods that have not ended, and what the nodes offer."""

    cpu_requests_millicores: int
    cpu_limits_millicores: int
    cpu_allocatable_millicores: int
    memory_requests_bytes: int
    memory_limits_bytes: int
    memory_allocatable_bytes: int


class ResourceOverview(Fresh):
    """One cluster at a glance. A null count is unknown, and `missing` says why."""

    nodes: NodeCounts | None
    namespaces: int | None
    deployments: int | None
    services: int | None
    config_maps: int | None
    secrets: int | None
    """Only their number: CloudPilot never reads a Secret."""
    gateways: int | None
    pods: PodCounts | None
    resources: ResourceTotals | None


class NamespaceDetail(Shape):
    """One namespace."""

    name: str
    status: str
    pods: int | None
    failing_pods: int | None
    deployments: int | None
    services: int | None
    created: datetime | None


class NodeDetail(Shape):
    """One node."""

    name: str
    status: str
    """`Ready` or `NotReady`, with `,SchedulingDisabled` where it is cordoned."""
    roles: list[str]
    kubelet_version: str
    os_image: str
    kernel_version: str
    architecture: str
    container_runtime: str
    cpu_capacity_millicores: int
    cpu_allocatable_millicores: int
    memory_capacity_bytes: int
    memory_allocatable_bytes: int
    pods: int | None
    problems: list[str]
    """Conditions that should not be, such as DiskPressure, each with its message."""
    taints: list[str]
    created: datetime | None
