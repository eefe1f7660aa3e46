"""Services and their endpoints."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import KubeObject, Projection


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
