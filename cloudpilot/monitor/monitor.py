"""The monitor of one cluster: totals adjusted by each watch event, so an overview costs nothing."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from cloudpilot.cache.delta import Delta
from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.cache.store import Key, key_of
from cloudpilot.errors import ClusterForbidden, ClusterUnavailable
from cloudpilot.kube.objects.meta import Condition
from cloudpilot.kube.objects.namespace import Namespace
from cloudpilot.kube.objects.node import Node
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.pod_status import (
    RECENT,
    PodResources,
    PodSummary,
    last_crash,
    resources_of,
    summarize,
)
from cloudpilot.kube.quantity import cpu_millicores, memory_bytes
from cloudpilot.kube.timestamps import parse_time
from cloudpilot.monitor.shapes import (
    Fresh,
    Missing,
    NamespaceDetail,
    NodeCounts,
    NodeDetail,
    PodCounts,
    ResourceOverview,
    ResourceTotals,
)

OVERVIEW = (
    "Node",
    "Namespace",
    "Pod",
    "Deployment",
    "Service",
    "ConfigMap",
    "Secret",
    "Gateway",
)
"""The kinds an overview speaks of."""
_PHASES = ("Running", "Pending", "Succeeded", "Failed")
_ROLE_LABEL = "node-role.kubernetes.io/"


class ClusterMonitor:
    """Answers about a whole cluster, a namespace or a node from running totals.

    Promises: an answer reflects every watch event that arrived; a kind that cannot be read gives
    null and an entry in `missing`, never a wrong number.
    """

    def __init__(self, cluster: str, mirror: Mirror) -> None:
        self._cluster = cluster
        self._mirror = mirror
        self._phases: Counter[str] = Counter()
        self._failing: Counter[str] = Counter()
        self._pods_seen: dict[Key, tuple[Pod, PodSummary]] = {}
        """What was counted of each pod, so that exactly this is taken back."""
        self._healthy: dict[PodSummary, PodSummary] = {}
        """Healthy pods look alike: they share one summary."""
        self._crashed: dict[Key, datetime] = {}
        """Until when a pod that runs again is still failing for its last crash."""
        self._node_pods: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._ready_nodes = 0
        mirror["Pod"].add_handler(self._pod_changed)
        mirror["Node"].add_handler(self._node_changed)

    def overview(self) -> ResourceOverview:
        """Return the whole cluster at a glance."""
        return ResourceOverview(
            **dict(self.freshness(*OVERVIEW)),
            nodes=self._nodes(),
            namespaces=self._count("Namespace"),
            deployments=self._count("Deployment"),
            services=self._count("Service"),
            gateways=self._count("Gateway"),
            config_maps=self._count("ConfigMap"),
            secrets=self._count("Secret"),
            pods=self._pods(),
            resources=self._resources(),
        )

    def namespaces(self) -> list[NamespaceDetail]:
        """Return every namespace, sorted by name."""
        crashed = self._crashed_lately()
        return [self._namespace(obj, crashed) for obj in self._mirror["Namespace"].list()]

    def namespace(self, name: str) -> NamespaceDetail | None:
        """Return one namespace."""
        obj = self._mirror["Namespace"].get("", name)
        return self._namespace(obj, self._crashed_lately()) if obj else None

    def nodes(self) -> list[NodeDetail]:
        """Return every node, sorted by name."""
        return [self._node(obj) for obj in self._mirror["Node"].list()]

    def node(self, name: str) -> NodeDetail | None:
        """Return one node."""
        obj = self._mirror["Node"].get("", name)
        return self._node(obj) if obj else None

    def summary(self, pod: Pod, now: datetime) -> PodSummary:
        """Summarize a pod of the mirror, as far as possible from what was counted of it."""
        key = key_of(pod)
        seen = self._pods_seen.get(key)
        if seen is None or seen[0] is not pod or key in self._crashed:
            return summarize(pod, now)
        return seen[1]

    def failing_pods(self, namespace: str | None = None) -> int:
        """Return how many pods somebody should look at, in a namespace or everywhere."""
        crashed = self._crashed_lately()
        if namespace is not None:
            return self._failing[namespace] + crashed[namespace]
        return self._failing.total() + crashed.total()

    def freshness(self, *kinds: str) -> Fresh:
        """Return how current the named kinds are; with the oldest time among those known."""
        states = self._mirror.states()
        missing, times = [], []
        for kind in kinds:
            state = states[kind]
            if state.status is not SyncStatus.LIVE:
                missing.append(Missing(kind=kind, status=state.status.value, reason=state.reason))
            if state.known and state.as_of is not None:
                times.append(state.as_of)
        behind = (SyncStatus.UNREACHABLE, SyncStatus.SYNCING)
        return Fresh(
            cluster=self._cluster,
            as_of=min(times, default=None),
            stale=any(states[kind].status in behind for kind in kinds),
            missing=missing,
        )

    def known(self, kind: str) -> bool:
        """Whether anything can be said about a kind."""
        return self._mirror[kind].state.known

    def require(self, kind: str) -> None:
        """Refuse to speak of a kind whose absence cannot be told from not being seen.

        Raises:
            ClusterForbidden: CloudPilot may not read it.
            ClusterUnavailable: it was never read, or is not installed.
        """
        state = self._mirror[kind].state
        if state.known:
            return
        text = f"{kind}s of {self._cluster} cannot be read: {state.reason or state.status.value}"
        if state.status is SyncStatus.FORBIDDEN:
            raise ClusterForbidden(text)
        raise ClusterUnavailable(text)

    def _count(self, kind: str) -> int | None:
        return len(self._mirror[kind]) if self.known(kind) else None

    def _nodes(self) -> NodeCounts | None:
        if not self.known("Node"):
            return None
        total = len(self._mirror["Node"])
        return NodeCounts(total=total, ready=self._ready_nodes, not_ready=total - self._ready_nodes)

    def _pods(self) -> PodCounts | None:
        if not self.known("Pod"):
            return None
        counts = {phase.lower(): self._phases[phase] for phase in _PHASES}
        total = len(self._mirror["Pod"])
        unknown = total - sum(counts.values())
        return PodCounts(
            total=total,
            **counts,
            unknown=unknown,
            failing=self.failing_pods(),
        )

    def _resources(self) -> ResourceTotals | None:
        if not self.known("Pod"):
            return None
        totals = self._totals
        return ResourceTotals(
            cpu_requests_millicores=totals["cpu_requests"],
            cpu_limits_millicores=totals["cpu_limits"],
            cpu_allocatable_millicores=totals["cpu_allocatable"],
            memory_requests_bytes=totals["memory_requests"],
            memory_limits_bytes=totals["memory_limits"],
            memory_allocatable_bytes=totals["memory_allocatable"],
        )

    def _namespace(self, obj: Namespace, crashed: Counter[str]) -> NamespaceDetail:
        def count(kind: str) -> int | None:
            return self._mirror[kind].count(obj.name) if self.known(kind) else None

        return NamespaceDetail(
            name=obj.name,
            status=obj.status.phase,
            pods=count("Pod"),
            failing_pods=(
                self._failing[obj.name] + crashed[obj.name] if self.known("Pod") else None
            ),
            deployments=count("Deployment"),
            services=count("Service"),
            created=parse_time(obj.metadata.creation_timestamp),
        )

    def _node(self, obj: Node) -> NodeDetail:
        status, info = obj.status, obj.status.node_info
        text = "Ready" if is_ready(obj) else "NotReady"
        if obj.spec.unschedulable:
            text += ",SchedulingDisabled"
        return NodeDetail(
            name=obj.name,
            status=text,
            roles=_roles(obj),
            kubelet_version=info.kubelet_version,
            os_image=info.os_image,
            kernel_version=info.kernel_version,
            architecture=info.architecture,
            container_runtime=info.container_runtime_version,
            cpu_capacity_millicores=cpu_millicores(status.capacity.get("cpu")),
            cpu_allocatable_millicores=cpu_millicores(status.allocatable.get("cpu")),
            memory_capacity_bytes=memory_bytes(status.capacity.get("memory")),
            memory_allocatable_bytes=memory_bytes(status.allocatable.get("memory")),
            pods=self._node_pods[obj.name] if self.known("Pod") else None,
            problems=[text for c in status.conditions if (text := _problem(c))],
            taints=[
                f"{t.key}{f'={t.value}' if t.value else ''}:{t.effect}" for t in obj.spec.taints
            ],
            created=parse_time(obj.metadata.creation_timestamp),
        )

    def _crashed_lately(self) -> Counter[str]:
        """Count, by namespace, the pods that run but crashed in the last minutes."""
        now = datetime.now(UTC)
        for key in [key for key, until in self._crashed.items() if until < now]:
            del self._crashed[key]
        return Counter(namespace for namespace, _ in self._crashed)

    def _pod_changed(self, delta: Delta) -> None:
        old, new = delta.old, delta.new
        if old is not None:
            key = key_of(old)
            self._crashed.pop(key, None)
            if (seen := self._pods_seen.pop(key, None)) is not None:
                self._count_pod(*seen, -1)
        if new is not None:
            key, summary = key_of(new), summarize(new)
            if not summary.failing:
                summary = self._healthy.setdefault(summary, summary)
                if (until := _failing_until(new)) is not None:
                    self._crashed[key] = until
            self._pods_seen[key] = new, summary
            self._count_pod(new, summary, 1)
        if old is None or new is None or not _needs_the_same(old, new):
            self._count_resources(old, new)

    def _count_pod(self, pod: Pod, summary: PodSummary, step: int) -> None:
        self._phases[pod.status.phase] += step
        if pod.spec.node_name:
            self._node_pods[pod.spec.node_name] += step
        if summary.failing:
            self._failing[pod.namespace] += step

    def _count_resources(self, old: Pod | None, new: Pod | None) -> None:
        for pod, step in ((old, -1), (new, 1)):
            if pod is not None:
                amounts = resources_of(pod)
                for name in PodResources.__dataclass_fields__:
                    self._totals[name] += step * getattr(amounts, name)

    def _node_changed(self, delta: Delta) -> None:
        for node, step in ((delta.old, -1), (delta.new, 1)):
            if node is None:
                continue
            self._ready_nodes += step * is_ready(node)
            allocatable = node.status.allocatable
            self._totals["cpu_allocatable"] += step * cpu_millicores(allocatable.get("cpu"))
            self._totals["memory_allocatable"] += step * memory_bytes(allocatable.get("memory"))


def _needs_the_same(old: Pod, new: Pod) -> bool:
    """Whether both count for the same CPU and memory; most events change the status alone."""
    return old.spec == new.spec and _has_ended(old) == _has_ended(new)


def _has_ended(pod: Pod) -> bool:
    return pod.status.phase in ("Succeeded", "Failed")


def _failing_until(pod: Pod) -> datetime | None:
    """Return until when a crash is held against a pod that runs again; None for no crash.

    The same rule as `summarize` with a clock, turned round: so nobody has to ask it all the time.
    """
    if pod.metadata.deletion_timestamp:
        return None
    crashes = map(last_crash, pod.status.container_statuses)
    times = [when for crash in crashes if crash and (when := parse_time(crash.finished_at))]
    return max(times) + RECENT if times else None


def is_ready(node: Node) -> bool:
    """Whether the node's Ready condition is True."""
    return any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)


def _roles(node: Node) -> list[str]:
    roles = [
        label.removeprefix(_ROLE_LABEL)
        for label in node.metadata.labels
        if label.startswith(_ROLE_LABEL)
    ]
    return sorted(role for role in roles if role)


def _problem(condition: Condition) -> str:
    wanted = "True" if condition.type == "Ready" else "False"
    if condition.status == wanted:
        return ""
    if condition.type != "Ready" and condition.status == "Unknown":
        return ""
    name = "NotReady" if condition.type == "Ready" else condition.type
    return f"{name}: {condition.message or condition.reason or condition.status}"
