"""Pods: what they want, and what the kubelet says of them."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Amounts, Condition, KubeObject, Projection


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
