"""Pods added up by node, namespace and workload, in slices that leave the event loop its turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.store import Key, key_of
from cloudpilot.graph.owners import top_owner
from cloudpilot.kube.metrics import Usage
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.pod_status import PodResources, resources_of
from cloudpilot.pace import Pace

T = TypeVar("T")

_ENDED = ("Succeeded", "Failed")
BETWEEN = ("ReplicaSet", "Job")
"""Controllers that usually have one above them: Deployment, CronJob."""


@dataclass(slots=True)
class Total:
    """Pods of one subject, added up."""

    cpu_requests: int = 0
    cpu_limits: int = 0
    memory_requests: int = 0
    memory_limits: int = 0
    pods: int = 0
    restarts: int = 0
    measured: int = 0
    cpu_usage: int = 0
    memory_usage: int = 0

    def add(self, amounts: PodResources, used: Usage | None, ended: bool, restarts: int) -> None:
        """Count one more pod."""
        self.cpu_requests += amounts.cpu_requests
        self.cpu_limits += amounts.cpu_limits
        self.memory_requests += amounts.memory_requests
        self.memory_limits += amounts.memory_limits
        self.pods += not ended
        self.restarts += restarts
        if used is not None:
            self.measured += 1
            self.cpu_usage += used.cpu_millicores
            self.memory_usage += used.memory_bytes

    def figures(self, measured: bool) -> dict[str, int]:
        """Return what is known; of pods none of which was measured no usage is."""
        known = {
            "cpu_requests_millicores": self.cpu_requests,
            "cpu_limits_millicores": self.cpu_limits,
            "memory_requests_bytes": self.memory_requests,
            "memory_limits_bytes": self.memory_limits,
            "pods": self.pods,
            "restarts": self.restarts,
        }
        if measured:
            known["pods_measured"] = self.measured
        if measured and (self.measured or not self.pods):
            known["cpu_usage_millicores"] = self.cpu_usage
            known["memory_usage_bytes"] = self.memory_usage
        return known


@dataclass(slots=True)
class PodTotals:
    """All pods, added up by each scope."""

    measured: bool
    nodes: dict[str, Total] = field(default_factory=dict)
    namespaces: dict[str, Total] = field(default_factory=dict)
    workloads: dict[str, Total] = field(default_factory=dict)

    @classmethod
    async def add_up(cls, mirror: Mirror, used: Mapping[Key, Usage] | None) -> PodTotals:
        """Walk over the pods as they are when it begins, in slices."""
        found = cls(used is not None)
        async for pod in in_slices(mirror["Pod"].list()):
            workload = workload_of(mirror, pod)
            found._add(pod, workload, (used or {}).get(key_of(pod)))
        return found

    def _add(self, pod: Pod, workload: str, used: Usage | None) -> None:
        totals = [
            self.namespaces.setdefault(pod.namespace, Total()),
            self.workloads.setdefault(workload, Total()),
        ]
        if pod.spec.node_name:
            totals.append(self.nodes.setdefault(pod.spec.node_name, Total()))
        status = pod.status
        statuses = (*status.init_container_statuses, *status.container_statuses)
        amounts, ended = resources_of(pod), status.phase in _ENDED
        restarts = sum(container.restart_count for container in statuses)
        for total in totals:
            total.add(amounts, used, ended, restarts)


async def in_slices(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield items, and leave the event loop its turn every now and then."""
    pace = Pace()
    for item in items:
        await pace.breathe()
        yield item


def workload_of(mirror: Mirror, pod: Pod) -> str:
    """Return the workload that a pod belongs to, or the pod itself, as `namespace/Kind/name`."""

    def find(kind: str, namespace: str, name: str) -> KubeObject | None:
        # What owns a StatefulSet is an operator's own object: not what people call the workload.
        return mirror[kind].get(namespace, name) if kind in BETWEEN else None

    kind, name = top_owner(pod, find)
    if kind in ("", "Node"):  # a static pod is its node's
        kind, name = "Pod", pod.name
    return f"{pod.namespace}/{kind}/{name}"
