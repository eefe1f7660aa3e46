"""The kinds of the Gateway API. Matches and filters stay in `body`."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Condition, KubeObject, Projection

GROUP = "gateway.networking.k8s.io"


class GatewayClassSpec(Projection):
    """Who serves it."""

    controller_name: str = ""


class ConditionsStatus(Projection):
    """A status that is nothing but conditions."""

    conditions: tuple[Condition, ...] = ()


class GatewayClass(KubeObject):
    """gateway.networking.k8s.io GatewayClass."""

    spec: GatewayClassSpec = msgspec.field(default_factory=GatewayClassSpec)
    status: ConditionsStatus = msgspec.field(default_factory=ConditionsStatus)


class Reference(Projection):
    """An object that is named; what is empty is taken from the context."""

    group: str | None = None
    """None is the default group, the empty one the core group."""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    port: int = 0
    section_name: str = ""
    weight: int = 1


class ListenerTLS(Projection):
    """How a listener speaks TLS."""

    mode: str = "Terminate"
    certificate_refs: tuple[Reference, ...] = ()


class Listener(Projection):
    """A port that a gateway opens."""

    name: str = ""
    port: int = 0
    protocol: str = ""
    hostname: str = ""
    tls: ListenerTLS | None = None


class GatewaySpec(Projection):
    """Who serves which listeners."""

    gateway_class_name: str = ""
    listeners: tuple[Listener, ...] = ()


class GatewayAddress(Projection):
    """Where a gateway is reached."""

    type: str = ""
    value: str = ""


class ListenerStatus(Projection):
    """How a listener is doing."""

    name: str = ""
    attached_routes: int = 0
    conditions: tuple[Condition, ...] = ()


class GatewayStatus(Projection):
    """How a gateway is doing."""

    addresses: tuple[GatewayAddress, ...] = ()
    conditions: tuple[Condition, ...] = ()
    listeners: tuple[ListenerStatus, ...] = ()


class KubernetesGateway(KubeObject):
    """gateway.networking.k8s.io Gateway, not Istio's."""

    spec: GatewaySpec = msgspec.field(default_factory=GatewaySpec)
    status: GatewayStatus = msgspec.field(default_factory=GatewayStatus)


class RouteRule(Projection):
    """Where the traffic of one rule goes."""

    backend_refs: tuple[Reference, ...] = ()


class RouteSpec(Projection):
    """Which hosts, on which gateways, go where."""

    parent_refs: tuple[Reference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[RouteRule, ...] = ()


class RouteParentStatus(Projection):
    """Whether one parent took the route."""

    parent_ref: Reference = msgspec.field(default_factory=Reference)
    controller_name: str = ""
    conditions: tuple[Condition, ...] = ()


class RouteStatus(Projection):
    """Whether the parents took the route."""

    parents: tuple[RouteParentStatus, ...] = ()


class Route(KubeObject):
    """gateway.networking.k8s.io HTTPRoute or GRPCRoute."""

    spec: RouteSpec = msgspec.field(default_factory=RouteSpec)
    status: RouteStatus = msgspec.field(default_factory=RouteStatus)


class ReferenceGrantSpec(Projection):
    """Who may name what in this namespace."""

    from_: tuple[Reference, ...] = msgspec.field(default=(), name="from")
    to: tuple[Reference, ...] = ()


class ReferenceGrant(KubeObject):
    """gateway.networking.k8s.io ReferenceGrant."""

    spec: ReferenceGrantSpec = msgspec.field(default_factory=ReferenceGrantSpec)
