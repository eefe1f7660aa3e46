"""Services and their endpoints."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import KubeObject, LoadBalancerStatus, Port, Projection


class ServicePort(Projection):
    """A port of a Service."""

    port: int = 0
    name: str = ""
    protocol: str = "TCP"
    target_port: Port | None = None
    node_port: int = 0
    app_protocol: str = ""


class ServiceSpec(Projection):
    """What a Service selects and offers."""

    type: str = "ClusterIP"
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    selector: dict[str, str] = {}
    ports: tuple[ServicePort, ...] = ()
    external_name: str = ""
    external_traffic_policy: str = ""
    publish_not_ready_addresses: bool = False


class ServiceStatus(Projection):
    """Where it is reached from outside."""

    load_balancer: LoadBalancerStatus = msgspec.field(default_factory=LoadBalancerStatus)


class Service(KubeObject):
    """v1 Service."""

    spec: ServiceSpec = msgspec.field(default_factory=ServiceSpec)
    status: ServiceStatus = msgspec.field(default_factory=ServiceStatus)


class EndpointConditions(Projection):
    """Whether an endpoint takes traffic; None counts as ready."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class EndpointTarget(Projection):
    """The pod behind an endpoint; it lives in the slice's namespace."""

    kind: str = ""
    name: str = ""


class Endpoint(Projection):
    """One endpoint, under one or more addresses."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = msgspec.field(default_factory=EndpointConditions)
    target_ref: EndpointTarget | None = None
    node_name: str = ""


class EndpointPort(Projection):
    """A port all endpoints of a slice listen on."""

    name: str = ""
    port: int | None = None
    protocol: str = "TCP"


class EndpointSlice(KubeObject):
    """discovery.k8s.io/v1 EndpointSlice; the server writes null for no endpoints or ports."""

    address_type: str = ""
    endpoints: tuple[Endpoint, ...] | None = ()
    ports: tuple[EndpointPort, ...] | None = ()
