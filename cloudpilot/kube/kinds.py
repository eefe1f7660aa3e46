"""The kinds CloudPilot knows, one line each, and the projection of each that the mirror keeps.

A projection holds only what some question needs: it is decoded straight from the server's bytes,
unknown fields are skipped, and 10,000 pods fit in tens of megabytes. Field names follow the API.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

Amount = str | int | float
Amounts = dict[str, Amount]


class Projection(msgspec.Struct, rename="camel", gc=False):
    """What all projections share: camelCase in the API, no cyclic garbage."""


class OwnerReference(Projection):
    """Who made this object."""

    kind: str
    name: str
    uid: str = ""
    controller: bool = False


class Metadata(Projection):
    """The metadata every object has."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    owner_references: list[OwnerReference] = []


class KubeObject(Projection):
    """An object of the mirror."""

    metadata: Metadata

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace; empty for a cluster-scoped one."""
        return self.metadata.namespace


class Condition(Projection):
    """A condition of a status."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class NodeSystemInfo(Projection):
    """What the kubelet says about its machine."""

    kubelet_version: str = ""
    container_runtime_version: str = ""
    os_image: str = ""
    operating_system: str = ""
    architecture: str = ""
    kernel_version: str = ""


class NodeStatus(Projection):
    """A node's health and size."""

    conditions: list[Condition] = []
    capacity: Amounts = {}
    allocatable: Amounts = {}
    node_info: NodeSystemInfo = msgspec.field(default_factory=NodeSystemInfo)


class Taint(Projection):
    """A taint of a node."""

    key: str
    effect: str
    value: str = ""


class NodeSpec(Projection):
    """Whether pods may be scheduled on it."""

    unschedulable: bool = False
    taints: list[Taint] = []


class Node(KubeObject):
    """v1 Node."""

    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)


class NamespaceStatus(Projection):
    """Active or Terminating."""

    phase: str = "Active"


class Namespace(KubeObject):
    """v1 Namespace."""

    status: NamespaceStatus = msgspec.field(default_factory=NamespaceStatus)


class Resources(Projection):
    """Requests and limits."""

    requests: Amounts = {}
    limits: Amounts = {}


class Container(Projection):
    """A container as the pod's spec wants it."""

    name: str
    image: str = ""
    restart_policy: str = ""
    resources: Resources = msgspec.field(default_factory=Resources)


class PodSpec(Projection):
    """Where the pod runs and what it runs."""

    node_name: str = ""
    containers: list[Container] = []
    init_containers: list[Container] = []
    overhead: Amounts = {}
    resources: Resources | None = None


class Waiting(Projection):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class Running(Projection):
    """Since when a container runs."""

    started_at: str | None = None


class Terminated(Projection):
    """How a container ended."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    finished_at: str | None = None


class ContainerState(Projection):
    """One of three."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Projection):
    """A container as the kubelet sees it."""

    name: str
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = msgspec.field(default_factory=ContainerState)
    last_state: ContainerState = msgspec.field(default_factory=ContainerState)


class PodStatus(Projection):
    """A pod as the kubelet sees it."""

    phase: str = "Unknown"
    reason: str = ""
    message: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    conditions: list[Condition] = []
    container_statuses: list[ContainerStatus] = []
    init_container_statuses: list[ContainerStatus] = []


class Pod(KubeObject):
    """v1 Pod."""

    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)


class DeploymentSpec(Projection):
    """How many pods are wanted."""

    replicas: int = 1
    paused: bool = False


class DeploymentStatus(Projection):
    """How many there are."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: list[Condition] = []


class Deployment(KubeObject):
    """apps/v1 Deployment."""

    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)


class ServicePort(Projection):
    """A port of a Service."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str | None = None


class ServiceSpec(Projection):
    """What a Service selects and offers."""

    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    selector: dict[str, str] = {}
    ports: list[ServicePort] = []


class Service(KubeObject):
    """v1 Service."""

    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)


class ObjectReference(Projection):
    """What an event is about."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    field_path: str = ""


class EventSeries(Projection):
    """Repetitions of an event."""

    count: int = 0
    last_observed_time: str | None = None


class EventSource(Projection):
    """Who reported an event."""

    component: str = ""


class Event(KubeObject):
    """v1 Event."""

    involved_object: ObjectReference = msgspec.field(default_factory=ObjectReference)
    type: str = "Normal"
    reason: str = ""
    message: str = ""
    count: int = 0
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None
    series: EventSeries | None = None
    source: EventSource = msgspec.field(default_factory=EventSource)
    reporting_component: str = ""

    @property
    def last_seen(self) -> str:
        """When it was last observed, RFC 3339; empty if the server does not say."""
        series = self.series.last_observed_time if self.series else None
        times = (self.last_timestamp, series, self.event_time, self.metadata.creation_timestamp)
        return max((time for time in times if time), default="")

    @property
    def times(self) -> int:
        """How often it was observed."""
        return max(self.count, self.series.count if self.series else 0, 1)


class GatewaySpec(Projection):
    """The gateway pods it configures and the servers it opens on them."""

    selector: dict[str, str] = {}
    servers: list[dict[str, Any]] = []


class Gateway(KubeObject):
    """networking.istio.io Gateway, not that of the Gateway API."""

    spec: GatewaySpec = msgspec.field(default_factory=GatewaySpec)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: how it is addressed, what is kept of it, and whether CloudPilot may write it."""

    name: str
    plural: str
    projection: type[KubeObject]
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    """Preferred first; the first one that the cluster serves is used."""
    namespaced: bool = True
    writable: bool = False
    """The client refuses to write any other kind, whoever asks."""

    @property
    def resource(self) -> str:
        """Plural and group, as RBAC names it: `gateways.networking.istio.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_ISTIO = "networking.istio.io"

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("Node", "nodes", Node, namespaced=False),
        Kind("Namespace", "namespaces", Namespace, namespaced=False),
        Kind("Pod", "pods", Pod),
        Kind("Deployment", "deployments", Deployment, group="apps"),
        Kind("Service", "services", Service),
        Kind("Event", "events", Event),
        Kind(
            "Gateway",
            "gateways",
            Gateway,
            group=_ISTIO,
            versions=("v1", "v1beta1", "v1alpha3"),
            writable=True,
        ),
        Kind(
            "VirtualService",
            "virtualservices",
            KubeObject,
            group=_ISTIO,
            versions=("v1", "v1beta1", "v1alpha3"),
        ),
    )
}
"""Every kind by name; `Gateway` is Istio's."""

MIRRORED = ("Node", "Namespace", "Pod", "Deployment", "Service", "Event", "Gateway")
"""The kinds the mirror keeps from the start."""

COUNTED = {"ConfigMap": "configmaps", "Secret": "secrets"}
"""Core kinds of which only the number is kept, never content: kind -> plural."""
