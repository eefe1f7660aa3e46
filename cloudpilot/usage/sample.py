"""One sample: what every node, namespace and workload uses, requests and may use at one moment.

Usage comes from the metrics API, everything else from the mirror. What is not known is None,
never 0. Nothing is stored here.
"""

from __future__ import annotations

import heapq
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.errors import CloudPilotError, ClusterForbidden, NotFound
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.metrics import Usage, node_usage, pod_usage
from cloudpilot.kube.objects.node import Node
from cloudpilot.kube.quantity import cpu_millicores, memory_bytes
from cloudpilot.monitor.shapes import Missing
from cloudpilot.usage.pod_totals import BETWEEN, PodTotals, Total, in_slices

logger = logging.getLogger(__name__)

MOST_SUBJECTS = 5_000
"""Of each scope; a cluster with more workloads than this mostly has pods that nobody controls."""
_OF_CLAIMS = (
    "claims",
    "claims_pending",
    "storage_requests_bytes",
    "storage_capacity_bytes",
)


class Scope(StrEnum):
    """What is sampled."""

    NODE = "node"
    NAMESPACE = "namespace"
    WORKLOAD = "workload"
    """The top controller of pods, or a pod without one; called `namespace/Kind/name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is known of one subject. None: unknown, or without meaning for its scope."""

    cpu_usage_millicores: int | None = None
    cpu_requests_millicores: int | None = None
    cpu_limits_millicores: int | None = None
    cpu_allocatable_millicores: int | None = None
    memory_usage_bytes: int | None = None
    memory_requests_bytes: int | None = None
    memory_limits_bytes: int | None = None
    memory_allocatable_bytes: int | None = None
    pods: int | None = None
    """Pods that have not ended."""
    pods_measured: int | None = None
    """How many of them the usage is of."""
    pods_allocatable: int | None = None
    restarts: int | None = None
    """Of the containers of all pods there are; it falls when pods go away."""
    ephemeral_storage_capacity_bytes: int | None = None
    ephemeral_storage_allocatable_bytes: int | None = None
    claims: int | None = None
    """PersistentVolumeClaims."""
    claims_pending: int | None = None
    storage_requests_bytes: int | None = None
    storage_capacity_bytes: int | None = None
    """Of the volumes that are bound."""


FIELDS = tuple(item.name for item in fields(Figures))


@dataclass(frozen=True, slots=True)
class Sample:
    """What was found at one moment."""

    at: datetime
    figures: Mapping[Scope, Mapping[str, Figures]]
    """By scope and subject."""
    missing: tuple[Missing, ...] = ()
    """What is unknown in all of it, and why."""


async def take_sample(mirror: Mirror, client: KubeClient, at: datetime) -> Sample:
    """Measure now. Whatever cannot be read is missing, so this never fails."""
    missing: list[Missing] = []
    node_used = await _measure(client, node_usage, "NodeMetrics", missing)
    pod_used = await _measure(client, pod_usage, "PodMetrics", missing)
    totals = await PodTotals.add_up(mirror, pod_used) if _current(mirror, "Pod", missing) else None
    claims = _claims(mirror) if _current(mirror, "PersistentVolumeClaim", missing) else None
    for kind in BETWEEN:  # without these a workload is only as high as can be seen
        _current(mirror, kind, missing)
    nodes = mirror["Node"].list() if _current(mirror, "Node", missing) else []
    namespaces = mirror["Namespace"].list() if _current(mirror, "Namespace", missing) else []
    found: dict[Scope, dict[str, Figures]] = {
        Scope.NODE: await _nodes(nodes, totals, node_used),
        Scope.NAMESPACE: _namespaces([obj.name for obj in namespaces], totals, claims),
        Scope.WORKLOAD: {},
    }
    if totals is not None:
        found[Scope.WORKLOAD] = {
            name: Figures(**total.figures(totals.measured))
            async for name, total in in_slices(_largest(totals.workloads).items())
        }
    return Sample(at, found, tuple(missing))


K = TypeVar("K")


async def _measure(
    client: KubeClient,
    measure: Callable[[KubeClient], Awaitable[dict[K, Usage]]],
    what: str,
    missing: list[Missing],
) -> dict[K, Usage] | None:
    try:
        return await measure(client)
    except NotFound:
        status, reason = SyncStatus.NOT_INSTALLED, "the cluster does not serve metrics.k8s.io"
    except ClusterForbidden as error:
        status, reason = SyncStatus.FORBIDDEN, error.message
    except CloudPilotError as error:
        status, reason = SyncStatus.UNREACHABLE, error.message
    missing.append(Missing(kind=what, status=status.value, reason=reason))
    return None


def _current(mirror: Mirror, kind: str, missing: list[Missing]) -> bool:
    """Whether a kind can be sampled: an old copy would pass for what is true now."""
    state = mirror[kind].state
    if state.known and state.status in (SyncStatus.LIVE, SyncStatus.POLLING):
        return True
    missing.append(Missing(kind=kind, status=state.status.value, reason=state.reason))
    return False


async def _nodes(
    nodes: Sequence[Node], totals: PodTotals | None, used: Mapping[str, Usage] | None
) -> dict[str, Figures]:
    by_name: dict[str, Node | None] = dict.fromkeys(used or ())
    by_name |= {node.name: node for node in nodes}
    found = {}
    async for name, node in in_slices(by_name.items()):
        known = _room(node) if node else {}
        if totals is not None:
            # A node's own usage is measured, so that of its pods is not asked for.
            known |= totals.nodes.get(name, Total()).figures(measured=False)
        if used is not None and name in used:
            known["cpu_usage_millicores"] = used[name].cpu_millicores
            known["memory_usage_bytes"] = used[name].memory_bytes
        found[name] = Figures(**known)
    return found


def _room(node: Node) -> dict[str, int]:
    """Return what a node offers to pods."""
    allocatable, capacity = node.status.allocatable, node.status.capacity
    known = {
        "cpu_allocatable_millicores": cpu_millicores(allocatable.get("cpu")),
        "memory_allocatable_bytes": memory_bytes(allocatable.get("memory")),
        "pods_allocatable": memory_bytes(allocatable.get("pods")),
    }
    for side, amounts in (("capacity", capacity), ("allocatable", allocatable)):
        if "ephemeral-storage" in amounts:
            amount = memory_bytes(amounts["ephemeral-storage"])
            known[f"ephemeral_storage_{side}_bytes"] = amount
    return known


def _namespaces(
    names: Sequence[str], totals: PodTotals | None, claims: Mapping[str, Counter[str]] | None
) -> dict[str, Figures]:
    every = dict.fromkeys((*names, *(totals.namespaces if totals else ())))
    found: dict[str, Figures] = {}
    for name in every:
        known: dict[str, int] = {}
        if totals is not None:
            known = totals.namespaces.get(name, Total()).figures(totals.measured)
        if claims is not None:
            stored = claims.get(name, Counter())
            known |= {name_of: stored[name_of] for name_of in _OF_CLAIMS}
        found[name] = Figures(**known)
    return found


def _claims(mirror: Mirror) -> dict[str, Counter[str]]:
    """Count the PersistentVolumeClaims of each namespace that has some."""
    found: dict[str, Counter[str]] = {}
    for claim in mirror["PersistentVolumeClaim"].list():
        known = found.setdefault(claim.namespace, Counter())
        known["claims"] += 1
        known["claims_pending"] += claim.status.phase == "Pending"
        requests, capacity = claim.spec.resources.requests, claim.status.capacity
        known["storage_requests_bytes"] += memory_bytes(requests.get("storage"))
        known["storage_capacity_bytes"] += memory_bytes(capacity.get("storage"))
    return found


def _largest(workloads: dict[str, Total]) -> dict[str, Total]:
    if len(workloads) <= MOST_SUBJECTS:
        return workloads
    logger.info("only the largest %d of %d workloads are kept", MOST_SUBJECTS, len(workloads))
    largest = heapq.nlargest(
        MOST_SUBJECTS, workloads.items(), key=lambda item: (item[1].pods, item[1].memory_requests)
    )
    return dict(largest)
