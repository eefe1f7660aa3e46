"""What lets traffic in and what keeps it out: Ingresses and NetworkPolicies."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import (
    KubeObject,
    LoadBalancerStatus,
    Metadata,
    Port,
    Projection,
)
from cloudpilot.kube.objects.selector import LabelSelector


class IngressServicePort(Projection):
    """A port of a Service, by name or number."""

    name: str = ""
    number: int = 0


class IngressService(Projection):
    """The Service that takes the traffic."""

    name: str = ""
    port: IngressServicePort = msgspec.field(default_factory=IngressServicePort)


class IngressBackend(Projection):
    """Where traffic goes; a backend that is no Service has none."""

    service: IngressService | None = None


class IngressPath(Projection):
    """Traffic of one path."""

    path: str = ""
    path_type: str = ""
    backend: IngressBackend = msgspec.field(default_factory=IngressBackend)


class IngressPaths(Projection):
    """Traffic by path."""

    paths: tuple[IngressPath, ...] = ()


class IngressRule(Projection):
    """Traffic of one host; an empty one is every host."""

    host: str = ""
    http: IngressPaths = msgspec.field(default_factory=IngressPaths)


class IngressTLS(Projection):
    """The hosts for which a Secret holds the certificate."""

    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Projection):
    """Which controller serves which hosts from which Services."""

    ingress_class_name: str = ""
    default_backend: IngressBackend | None = None
    rules: tuple[IngressRule, ...] = ()
    tls: tuple[IngressTLS, ...] = ()


class IngressStatus(Projection):
    """Where it is reached."""

    load_balancer: LoadBalancerStatus = msgspec.field(default_factory=LoadBalancerStatus)


class LegacyClass(Projection):
    """The annotation that named the class before there was a field."""

    ingress_class: str = msgspec.field(default="", name="kubernetes.io/ingress.class")


class IngressMetadata(Metadata, kw_only=True):
    """Metadata with the annotation of the class."""

    annotations: LegacyClass = msgspec.field(default_factory=LegacyClass)


class Ingress(KubeObject, kw_only=True):
    """networking.k8s.io/v1 Ingress."""

    metadata: IngressMetadata
    spec: IngressSpec = msgspec.field(default_factory=IngressSpec)
    status: IngressStatus = msgspec.field(default_factory=IngressStatus)


class DefaultIngressClass(Projection):
    """The annotation that makes a class the default."""

    is_default: str = msgspec.field(default="", name="ingressclass.kubernetes.io/is-default-class")


class IngressClassMetadata(Metadata, kw_only=True):
    """Metadata that says whether this is the default."""

    annotations: DefaultIngressClass = msgspec.field(default_factory=DefaultIngressClass)


class IngressClassSpec(Projection):
    """Who serves it."""

    controller: str = ""


class IngressClass(KubeObject, kw_only=True):
    """networking.k8s.io/v1 IngressClass."""

    metadata: IngressClassMetadata
    spec: IngressClassSpec = msgspec.field(default_factory=IngressClassSpec)


class IPBlock(Projection):
    """Addresses outside the cluster."""

    cidr: str = ""
    except_: tuple[str, ...] = msgspec.field(default=(), name="except")


class NetworkPolicyPeer(Projection):
    """Who may talk; an absent selector is not an empty one."""

    pod_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    ip_block: IPBlock | None = None


class NetworkPolicyPort(Projection):
    """A port or a range of them; None is every port."""

    protocol: str = "TCP"
    port: Port | None = None
    end_port: int | None = None


class NetworkPolicyRule(Projection):
    """Peers and ports that are allowed; no peers mean everybody."""

    from_: tuple[NetworkPolicyPeer, ...] = msgspec.field(default=(), name="from")
    to: tuple[NetworkPolicyPeer, ...] = ()
    ports: tuple[NetworkPolicyPort, ...] = ()


class NetworkPolicySpec(Projection):
    """The pods it is about, and what they may do."""

    pod_selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    policy_types: tuple[str, ...] = ()
    ingress: tuple[NetworkPolicyRule, ...] = ()
    egress: tuple[NetworkPolicyRule, ...] = ()


class NetworkPolicy(KubeObject):
    """networking.k8s.io/v1 NetworkPolicy."""

    spec: NetworkPolicySpec = msgspec.field(default_factory=NetworkPolicySpec)
