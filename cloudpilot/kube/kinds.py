"""The kinds CloudPilot knows, one line each: how it is addressed and what is mirrored of it."""

from __future__ import annotations

from dataclasses import dataclass

from cloudpilot.kube.objects.event import Event
from cloudpilot.kube.objects.istio import Gateway
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.namespace import Namespace
from cloudpilot.kube.objects.node import Node
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.objects.service import Service
from cloudpilot.kube.objects.workload import Deployment


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind: how it is addressed, what is kept of it, and whether CloudPilot may write it."""

    name: str
    """Unique among all kinds. Qualified by its group, as kubectl does, where two groups share a
    kind: `Gateway` is Istio's, `Gateway.gateway.networking.k8s.io` that of the Gateway API."""
    plural: str
    projection: type[KubeObject] = KubeObject
    group: str = ""
    versions: tuple[str, ...] = ("v1",)
    """Preferred first; the first one that the cluster serves is used."""
    namespaced: bool = True
    writable: bool = False
    """The client refuses to write any other kind, whoever asks."""
    always: bool = False
    """Mirrored from the start; any other kind starts when somebody reads it."""
    metadata_only: bool = False
    """Asked of the server as PartialObjectMetadata: that it exists, never what it holds."""
    custom: bool = False
    """Defined by a CustomResourceDefinition, and so may appear and vanish while we run."""
    keeps_body: bool = False
    """Whether `KubeObject.body` keeps the object's own fields for the journal. Not for kinds that
    are many or written by machines."""

    @property
    def kind(self) -> str:
        """The kind as the API spells it, without a group."""
        return self.name.partition(".")[0]

    @property
    def resource(self) -> str:
        """Plural and group, as RBAC names it: `gateways.networking.istio.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_ISTIO = ("v1", "v1beta1", "v1alpha3")
_GATEWAY_API = "gateway.networking.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_RBAC = "rbac.authorization.k8s.io"

# fmt: off
_CORE = (
    Kind("Node", "nodes", Node, namespaced=False, always=True),
    Kind("Namespace", "namespaces", Namespace, namespaced=False, always=True),
    Kind("Pod", "pods", Pod, always=True),
    Kind("Event", "events", Event, always=True),
    Kind("Deployment", "deployments", Deployment, "apps", always=True, keeps_body=True),
    Kind("ReplicaSet", "replicasets", KubeObject, "apps", always=True),
    Kind("StatefulSet", "statefulsets", KubeObject, "apps", always=True, keeps_body=True),
    Kind("DaemonSet", "daemonsets", KubeObject, "apps", always=True, keeps_body=True),
    Kind("Job", "jobs", KubeObject, "batch", always=True),
    Kind("CronJob", "cronjobs", KubeObject, "batch", always=True, keeps_body=True),
    Kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", KubeObject, "autoscaling", ("v2",),
         always=True, keeps_body=True),
    Kind("PodDisruptionBudget", "poddisruptionbudgets", KubeObject, "policy", keeps_body=True),
    Kind("Service", "services", Service, always=True, keeps_body=True),
    Kind("EndpointSlice", "endpointslices", KubeObject, "discovery.k8s.io"),
    Kind("Ingress", "ingresses", KubeObject, "networking.k8s.io", keeps_body=True),
    Kind("IngressClass", "ingressclasses", KubeObject, "networking.k8s.io", namespaced=False,
         keeps_body=True),
    Kind("NetworkPolicy", "networkpolicies", KubeObject, "networking.k8s.io", keeps_body=True),
    Kind("ResourceQuota", "resourcequotas", KubeObject, keeps_body=True),
    Kind("LimitRange", "limitranges", KubeObject, keeps_body=True),
    Kind("PersistentVolume", "persistentvolumes", KubeObject, namespaced=False),
    Kind("PersistentVolumeClaim", "persistentvolumeclaims", KubeObject, always=True),
    Kind("StorageClass", "storageclasses", KubeObject, "storage.k8s.io", namespaced=False,
         keeps_body=True),
    Kind("ConfigMap", "configmaps", KubeObject, always=True, metadata_only=True),
    Kind("Secret", "secrets", KubeObject, always=True, metadata_only=True),
    Kind("ServiceAccount", "serviceaccounts", KubeObject),
    Kind("Role", "roles", KubeObject, _RBAC, keeps_body=True),
    Kind("RoleBinding", "rolebindings", KubeObject, _RBAC, keeps_body=True),
    Kind("ClusterRole", "clusterroles", KubeObject, _RBAC, namespaced=False, keeps_body=True),
    Kind("ClusterRoleBinding", "clusterrolebindings", KubeObject, _RBAC, namespaced=False,
         keeps_body=True),
    Kind("PriorityClass", "priorityclasses", KubeObject, "scheduling.k8s.io", namespaced=False),
    Kind("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", KubeObject,
         _ADMISSION, namespaced=False, keeps_body=True),
    Kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", KubeObject, _ADMISSION,
         namespaced=False, keeps_body=True),
    Kind("CustomResourceDefinition", "customresourcedefinitions", KubeObject,
         "apiextensions.k8s.io", namespaced=False, always=True),
)


def _istio(name: str, plural: str, projection: type[KubeObject], **more: bool) -> Kind:
    return Kind(name, plural, projection, "networking.istio.io", _ISTIO, custom=True,
                keeps_body=not more.get("metadata_only", False), **more)


def _istio_security(name: str, plural: str, projection: type[KubeObject]) -> Kind:
    return Kind(name, plural, projection, "security.istio.io", ("v1", "v1beta1"), custom=True,
                keeps_body=True)


def _gateway_api(name: str, plural: str, versions: tuple[str, ...], *, namespaced: bool) -> Kind:
    return Kind(name, plural, KubeObject, _GATEWAY_API, versions, custom=True, keeps_body=True,
                namespaced=namespaced)


_CUSTOM = (
    _istio("Gateway", "gateways", Gateway, always=True, writable=True),
    _istio("VirtualService", "virtualservices", KubeObject, always=True),
    _istio("DestinationRule", "destinationrules", KubeObject, always=True),
    _istio("ServiceEntry", "serviceentries", KubeObject),
    _istio("Sidecar", "sidecars", KubeObject),
    _istio("EnvoyFilter", "envoyfilters", KubeObject, metadata_only=True),
    _istio_security("PeerAuthentication", "peerauthentications", KubeObject),
    _istio_security("RequestAuthentication", "requestauthentications", KubeObject),
    _istio_security("AuthorizationPolicy", "authorizationpolicies", KubeObject),
    Kind("Telemetry", "telemetries", KubeObject, "telemetry.istio.io", ("v1", "v1alpha1"),
         custom=True, metadata_only=True),
    _gateway_api("GatewayClass", "gatewayclasses", ("v1", "v1beta1"), namespaced=False),
    _gateway_api(f"Gateway.{_GATEWAY_API}", "gateways", ("v1", "v1beta1"), namespaced=True),
    _gateway_api("HTTPRoute", "httproutes", ("v1", "v1beta1"), namespaced=True),
    _gateway_api("GRPCRoute", "grpcroutes", ("v1", "v1alpha2"), namespaced=True),
    _gateway_api("ReferenceGrant", "referencegrants", ("v1", "v1beta1"), namespaced=True),
)
# fmt: on

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_CORE, *_CUSTOM)}
"""Every kind by name."""

ALWAYS = tuple(kind.name for kind in KINDS.values() if kind.always)
"""The kinds the mirror keeps from the start."""
