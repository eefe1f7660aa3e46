"""Pods: what they want, and what the kubelet sees of them.

Names of ConfigMaps and Secrets are kept, never what an environment variable holds, nor a command:
people write passwords into both. What siblings have in common is kept apart from what is one
pod's own, so that they can share it in memory.
"""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import (
    Amounts,
    Condition,
    KubeObject,
    NameReference,
    Port,
    Projection,
)
from cloudpilot.kube.objects.scheduling import Affinity, Toleration, TopologySpreadConstraint
from cloudpilot.kube.objects.volume import ConfigMapSource, SecretSource, Volume


class Resources(Projection):
    """Requests and limits."""

    requests: Amounts = {}
    limits: Amounts = {}


class ContainerPort(Projection):
    """A port a container says it listens on."""

    container_port: int = 0
    name: str = ""
    protocol: str = "TCP"
    host_port: int = 0


class EnvSource(Projection):
    """The object that the value of a variable comes from."""

    config_map_key_ref: ConfigMapSource | None = None
    secret_key_ref: SecretSource | None = None


class EnvVar(Projection):
    """Where the value of an environment variable comes from; the value itself is never kept."""

    value_from: EnvSource | None = None


class EnvFrom(Projection):
    """An object all of whose keys become variables."""

    config_map_ref: ConfigMapSource | None = None
    secret_ref: SecretSource | None = None


class ProbeTarget(Projection):
    """What a probe asks."""

    port: Port = 0
    path: str = ""
    scheme: str = ""


class ExecProbe(Projection):
    """That a probe runs a command, not which."""


class Probe(Projection):
    """How the kubelet asks a container how it is."""

    http_get: ProbeTarget | None = None
    tcp_socket: ProbeTarget | None = None
    grpc: ProbeTarget | None = None
    exec: ExecProbe | None = None
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3


class Container(Projection):
    """A container as the pod's spec wants it."""

    name: str = ""
    image: str = ""
    restart_policy: str = ""
    resources: Resources = msgspec.field(default_factory=Resources)
    ports: tuple[ContainerPort, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    startup_probe: Probe | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None


class ReadinessGate(Projection):
    """A condition that must be true before the pod is ready."""

    condition_type: str = ""


class PodSpec(Projection):
    """Where the pod runs and what it runs."""

    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    overhead: Amounts = {}
    resources: Resources | None = None
    service_account_name: str = ""
    volumes: tuple[Volume, ...] = ()
    image_pull_secrets: tuple[NameReference, ...] = ()
    node_selector: dict[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[Toleration, ...] = ()
    topology_spread_constraints: tuple[TopologySpreadConstraint, ...] = ()
    priority_class_name: str = ""
    scheduler_name: str = ""
    host_network: bool = False
    restart_policy: str = "Always"
    termination_grace_period_seconds: int = 30
    readiness_gates: tuple[ReadinessGate, ...] = ()


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

    name: str = ""
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
    qos_class: str = ""
    start_time: str | None = None
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(KubeObject):
    """v1 Pod."""

    spec: PodSpec = msgspec.field(default_factory=PodSpec)
    status: PodStatus = msgspec.field(default_factory=PodStatus)
