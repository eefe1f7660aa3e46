"""The monitor's running totals always equal a recount, whatever happened in which order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.clusters import Cluster
from cloudpilot.errors import ClusterForbidden, ClusterUnavailable
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.objects.meta import Amounts, Condition, KubeObject, Metadata
from cloudpilot.kube.objects.namespace import Namespace
from cloudpilot.kube.objects.node import Node, NodeSpec, NodeStatus, Taint
from cloudpilot.kube.objects.pod import (
    Container,
    ContainerState,
    ContainerStatus,
    Pod,
    PodSpec,
    PodStatus,
    Resources,
    Running,
    Waiting,
)
from cloudpilot.kube.objects.service import Service
from cloudpilot.kube.objects.workload import Deployment
from cloudpilot.kube.pod_status import resources_of, summarize
from cloudpilot.kube.quantity import cpu_millicores, memory_bytes
from cloudpilot.kube.timestamps import parse_time
from cloudpilot.monitor.monitor import OVERVIEW, ClusterMonitor, is_ready
from simulator import SimulatedCluster
from tests.cloudpilot.waiting import eventually

NAMESPACES = st.sampled_from(["shop", "payments"])
NAMES = st.sampled_from(["a", "b", "c"])
NODES = st.sampled_from(["", "node-1", "node-2"])
PHASES = st.sampled_from(["Running", "Pending", "Succeeded", "Failed", "Unknown", "Dreaming"])
AMOUNTS: st.SearchStrategy[Amounts] = st.dictionaries(
    st.sampled_from(["cpu", "memory"]), st.sampled_from(["1", "250m", "64Mi", "1e3", "junk", "", 2])
)


@st.composite
def pods(draw: st.DrawFn) -> Pod:
    amounts = Resources(requests=draw(AMOUNTS), limits=draw(AMOUNTS))
    state = draw(
        st.sampled_from(
            [
                ContainerState(running=Running()),
                ContainerState(waiting=Waiting(reason="CrashLoopBackOff")),
                ContainerState(),
            ]
        )
    )
    return Pod(
        Metadata(name=draw(NAMES), namespace=draw(NAMESPACES), resource_version=draw(versions())),
        spec=PodSpec(node_name=draw(NODES), containers=(Container("c", resources=amounts),)),
        status=PodStatus(
            phase=draw(PHASES),
            container_statuses=(ContainerStatus("c", draw(flags()), state=state),),
        ),
    )


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    ready = Condition("Ready", draw(st.sampled_from(["True", "False", "Unknown"])))
    return Node(
        Metadata(name=draw(NODES.filter(bool)), resource_version=draw(versions())),
        status=NodeStatus(conditions=(ready,) if draw(flags()) else (), allocatable=draw(AMOUNTS)),
    )


def flags() -> st.SearchStrategy[bool]:
    return st.booleans()


def versions() -> st.SearchStrategy[str]:
    return st.integers(0, 10**6).map(str)


class MonitorMachine(RuleBasedStateMachine):
    """Changes go in where the reflector puts them; nothing is sent anywhere."""

    @initialize()
    def start(self) -> None:
        client = KubeClient(direct("https://example.com", "x"), connect_seconds=1, read_seconds=1)
        self.mirror = Mirror(client, poll_seconds=1)
        for name in self.mirror:
            state = self.mirror[name].state
            state.status, state.synced = SyncStatus.LIVE, True
        self.monitor = ClusterMonitor("demo", self.mirror)

    @rule(pod=pods(), event=st.sampled_from(["ADDED", "MODIFIED", "DELETED"]))
    def pod_event(self, pod: Pod, event: str) -> None:
        self.mirror["Pod"].apply(event, pod)

    @rule(node=nodes(), event=st.sampled_from(["ADDED", "MODIFIED", "DELETED"]))
    def node_event(self, node: Node, event: str) -> None:
        self.mirror["Node"].apply(event, node)

    @rule(
        name=NAMES,
        namespace=NAMESPACES,
        what=st.sampled_from([Deployment, Service]),
        event=st.sampled_from(["ADDED", "DELETED"]),
    )
    def workload_event(self, name: str, namespace: str, what: type[KubeObject], event: str) -> None:
        self.mirror[what.__name__].apply(event, what(Metadata(name=name, namespace=namespace)))

    @rule(name=NAMESPACES, event=st.sampled_from(["ADDED", "DELETED"]))
    def namespace_event(self, name: str, event: str) -> None:
        self.mirror["Namespace"].apply(event, Namespace(Metadata(name=name)))

    @rule(listed=st.lists(pods(), max_size=6))
    def relist_pods(self, listed: list[Pod]) -> None:
        asyncio.run(self.mirror["Pod"].replace(listed))

    @rule(listed=st.lists(nodes(), max_size=3))
    def relist_nodes(self, listed: list[Node]) -> None:
        asyncio.run(self.mirror["Node"].replace(listed))

    @invariant()
    def equals_a_recount(self) -> None:
        seen: list[Pod] = list(self.mirror["Pod"].list())
        machines: list[Node] = list(self.mirror["Node"].list())
        overview = self.monitor.overview()
        assert overview.pods is not None
        phases = [pod.status.phase for pod in seen]
        known = ("Running", "Pending", "Succeeded", "Failed")
        assert overview.pods.model_dump() == {
            "total": len(seen),
            **{phase.lower(): phases.count(phase) for phase in known},
            "unknown": sum(phase not in known for phase in phases),
            "failing": sum(summarize(pod).failing for pod in seen),
        }
        assert overview.nodes is not None
        ready = sum(map(is_ready, machines))
        assert (overview.nodes.total, overview.nodes.ready) == (len(machines), ready)
        assert overview.nodes.not_ready == len(machines) - ready
        amounts = [resources_of(pod) for pod in seen]
        offered = [node.status.allocatable for node in machines]
        assert overview.resources is not None
        assert overview.resources.model_dump() == {
            "cpu_requests_millicores": sum(a.cpu_requests for a in amounts),
            "cpu_limits_millicores": sum(a.cpu_limits for a in amounts),
            "cpu_allocatable_millicores": sum(cpu_millicores(o.get("cpu")) for o in offered),
            "memory_requests_bytes": sum(a.memory_requests for a in amounts),
            "memory_limits_bytes": sum(a.memory_limits for a in amounts),
            "memory_allocatable_bytes": sum(memory_bytes(o.get("memory")) for o in offered),
        }
        for kind, count in (
            ("Namespace", overview.namespaces),
            ("Deployment", overview.deployments),
            ("Service", overview.services),
        ):
            assert count == len(list(self.mirror[kind].list()))
        for space in self.monitor.namespaces():
            mine = [pod for pod in seen if pod.namespace == space.name]
            assert space.pods == len(mine)
            assert space.failing_pods == sum(summarize(pod).failing for pod in mine)
            assert space.deployments == len(self.mirror["Deployment"].list(space.name))
            assert space.services == len(self.mirror["Service"].list(space.name))
        for node in self.monitor.nodes():
            assert node.pods == sum(pod.spec.node_name == node.name for pod in seen)


TestMonitor = MonitorMachine.TestCase
TestMonitor.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


async def test_everything_is_known_and_fresh_once_settled(shop_cluster: Cluster) -> None:
    overview = shop_cluster.monitor.overview()
    assert (overview.stale, overview.missing) == (False, [])
    assert overview.as_of is not None
    assert overview.nodes is not None
    assert overview.nodes.total == 3
    assert None not in overview.model_dump().values()


async def test_unknown_counts_are_null_and_missing_says_why(
    cluster: Cluster, simulated: SimulatedCluster
) -> None:
    for resource in ("secrets", "pods", "nodes", "deployments.apps"):
        simulated.faults.deny(resource)
    simulated.faults.close_watches()
    missing = {"Secret", "Pod", "Node", "Deployment"}

    def refused() -> set[str]:
        found = cluster.monitor.overview().missing
        return {m.kind for m in found if m.status == "forbidden"}

    await eventually(lambda: refused() == missing)
    overview = cluster.monitor.overview()
    assert all("cannot list resource" in m.reason for m in overview.missing)
    assert overview.secrets is None
    assert overview.pods is None
    assert overview.nodes is None
    assert overview.resources is None
    assert overview.deployments is None
    assert overview.config_maps is not None
    space = cluster.monitor.namespace("default")
    assert space is not None
    assert (space.pods, space.failing_pods, space.deployments) == (None, None, None)
    assert space.services is not None
    with pytest.raises(ClusterForbidden, match="cannot list"):
        cluster.monitor.require("Pod")


async def test_unreachable_cluster_answers_from_memory_and_says_so(
    cluster: Cluster, simulated: SimulatedCluster
) -> None:
    live = cluster.monitor.overview()
    simulated.faults.fail(10_000)
    simulated.faults.close_watches()
    await eventually(lambda: len(cluster.monitor.overview().missing) == len(OVERVIEW))
    behind = cluster.monitor.overview()
    assert behind.stale
    assert {m.status for m in behind.missing} == {"unreachable"}
    assert (behind.nodes, behind.namespaces) == (live.nodes, live.namespaces)
    assert behind.as_of is not None
    assert live.as_of is not None
    assert behind.as_of <= live.as_of or behind.as_of.tzinfo is not None
    cluster.monitor.require("Pod")


def test_kind_that_was_never_read_cannot_be_spoken_of() -> None:
    client = KubeClient(direct("https://example.com", "x"), connect_seconds=1, read_seconds=1)
    monitor = ClusterMonitor("demo", Mirror(client, poll_seconds=1))
    overview = monitor.overview()
    assert overview.stale
    assert overview.as_of is None
    assert overview.pods is None
    with pytest.raises(ClusterUnavailable, match="Pod"):
        monitor.require("Pod")


def monitor_of(node: Node) -> ClusterMonitor:
    client = KubeClient(direct("https://example.com", "x"), connect_seconds=1, read_seconds=1)
    mirror = Mirror(client, poll_seconds=1)
    monitor = ClusterMonitor("demo", mirror)
    mirror["Node"].apply("ADDED", node)
    return monitor


@pytest.mark.parametrize(
    ("conditions", "unschedulable", "status", "problems"),
    [
        ([Condition("Ready", "True")], False, "Ready", []),
        ([Condition("Ready", "True")], True, "Ready,SchedulingDisabled", []),
        ([], False, "NotReady", []),
        (
            [Condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting")],
            True,
            "NotReady,SchedulingDisabled",
            ["NotReady: Kubelet stopped posting"],
        ),
        (
            [
                Condition("Ready", "True"),
                Condition("DiskPressure", "True", "KubeletHasDiskPressure", ""),
                Condition("MemoryPressure", "False"),
                Condition("PIDPressure", "Unknown"),
            ],
            False,
            "Ready",
            ["DiskPressure: KubeletHasDiskPressure"],
        ),
    ],
)
def test_node_says_what_is_wrong_with_it(
    conditions: list[Condition], unschedulable: bool, status: str, problems: list[str]
) -> None:
    labels = {
        "node-role.kubernetes.io/worker": "",
        "node-role.kubernetes.io/control-plane": "",
        "node-role.kubernetes.io/": "",
        "kubernetes.io/os": "linux",
    }
    node = Node(
        Metadata(name="n", labels=labels),
        spec=NodeSpec(unschedulable, (Taint("a", "NoSchedule"), Taint("b", "NoExecute", "c"))),
        status=NodeStatus(tuple(conditions), capacity={"cpu": "4", "memory": "16Gi"}),
    )
    detail = monitor_of(node).node("n")
    assert detail is not None
    assert (detail.status, detail.problems) == (status, problems)
    assert detail.roles == ["control-plane", "worker"]
    assert detail.taints == ["a:NoSchedule", "b=c:NoExecute"]
    assert (detail.cpu_capacity_millicores, detail.memory_capacity_bytes) == (4000, 16 * 2**30)
    assert detail.cpu_allocatable_millicores == 0


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("2024-03-01T10:00:00Z", 2024),
        ("2024-03-01T10:00:00.123456Z", 2024),
        ("2024-03-01T10:00:00+02:00", 2024),
        ("0001-01-01T00:00:00Z", 1),
        ("9999-12-31T23:59:59Z", 9999),
        ("9999-12-31T23:59:59-12:00", None),
        ("0001-01-01T00:00:00+12:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times_are_read_or_unknown(text: str | None, year: int | None) -> None:
    read: Any = parse_time(text)
    assert (read and read.year) == year
