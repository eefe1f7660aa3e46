"""The kinds that a simulated API server can serve: one table, one line a kind, and `Kinds`.

A line gives the API versions (first = preferred), plural, kind, scope, short names, subresources
and flags. `gen` = metadata.generation counts spec changes; `crd` = a custom kind, served only
while its CustomResourceDefinition is there (`definitions.py`); `returned` = a delete answers with
the object itself; `virtual` = computed, never stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

T = TypeVar("T")
Obj = dict[str, Any]
Objs = list[Obj]

_TABLE = """
v1 namespaces Namespace cluster ns status,finalize returned
v1 nodes Node cluster no status -
v1 pods Pod namespaced po status,log gen,returned
v1 services Service namespaced svc status returned
v1 endpoints Endpoints namespaced ep - -
v1 events Event namespaced ev - -
v1 configmaps ConfigMap namespaced cm - -
v1 secrets Secret namespaced - - -
v1 serviceaccounts ServiceAccount namespaced sa - returned
v1 persistentvolumes PersistentVolume cluster pv status returned
v1 persistentvolumeclaims PersistentVolumeClaim namespaced pvc status returned
v1 limitranges LimitRange namespaced limits - -
v1 resourcequotas ResourceQuota namespaced quota status returned
v1 replicationcontrollers ReplicationController namespaced rc status,scale gen
apps/v1 deployments Deployment namespaced deploy status,scale gen
apps/v1 replicasets ReplicaSet namespaced rs status,scale gen
apps/v1 statefulsets StatefulSet namespaced sts status,scale gen
apps/v1 daemonsets DaemonSet namespaced ds status gen
apps/v1 controllerrevisions ControllerRevision namespaced - - -
batch/v1 jobs Job namespaced - status gen
batch/v1 cronjobs CronJob namespaced cj status gen
networking.k8s.io/v1 ingresses Ingress namespaced ing status gen
networking.k8s.io/v1 ingressclasses IngressClass cluster - - gen
networking.k8s.io/v1 networkpolicies NetworkPolicy namespaced netpol - gen
policy/v1 poddisruptionbudgets PodDisruptionBudget namespaced pdb status gen
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler namespaced hpa status -
rbac.authorization.k8s.io/v1 roles Role namespaced - - -
rbac.authorization.k8s.io/v1 rolebindings RoleBinding namespaced - - -
rbac.authorization.k8s.io/v1 clusterroles ClusterRole cluster - - -
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding cluster - - -
storage.k8s.io/v1 storageclasses StorageClass cluster sc - returned
storage.k8s.io/v1 volumeattachments VolumeAttachment cluster - status -
storage.k8s.io/v1 csinodes CSINode cluster - - -
scheduling.k8s.io/v1 priorityclasses PriorityClass cluster pc - -
discovery.k8s.io/v1 endpointslices EndpointSlice namespaced - - gen
coordination.k8s.io/v1 leases Lease namespaced - - -
events.k8s.io/v1 events Event namespaced ev - virtual
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition cluster crd \
status gen
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration \
cluster - - gen
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration \
cluster - - gen
authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview cluster - - virtual,create
networking.istio.io/v1,v1beta1,v1alpha3 gateways Gateway namespaced gw status gen,crd
networking.istio.io/v1,v1beta1,v1alpha3 virtualservices VirtualService namespaced vs status gen,crd
networking.istio.io/v1,v1beta1,v1alpha3 destinationrules DestinationRule namespaced dr status \
gen,crd
networking.istio.io/v1,v1beta1,v1alpha3 serviceentries ServiceEntry namespaced se status gen,crd
networking.istio.io/v1,v1beta1,v1alpha3 sidecars Sidecar namespaced - status gen,crd
networking.istio.io/v1alpha3 envoyfilters EnvoyFilter namespaced - status gen,crd
security.istio.io/v1,v1beta1 peerauthentications PeerAuthentication namespaced pa status gen,crd
security.istio.io/v1,v1beta1 authorizationpolicies AuthorizationPolicy namespaced ap status gen,crd
security.istio.io/v1,v1beta1 requestauthentications RequestAuthentication namespaced ra status \
gen,crd
telemetry.istio.io/v1,v1alpha1 telemetries Telemetry namespaced telemetry status gen,crd
gateway.networking.k8s.io/v1,v1beta1 gatewayclasses GatewayClass cluster gc status gen,crd
gateway.networking.k8s.io/v1,v1beta1 gateways Gateway namespaced gtw status gen,crd
gateway.networking.k8s.io/v1,v1beta1 httproutes HTTPRoute namespaced - status gen,crd
gateway.networking.k8s.io/v1 grpcroutes GRPCRoute namespaced - status gen,crd
gateway.networking.k8s.io/v1beta1 referencegrants ReferenceGrant namespaced refgrant - gen,crd
metrics.k8s.io/v1beta1 nodes NodeMetrics cluster - - virtual,read
metrics.k8s.io/v1beta1 pods PodMetrics namespaced - - virtual,read
"""

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_FIELDS = {
    "pods": (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.nominatedNodeName",
    ),
    "events": (
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ),
    "events.events.k8s.io": ("regarding.kind", "regarding.namespace", "regarding.name", "reason"),
    "namespaces": ("status.phase",),
    "nodes": ("spec.unschedulable",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "replicasets.apps": ("status.replicas",),
    "jobs.batch": ("status.successful",),
}


def copied(value: T) -> T:
    """Return a deep copy of JSON-like data, several times faster than `copy.deepcopy`."""
    result: Any = value
    if isinstance(result, dict):
        result = {key: copied(item) for key, item in result.items()}
    elif isinstance(result, list):
        result = [copied(item) for item in result]
    return cast("T", result)


@dataclass(frozen=True, slots=True)
class Kind:
    """One served kind: where it lives in the API and how it behaves there."""

    group: str
    versions: tuple[str, ...]
    plural: str
    kind: str
    namespaced: bool
    short_names: tuple[str, ...]
    subresources: tuple[str, ...]
    has_generation: bool
    is_custom: bool
    returns_deleted: bool
    is_virtual: bool
    verbs: tuple[str, ...]
    fields: tuple[str, ...]
    schema: Obj | None = field(default=None, compare=False, repr=False)
    """The OpenAPI v3 schema of a custom kind."""

    @property
    def resource(self) -> str:
        """The group-qualified plural, as in error messages: `deployments.apps`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The preferred group and version, as in `apiVersion`."""
        return self.at(self.versions[0])

    def at(self, version: str) -> str:
        """Return `apiVersion` for one of the served versions."""
        return f"{self.group}/{version}" if self.group else version


def _parse(line: str) -> Kind:
    versions, plural, kind, scope, short, subresources, flags = line.split()
    group, _, names = versions.rpartition("/")
    flag = flags.split(",")
    resource = f"{plural}.{group}" if group else plural
    verbs: tuple[str, ...] = ALL_VERBS
    if "read" in flag:
        verbs = ("get", "list")
    elif "create" in flag:
        verbs = ("create",)
    elif "virtual" in flag:
        verbs = ("get", "list", "watch")
    return Kind(
        group=group,
        versions=tuple(names.split(",")),
        plural=plural,
        kind=kind,
        namespaced=scope == "namespaced",
        short_names=() if short == "-" else tuple(short.split(",")),
        subresources=() if subresources == "-" else tuple(subresources.split(",")),
        has_generation="gen" in flag,
        is_custom="crd" in flag,
        returns_deleted="returned" in flag,
        is_virtual="virtual" in flag,
        verbs=verbs,
        fields=("metadata.name", *(("metadata.namespace",) if scope == "namespaced" else ()))
        + _FIELDS.get(resource, ()),
    )


_TABLE_KINDS: tuple[Kind, ...] = tuple(
    _parse(line) for line in _TABLE.replace("\\\n", "").strip().splitlines()
)
BUILT_IN = tuple(kind for kind in _TABLE_KINDS if not kind.is_custom)
"""What every server serves."""
CUSTOM = tuple(kind for kind in _TABLE_KINDS if kind.is_custom)
"""The custom kinds whose definitions a scene installs."""


class Kinds:
    """The kinds that one server serves now: the built-in ones and those defined as objects."""

    def __init__(self) -> None:
        self._served = {kind.resource: kind for kind in BUILT_IN}

    def __iter__(self) -> Iterator[Kind]:
        return iter(tuple(self._served.values()))

    def serve(self, kind: Kind) -> None:
        """Serve a kind, or serve it differently from now on."""
        self._served[kind.resource] = kind

    def drop(self, resource: str) -> None:
        """Serve a kind no longer."""
        self._served.pop(resource, None)

    def find(self, name: str) -> Kind:
        """Find a kind by its plural, group-qualified where two share it (`pods.metrics.k8s.io`).

        Raises:
            KeyError: no such kind is served.
        """
        if name in self._served:
            return self._served[name]
        for kind in self:
            if name == kind.plural:
                return kind
        raise KeyError(name)

    def of(self, obj: Obj) -> Kind:
        """Find the kind of a manifest by its `apiVersion` and `kind`.

        Raises:
            KeyError: no such kind is served.
        """
        group, _, version = str(obj.get("apiVersion", "")).rpartition("/")
        for kind in self.of_group(group, version):
            if kind.kind == obj.get("kind"):
                return kind
        raise KeyError(f"{obj.get('apiVersion')} {obj.get('kind')}")

    def of_group(self, group: str, version: str | None = None) -> list[Kind]:
        """Return the kinds of one API group (and one version of it)."""
        return [k for k in self if k.group == group and (version is None or version in k.versions)]
