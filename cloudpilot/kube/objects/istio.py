"""Istio's kinds: who is meant, which hosts, where to. Matches and policies stay in `body`."""

from __future__ import annotations

from typing import Any

import msgspec

from cloudpilot.kube.objects.meta import KubeObject, Projection


class WorkloadSelector(Projection):
    """The pods that are meant: policies say `matchLabels`, configurations `labels`."""

    match_labels: dict[str, str] = {}
    labels: dict[str, str] = {}


class GatewaySpec(Projection):
    """The gateway pods it configures and the servers it opens on them."""

    selector: dict[str, str] = {}
    servers: list[dict[str, Any]] = []


class Gateway(KubeObject):
    """networking.istio.io Gateway, not that of the Gateway API."""

    spec: GatewaySpec = msgspec.field(default_factory=GatewaySpec)


class PortSelector(Projection):
    """A port of the destination."""

    number: int = 0


class Destination(Projection):
    """A host of the mesh, or a subset of its pods."""

    host: str = ""
    subset: str = ""
    port: PortSelector | None = None


class RouteDestination(Projection):
    """A destination and its share of the traffic."""

    destination: Destination = msgspec.field(default_factory=Destination)
    weight: int = 0


class Delegate(Projection):
    """Another VirtualService that decides."""

    name: str = ""
    namespace: str = ""


class Route(Projection):
    """Where the traffic of one rule goes, and where a copy of it."""

    name: str = ""
    route: tuple[RouteDestination, ...] = ()
    mirror: Destination | None = None
    mirrors: tuple[RouteDestination, ...] = ()
    delegate: Delegate | None = None


class VirtualServiceSpec(Projection):
    """Which hosts, on which gateways, go where."""

    hosts: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    export_to: tuple[str, ...] = ()
    http: tuple[Route, ...] = ()
    tls: tuple[Route, ...] = ()
    tcp: tuple[Route, ...] = ()


class VirtualService(KubeObject):
    """networking.istio.io VirtualService."""

    spec: VirtualServiceSpec = msgspec.field(default_factory=VirtualServiceSpec)


class ClientTLS(Projection):
    """How callers speak TLS."""

    mode: str = ""


class TrafficPolicy(Projection):
    """The part of a policy that can break a connection."""

    tls: ClientTLS | None = None


class Subset(Projection):
    """A named subset of a host's pods."""

    name: str = ""
    labels: dict[str, str] = {}


class DestinationRuleSpec(Projection):
    """How callers of a host behave."""

    host: str = ""
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    traffic_policy: TrafficPolicy | None = None
    workload_selector: WorkloadSelector | None = None


class DestinationRule(KubeObject):
    """networking.istio.io DestinationRule."""

    spec: DestinationRuleSpec = msgspec.field(default_factory=DestinationRuleSpec)


class ServiceEntryPort(Projection):
    """A port of a host outside the cluster."""

    number: int = 0
    name: str = ""
    protocol: str = ""


class ServiceEntrySpec(Projection):
    """Hosts that the mesh shall know."""

    hosts: tuple[str, ...] = ()
    ports: tuple[ServiceEntryPort, ...] = ()
    location: str = ""
    resolution: str = ""
    export_to: tuple[str, ...] = ()
    workload_selector: WorkloadSelector | None = None


class ServiceEntry(KubeObject):
    """networking.istio.io ServiceEntry."""

    spec: ServiceEntrySpec = msgspec.field(default_factory=ServiceEntrySpec)


class SidecarEgress(Projection):
    """What the pods may call."""

    hosts: tuple[str, ...] = ()


class SidecarSpec(Projection):
    """What the proxies of some pods know of the mesh."""

    workload_selector: WorkloadSelector | None = None
    egress: tuple[SidecarEgress, ...] = ()


class Sidecar(KubeObject):
    """networking.istio.io Sidecar."""

    spec: SidecarSpec = msgspec.field(default_factory=SidecarSpec)


class MutualTLS(Projection):
    """STRICT, PERMISSIVE, DISABLE or UNSET."""

    mode: str = ""


class PeerAuthenticationSpec(Projection):
    """How pods are spoken to."""

    selector: WorkloadSelector | None = None
    mtls: MutualTLS | None = None
    port_level_mtls: dict[str, MutualTLS] = {}


class PeerAuthentication(KubeObject):
    """security.istio.io PeerAuthentication."""

    spec: PeerAuthenticationSpec = msgspec.field(default_factory=PeerAuthenticationSpec)


class PolicyTarget(Projection):
    """The Gateway or Service a policy is about."""

    group: str = ""
    kind: str = ""
    name: str = ""


class JWTRule(Projection):
    """Whose tokens are accepted; never a key."""

    issuer: str = ""


class RequestAuthenticationSpec(Projection):
    """Whose tokens pods accept."""

    selector: WorkloadSelector | None = None
    target_refs: tuple[PolicyTarget, ...] = ()
    jwt_rules: tuple[JWTRule, ...] = ()


class RequestAuthentication(KubeObject):
    """security.istio.io RequestAuthentication."""

    spec: RequestAuthenticationSpec = msgspec.field(default_factory=RequestAuthenticationSpec)


class AuthorizationPolicySpec(Projection):
    """Whether pods allow or deny what the rules in `body` describe."""

    selector: WorkloadSelector | None = None
    target_refs: tuple[PolicyTarget, ...] = ()
    action: str = "ALLOW"


class AuthorizationPolicy(KubeObject):
    """security.istio.io AuthorizationPolicy."""

    spec: AuthorizationPolicySpec = msgspec.field(default_factory=AuthorizationPolicySpec)
