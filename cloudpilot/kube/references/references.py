"""Which other objects an object names: the edges of the object graph that stand in specs.

Pure. Edges by owner and by label selector are not here: the one needs a UID, the other all labels.
"""

from __future__ import annotations

from collections.abc import Iterator

from cloudpilot.kube.objects import gateway_api
from cloudpilot.kube.objects.autoscaling import HorizontalPodAutoscaler
from cloudpilot.kube.objects.extension import WebhookConfiguration
from cloudpilot.kube.objects.istio import (
    AuthorizationPolicy,
    DestinationRule,
    RequestAuthentication,
    VirtualService,
)
from cloudpilot.kube.objects.job import CronJob
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.network import Ingress
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.objects.rbac import RoleBinding, ServiceAccount
from cloudpilot.kube.objects.service import EndpointSlice
from cloudpilot.kube.objects.storage import PersistentVolume, PersistentVolumeClaim
from cloudpilot.kube.objects.workload import DaemonSet, Deployment, StatefulSet
from cloudpilot.kube.references import pods, routes
from cloudpilot.kube.references.relation import (
    HOST,
    KUBERNETES_GATEWAY,
    Reference,
    Referrer,
    RelationType,
    kind_name,
)

SERVICE_NAME_LABEL = "kubernetes.io/service-name"


def references(obj: KubeObject, kind: str | None = None) -> Iterator[Reference]:
    """Yield everything an object names; with a kind, all of that kind and perhaps more."""
    for referrer in REFERRERS.get(type(obj), ()):
        if kind is None or kind in referrer.kinds:
            yield from referrer.find(obj)


def _governing_service(obj: StatefulSet) -> Iterator[Reference]:
    if obj.spec.service_name:
        yield Reference(
            RelationType.USES, "Service", obj.namespace, obj.spec.service_name, "serviceName"
        )


def _sliced_service(obj: EndpointSlice) -> Iterator[Reference]:
    name = obj.metadata.labels.get(SERVICE_NAME_LABEL)
    if name:
        yield Reference(RelationType.ENDPOINTS_OF, "Service", obj.namespace, name)


def _endpoints(obj: EndpointSlice) -> Iterator[Reference]:
    for endpoint in obj.endpoints or ():
        target = endpoint.target_ref
        if target is not None and target.kind == "Pod":
            note = "" if endpoint.conditions.ready is not False else "not ready"
            yield Reference(RelationType.ROUTES_TO, "Pod", obj.namespace, target.name, note)


def _scaled(obj: HorizontalPodAutoscaler) -> Iterator[Reference]:
    target = obj.spec.scale_target_ref
    if target.name:
        kind = kind_name(target.api_version.rpartition("/")[0], target.kind)
        yield Reference(RelationType.SCALES, kind, obj.namespace, target.name)


def _volume(obj: PersistentVolumeClaim) -> Iterator[Reference]:
    if obj.spec.volume_name:
        yield Reference(RelationType.BOUND_TO, "PersistentVolume", "", obj.spec.volume_name)


def _claim(obj: PersistentVolume) -> Iterator[Reference]:
    claim = obj.spec.claim_ref
    if claim is not None and claim.name:
        kind = "PersistentVolumeClaim"
        yield Reference(RelationType.BOUND_TO, kind, claim.namespace, claim.name)


def _storage_class(obj: PersistentVolumeClaim | PersistentVolume) -> Iterator[Reference]:
    if obj.spec.storage_class_name:
        yield Reference(RelationType.OF_CLASS, "StorageClass", "", obj.spec.storage_class_name)


def _account_secrets(obj: ServiceAccount) -> Iterator[Reference]:
    for note, names in (("", obj.secrets), ("image pull secret", obj.image_pull_secrets)):
        for named in names:
            yield Reference(RelationType.USES, "Secret", obj.namespace, named.name, note)


def _role(obj: RoleBinding) -> Iterator[Reference]:
    role = obj.role_ref
    namespace = obj.namespace if role.kind == "Role" else ""
    yield Reference(RelationType.GRANTS, role.kind, namespace, role.name)


def _subjects(obj: RoleBinding) -> Iterator[Reference]:
    for subject in obj.subjects:
        if subject.kind == "ServiceAccount":
            namespace = subject.namespace or obj.namespace
            yield Reference(RelationType.GRANTS_TO, subject.kind, namespace, subject.name)


def _webhook_services(obj: WebhookConfiguration) -> Iterator[Reference]:
    for webhook in obj.webhooks:
        service = webhook.client_config.service
        if service is not None:
            note = f"{webhook.name}, port {service.port}, failurePolicy {webhook.failure_policy}"
            yield Reference(RelationType.CALLS, "Service", service.namespace, service.name, note)


_OF_POD_SPEC = (
    Referrer(("ServiceAccount",), pods.service_account),
    Referrer(("PriorityClass",), pods.priority_class),
    Referrer(("PersistentVolumeClaim",), pods.claims),
    Referrer(("ConfigMap",), pods.config_maps),
    Referrer(("Secret",), pods.secrets),
)
_POLICY = (Referrer(("Service", KUBERNETES_GATEWAY), routes.policy_targets),)

REFERRERS: dict[type[KubeObject], tuple[Referrer, ...]] = {
    Pod: (Referrer(("Node",), pods.node), *_OF_POD_SPEC),
    Deployment: _OF_POD_SPEC,
    StatefulSet: (Referrer(("Service",), _governing_service), *_OF_POD_SPEC),
    DaemonSet: _OF_POD_SPEC,
    CronJob: _OF_POD_SPEC,
    EndpointSlice: (Referrer(("Service",), _sliced_service), Referrer(("Pod",), _endpoints)),
    HorizontalPodAutoscaler: (Referrer(("Deployment", "StatefulSet", "ReplicaSet"), _scaled),),
    Ingress: (
        Referrer(("Service",), routes.ingress_services),
        Referrer(("Secret",), routes.ingress_secrets),
        Referrer(("IngressClass",), routes.ingress_class),
    ),
    PersistentVolumeClaim: (
        Referrer(("PersistentVolume",), _volume),
        Referrer(("StorageClass",), _storage_class),
    ),
    PersistentVolume: (
        Referrer(("PersistentVolumeClaim",), _claim),
        Referrer(("StorageClass",), _storage_class),
    ),
    ServiceAccount: (Referrer(("Secret",), _account_secrets),),
    RoleBinding: (
        Referrer(("Role", "ClusterRole"), _role),
        Referrer(("ServiceAccount",), _subjects),
    ),
    WebhookConfiguration: (Referrer(("Service",), _webhook_services),),
    VirtualService: (
        Referrer(("Service", HOST), routes.routed_hosts),
        Referrer(("Gateway",), routes.istio_gateways),
        Referrer(("VirtualService",), routes.delegates),
    ),
    DestinationRule: (Referrer(("Service", HOST), routes.ruled_host),),
    AuthorizationPolicy: _POLICY,
    RequestAuthentication: _POLICY,
    gateway_api.KubernetesGateway: (
        Referrer(("GatewayClass",), routes.gateway_class),
        Referrer(("Secret",), routes.certificates),
    ),
    gateway_api.Route: (
        Referrer((KUBERNETES_GATEWAY, "Service"), routes.parents),
        Referrer(("Service",), routes.backends),
    ),
}
"""What the objects of each kind may name, found by their projection."""
