"""The kinds CloudPilot knows, one line each: how it is addressed and what is mirrored of it."""

from __future__ import annotations

from dataclasses import dataclass

from cloudpilot.kube.objects.autoscaling import HorizontalPodAutoscaler, PodDisruptionBudget
from cloudpilot.kube.objects.event import Event
from cloudpilot.kube.objects.extension import CustomResourceDefinition, WebhookConfiguration
from cloudpilot.kube.objects.gateway_api import (
    GatewayClass,
    KubernetesGateway,
    ReferenceGrant,
    Route,
)
from cloudpilot.kube.objects.istio import (
    AuthorizationPolicy,
    DestinationRule,
    Gateway,
    PeerAuthentication,
    RequestAuthentication,
    ServiceEntry,
    Sidecar,
    VirtualService,
)
from cloudpilot.kube.objects.job import CronJob, Job
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.namespace import LimitRange, Namespace, ResourceQuota
from cloudpilot.kube.objects.network import Ingress, IngressClass, NetworkPolicy
from cloudpilot.kube.objects.node import Node
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.objects.rbac import Role, RoleBinding, ServiceAccount
from cloudpilot.kube.objects.scheduling import PriorityClass
from cloudpilot.kube.objects.service import EndpointSlice, Service
from cloudpilot.kube.objects.storage import PersistentVolume, PersistentVolumeClaim, StorageClass
from cloudpilot.kube.objects.workload import DaemonSet, Deployment, ReplicaSet, StatefulSet


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
    short_names: tuple[str, ...] = ()
    """What kubectl calls it for short."""

    @property
    def kind(self) -> str:
        """The kind as the API spells it, without a group."""
        return self.name.partition(".")[0]

    @property
    def spellings(self) -> frozenset[str]:
        """Every lower-case spelling that names it on kubectl's command line."""
        bare = (self.kind.lower(), self.plural, *self.short_names)
        full = (f"{self.kind.lower()}.{self.group}", f"{self.plural}.{self.group}")
        return frozenset((*bare, *full) if self.group else bare)

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
    Kind("Node", "nodes", Node, namespaced=False, always=True, short_names=("no",)),
    Kind("Namespace", "namespaces", Namespace, namespaced=False, always=True, short_names=("ns",)),
    Kind("Pod", "pods", Pod, always=True, short_names=("po",)),
    Kind("Event", "events", Event, always=True, short_names=("ev",)),
    Kind("Deployment", "deployments", Deployment, "apps", always=True, keeps_body=True,
         short_names=("deploy",)),
    Kind("ReplicaSet", "replicasets", ReplicaSet, "apps", always=True, short_names=("rs",)),
    Kind("StatefulSet", "statefulsets", StatefulSet, "apps", always=True, keeps_body=True,
         short_names=("sts",)),
    Kind("DaemonSet", "daemonsets", DaemonSet, "apps", always=True, keeps_body=True,
         short_names=("ds",)),
    Kind("Job", "jobs", Job, "batch", always=True),
    Kind("CronJob", "cronjobs", CronJob, "batch", always=True, keeps_body=True,
         short_names=("cj",)),
    Kind("HorizontalPodAutoscaler", "horizontalpodautoscalers", HorizontalPodAutoscaler,
         "autoscaling", ("v2",), always=True, keeps_body=True, short_names=("hpa",)),
    Kind("PodDisruptionBudget", "poddisruptionbudgets", PodDisruptionBudget, "policy",
         keeps_body=True, short_names=("pdb",)),
    Kind("Service", "services", Service, always=True, keeps_body=True, short_names=("svc",)),
    Kind("EndpointSlice", "endpointslices", EndpointSlice, "discovery.k8s.io"),
    Kind("Ingress", "ingresses", Ingress, "networking.k8s.io", keeps_body=True,
         short_names=("ing",)),
    Kind("IngressClass", "ingressclasses", IngressClass, "networking.k8s.io", namespaced=False,
         keeps_body=True),
    Kind("NetworkPolicy", "networkpolicies", NetworkPolicy, "networking.k8s.io", keeps_body=True,
         short_names=("netpol",)),
    Kind("ResourceQuota", "resourcequotas", ResourceQuota, keeps_body=True,
         short_names=("quota",)),
    Kind("LimitRange", "limitranges", LimitRange, keeps_body=True, short_names=("limits",)),
    Kind("PersistentVolume", "persistentvolumes", PersistentVolume, namespaced=False,
         short_names=("pv",)),
    Kind("PersistentVolumeClaim", "persistentvolumeclaims", PersistentVolumeClaim, always=True,
         short_names=("pvc",)),
    Kind("StorageClass", "storageclasses", StorageClass, "storage.k8s.io", namespaced=False,
         keeps_body=True, short_names=("sc",)),
    Kind("ConfigMap", "configmaps", always=True, metadata_only=True, short_names=("cm",)),
    Kind("Secret", "secrets", always=True, metadata_only=True),
    Kind("ServiceAccount", "serviceaccounts", ServiceAccount, short_names=("sa",)),
    Kind("Role", "roles", Role, _RBAC, keeps_body=True),
    Kind("RoleBinding", "rolebindings", RoleBinding, _RBAC, keeps_body=True),
    Kind("ClusterRole", "clusterroles", Role, _RBAC, namespaced=False, keeps_body=True),
    Kind("ClusterRoleBinding", "clusterrolebindings", RoleBinding, _RBAC, namespaced=False,
         keeps_body=True),
    Kind("PriorityClass", "priorityclasses", PriorityClass, "scheduling.k8s.io",
         namespaced=False, short_names=("pc",)),
    Kind("ValidatingWebhookConfiguration", "validatingwebhookconfigurations",
         WebhookConfiguration, _ADMISSION, namespaced=False, keeps_body=True),
    Kind("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", WebhookConfiguration,
         _ADMISSION, namespaced=False, keeps_body=True),
    Kind("CustomResourceDefinition", "customresourcedefinitions", CustomResourceDefinition,
         "apiextensions.k8s.io", namespaced=False, always=True, short_names=("crd", "crds")),
)


def _istio(name: str, plural: str, projection: type[KubeObject], *short_names: str,
           **more: bool) -> Kind:
    return Kind(name, plural, projection, "networking.istio.io", _ISTIO, custom=True,
                keeps_body=not more.get("metadata_only", False), short_names=short_names, **more)


def _istio_security(name: str, plural: str, projection: type[KubeObject], *short: str) -> Kind:
    return Kind(name, plural, projection, "security.istio.io", ("v1", "v1beta1"), custom=True,
                keeps_body=True, short_names=short)


def _gateway_api(name: str, plural: str, projection: type[KubeObject], *short: str,
                 older: str = "v1beta1", namespaced: bool = True) -> Kind:
    return Kind(name, plural, projection, _GATEWAY_API, ("v1", older), custom=True,
                keeps_body=True, namespaced=namespaced, short_names=short)


_CUSTOM = (
    _istio("Gateway", "gateways", Gateway, "gw", always=True, writable=True),
    _istio("VirtualService", "virtualservices", VirtualService, "vs", always=True),
    _istio("DestinationRule", "destinationrules", DestinationRule, "dr", always=True),
    _istio("ServiceEntry", "serviceentries", ServiceEntry, "se"),
    _istio("Sidecar", "sidecars", Sidecar),
    _istio("EnvoyFilter", "envoyfilters", KubeObject, metadata_only=True),
    _istio_security("PeerAuthentication", "peerauthentications", PeerAuthentication, "pa"),
    _istio_security("RequestAuthentication", "requestauthentications", RequestAuthentication,
                    "ra"),
    _istio_security("AuthorizationPolicy", "authorizationpolicies", AuthorizationPolicy, "ap"),
    Kind("Telemetry", "telemetries", KubeObject, "telemetry.istio.io", ("v1", "v1alpha1"),
         custom=True, metadata_only=True, short_names=("telemetry",)),
    _gateway_api("GatewayClass", "gatewayclasses", GatewayClass, "gc", namespaced=False),
    _gateway_api(f"Gateway.{_GATEWAY_API}", "gateways", KubernetesGateway, "gtw"),
    _gateway_api("HTTPRoute", "httproutes", Route),
    _gateway_api("GRPCRoute", "grpcroutes", Route, older="v1alpha2"),
    _gateway_api("ReferenceGrant", "referencegrants", ReferenceGrant, "refgrant"),
)
# fmt: on

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*_CORE, *_CUSTOM)}
"""Every kind by name."""

ALWAYS = tuple(kind.name for kind in KINDS.values() if kind.always)
"""The kinds the mirror keeps from the start."""


def find_kind(text: str) -> Kind | None:
    """Return the kind that kubectl would take this for: `po`, `pods`, `Pod`, `deployments.apps`.

    Where two groups share a name the first in the table wins, as with kubectl the first served:
    `gateway` is Istio's.
    """
    spelling = text.lower()
    return next((kind for kind in KINDS.values() if spelling in kind.spellings), None)
