"""Which objects routes name: Ingresses, Istio's and the Gateway API's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cloudpilot.kube.objects import gateway_api
from cloudpilot.kube.objects.istio import (
    AuthorizationPolicy,
    DestinationRule,
    PolicyTarget,
    RequestAuthentication,
    VirtualService,
)
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.network import Ingress, IngressBackend
from cloudpilot.kube.references.relation import HOST, Reference, RelationType, kind_name


def service_of_host(host: str, namespace: str) -> tuple[str, str] | None:
    """Return namespace and name of the Service a mesh host means; None for any other host.

    As istiod does: a name without a dot belongs to the namespace of who names it, and only
    `name.namespace.svc.<domain>` is complete. `name.namespace` is just a host nobody serves.
    """
    if not host or "*" in host:
        return None
    parts = host.split(".")
    if len(parts) == 1:
        return namespace, host
    if len(parts) > 3 and parts[2] == "svc":
        return parts[1], parts[0]
    return None


def ingress_services(obj: Ingress) -> Iterator[Reference]:
    """Yield the Services an Ingress leads to."""
    if obj.spec.default_backend is not None:
        yield from _ingress_service(obj, obj.spec.default_backend, "default backend")
    for rule in obj.spec.rules:
        for path in rule.http.paths:
            yield from _ingress_service(obj, path.backend, f"{rule.host or '*'}{path.path or '/'}")


def _ingress_service(obj: Ingress, backend: IngressBackend, note: str) -> Iterator[Reference]:
    service = backend.service
    if service is not None and service.name:
        port = service.port.name or service.port.number
        yield Reference(
            RelationType.ROUTES_TO, "Service", obj.namespace, service.name, f"{note}, port {port}"
        )


def ingress_secrets(obj: Ingress) -> Iterator[Reference]:
    """Yield the Secrets of its certificates."""
    for tls in obj.spec.tls:
        if tls.secret_name:
            yield Reference(RelationType.USES, "Secret", obj.namespace, tls.secret_name, "TLS")


def ingress_class(obj: Ingress) -> Iterator[Reference]:
    """Yield its class, also where the old annotation names it."""
    name = obj.spec.ingress_class_name or obj.metadata.annotations.ingress_class
    if name:
        yield Reference(RelationType.OF_CLASS, "IngressClass", "", name)


def routed_hosts(obj: VirtualService) -> Iterator[Reference]:
    """Yield where a VirtualService leads: Services and other hosts."""
    spec = obj.spec
    for route in (*spec.http, *spec.tls, *spec.tcp):
        mirrors = (*route.mirrors, *route.route)
        for to in (*(item.destination for item in mirrors), *filter(None, (route.mirror,))):
            subset = f"subset {to.subset}" if to.subset else ""
            port = f"port {to.port.number}" if to.port else ""
            note = ", ".join(filter(None, (subset, port)))
            yield from _host(obj, RelationType.ROUTES_TO, to.host, note)


def ruled_host(obj: DestinationRule) -> Iterator[Reference]:
    """Yield what a DestinationRule is about."""
    subsets = ", ".join(subset.name for subset in obj.spec.subsets)
    note = f"subsets {subsets}" if subsets else ""
    yield from _host(obj, RelationType.CONFIGURES, obj.spec.host, note)


def _host(obj: KubeObject, relation: RelationType, host: str, note: str) -> Iterator[Reference]:
    service = service_of_host(host, obj.namespace)
    if service is not None:
        yield Reference(relation, "Service", *service, note)
    elif host and "*" not in host:
        yield Reference(relation, HOST, "", host, note)


def istio_gateways(obj: VirtualService) -> Iterator[Reference]:
    """Yield the Gateways a VirtualService is attached to."""
    for gateway in obj.spec.gateways:
        if gateway != "mesh":
            namespace, _, name = gateway.rpartition("/")
            yield Reference(RelationType.ATTACHED_TO, "Gateway", namespace or obj.namespace, name)


def delegates(obj: VirtualService) -> Iterator[Reference]:
    """Yield the VirtualServices that decide instead."""
    for route in obj.spec.http:
        if route.delegate is not None:
            namespace = route.delegate.namespace or obj.namespace
            yield Reference(
                RelationType.ROUTES_TO, "VirtualService", namespace, route.delegate.name, "delegate"
            )


def policy_targets(obj: AuthorizationPolicy | RequestAuthentication) -> Iterator[Reference]:
    """Yield the Gateways and Services a policy is about."""
    targets: Iterable[PolicyTarget] = obj.spec.target_refs
    for target in targets:
        kind = kind_name(target.group, target.kind)
        yield Reference(RelationType.CONFIGURES, kind, obj.namespace, target.name)


def gateway_class(obj: gateway_api.KubernetesGateway) -> Iterator[Reference]:
    """Yield the class of a Gateway."""
    name = obj.spec.gateway_class_name
    if name:
        yield Reference(RelationType.OF_CLASS, "GatewayClass", "", name)


def certificates(obj: gateway_api.KubernetesGateway) -> Iterator[Reference]:
    """Yield the Secrets of its certificates."""
    for listener in obj.spec.listeners:
        for certificate in listener.tls.certificate_refs if listener.tls else ():
            if certificate.kind in ("", "Secret") and not certificate.group:
                namespace = certificate.namespace or obj.namespace
                note = f"certificate of listener {listener.name}"
                yield Reference(RelationType.USES, "Secret", namespace, certificate.name, note)


def parents(obj: gateway_api.Route) -> Iterator[Reference]:
    """Yield what a route is attached to."""
    for parent in obj.spec.parent_refs:
        group = gateway_api.GROUP if parent.group is None else parent.group
        kind = kind_name(group, parent.kind or "Gateway")
        note = f"listener {parent.section_name}" if parent.section_name else ""
        namespace = parent.namespace or obj.namespace
        yield Reference(RelationType.ATTACHED_TO, kind, namespace, parent.name, note)


def backends(obj: gateway_api.Route) -> Iterator[Reference]:
    """Yield where a route leads."""
    for rule in obj.spec.rules:
        for backend in rule.backend_refs:
            kind = kind_name(backend.group or "", backend.kind or "Service")
            note = f"port {backend.port}" if backend.port else ""
            namespace = backend.namespace or obj.namespace
            yield Reference(RelationType.ROUTES_TO, kind, namespace, backend.name, note)
