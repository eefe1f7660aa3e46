"""The object graph: what one object has to do with others, answered from memory.

Edges come from three sources: what specs name (`references`), owners, and label selectors. A
reference to something that does not exist is an edge too, and the most telling one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from cloudpilot.cache.index import index_of
from cloudpilot.cache.informer import Informer
from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.graph.selection import SELECTING, said, selected, selector_of, selects_anywhere
from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects import istio
from cloudpilot.kube.objects.meta import KubeObject, OwnerReference
from cloudpilot.kube.references.pods import pod_labels
from cloudpilot.kube.references.references import REFERRERS, references
from cloudpilot.kube.references.relation import (
    HOST,
    KUBERNETES_GATEWAY,
    Reference,
    RelationType,
    kind_name,
)

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_CHILDREN = {
    "Deployment": ("ReplicaSet",),
    "ReplicaSet": ("Pod",),
    "StatefulSet": ("Pod",),
    "DaemonSet": ("Pod",),
    "CronJob": ("Job",),
    "Job": ("Pod",),
    KUBERNETES_GATEWAY: ("Deployment", "Service"),
}
"""What controllers make of what."""
_ORDER = {relation: number for number, relation in enumerate(RelationType)}
_MOST_NOTES = 5
_MOST_READ = 200
"""Of more objects of one kind that name the same, it is not looked up how: every pod of a cluster
may use one ConfigMap."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One edge, seen from the object that was asked about."""

    relation: RelationType
    kind: str
    namespace: str
    name: str
    """Empty where a selector matches nothing."""
    exists: bool | None
    """None where that cannot be known: its kind is not readable, or not one we know."""
    note: str = ""
    optional: bool = False
    """Whether nothing breaks where it does not exist."""
    object: KubeObject | None = field(default=None, repr=False, compare=False)


def related(mirror: Mirror, kind: str, namespace: str, name: str) -> list[Relation]:
    """Return every relation of an object: missing things first, then as `RelationType` orders.

    The object itself need not exist: what names it is found all the same.

    Args:
        mirror: Whose kinds are asked; the ones of `kinds_near` should have settled.
        kind: A name of `KINDS`.
        namespace: Empty for a cluster-scoped kind.
        name: The object's name.
    """
    merged: dict[tuple[str, str, str, str], list[Relation]] = {}
    for one in _Walk(mirror).relations(kind, namespace, name):
        merged.setdefault((one.relation, one.kind, one.namespace, one.name), []).append(one)
    return sorted(map(_merge, merged.values()), key=_rank)


def kinds_near(kind: str) -> frozenset[str]:
    """Return the kinds that `related` reads for an object of a kind."""
    near = {kind, *_descendants(kind), *(k for k in _CHILDREN if kind in _descendants(k))}
    named = {k for referrer in REFERRERS.get(KINDS[kind].projection, ()) for k in referrer.kinds}
    near |= {"ServiceEntry" if k == HOST else k for k in named}
    near |= set(_naming(kind)) | set(_naming(HOST) if kind == "ServiceEntry" else ())
    if kind in SELECTING:
        near |= {"Pod", *_WORKLOADS}
    if kind in ("Pod", *_WORKLOADS):
        near |= set(SELECTING)
    if kind in ("Gateway", "Secret"):
        near |= {"Gateway", "Secret", "Pod"}
    return frozenset(near)


async def prepare(mirror: Mirror, kind: str) -> None:
    """Build the large indexes that `related` asks for an object of a kind."""
    for source in _naming(kind):
        await mirror[source].prepare(index_of(kind))
    for child in _descendants(kind):
        await mirror[child].prepare("owner")
    if "Service" in kinds_near(kind):
        await mirror["Pod"].prepare("label")


def _descendants(kind: str) -> set[str]:
    found = set(_CHILDREN.get(kind, ()))
    return found.union(*(_descendants(child) for child in found))


def _naming(kind: str) -> tuple[str, ...]:
    """Return the kinds whose objects may name one of this kind."""
    return tuple(
        source.name
        for source in KINDS.values()
        if any(kind in referrer.kinds for referrer in REFERRERS.get(source.projection, ()))
    )


def _merge(found: list[Relation]) -> Relation:
    """Make one relation of all that are told of the same two objects."""
    notes = list(dict.fromkeys(one.note for one in found if one.note))
    more = (f"and {len(notes) - _MOST_NOTES} more",) if len(notes) > _MOST_NOTES else ()
    note = "; ".join((*notes[:_MOST_NOTES], *more))
    return replace(found[0], note=note, optional=all(one.optional for one in found))


def _rank(one: Relation) -> tuple[bool, int, str, str, str]:
    missing = one.exists is False and not one.optional
    return not missing, _ORDER[one.relation], one.kind, one.namespace, one.name


class _Walk:
    """Walks from one object along every kind of edge."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror

    def relations(self, kind: str, namespace: str, name: str) -> Iterator[Relation]:
        yield from self._named_by(kind, f"{namespace}/{name}" if namespace else name)
        obj: KubeObject | None = self._informer(kind).get(namespace, name)
        if kind == "Secret":
            yield from self._gateways_with(namespace, name)
        if obj is None:
            return
        yield from self._owners(obj)
        yield from self._children(kind, obj)
        for reference in references(obj):
            yield self._meshed(obj, self._resolved(reference))
        yield from self._pods_selected(obj)
        yield from self._selecting(obj)
        if isinstance(obj, istio.Gateway):
            yield from self._credentials(obj)
        if isinstance(obj, istio.ServiceEntry):
            for host in obj.spec.hosts:
                yield from self._named_by(HOST, host)

    def _informer(self, kind: str) -> Informer[Any]:
        return self._mirror[kind]

    def _edge(self, relation: RelationType, kind: str, obj: KubeObject, note: str = "") -> Relation:
        return Relation(relation, kind, obj.namespace, obj.name, True, note, object=obj)

    def _resolved(self, reference: Reference) -> Relation:
        """Find out whether what is named exists."""
        if reference.kind == HOST:
            return self._host(reference)
        obj, exists = self._look_up(reference.kind, reference.namespace, reference.name)
        return Relation(
            reference.relation,
            reference.kind,
            reference.namespace,
            reference.name,
            exists,
            reference.note,
            reference.optional,
            obj,
        )

    def _meshed(self, obj: KubeObject, one: Relation) -> Relation:
        """A mesh may know a host written like a Service's from a ServiceEntry instead."""
        if isinstance(obj, istio.VirtualService | istio.DestinationRule) and one.exists is False:
            host = f"{one.name}.{one.namespace}.svc.cluster.local"
            for entry in self._informer("ServiceEntry").by("host", host):
                return self._edge(one.relation, "ServiceEntry", entry, one.note)
        return one

    def _look_up(
        self, kind: str, namespace: str, name: str
    ) -> tuple[KubeObject | None, bool | None]:
        if kind not in KINDS:
            return None, None
        informer = self._informer(kind)
        obj: KubeObject | None = informer.get(namespace, name)
        absent = informer.state.known or informer.state.status is SyncStatus.NOT_INSTALLED
        return obj, True if obj is not None else (False if absent else None)

    def _host(self, reference: Reference) -> Relation:
        """Find the ServiceEntry that makes the mesh know a host."""
        entries = self._informer("ServiceEntry")
        labels = reference.name.split(".")
        wildcards = (f"*.{'.'.join(labels[n:])}" for n in range(1, len(labels)))
        for host in (reference.name, *wildcards):
            for entry in entries.by("host", host):
                note = "; ".join(filter(None, (f"host {reference.name}", reference.note)))
                return self._edge(reference.relation, "ServiceEntry", entry, note)
        _, exists = self._look_up("ServiceEntry", "", "")
        note = "; ".join(filter(None, ("no Service and no ServiceEntry has it", reference.note)))
        return Relation(reference.relation, HOST, "", reference.name, exists, note)

    def _named_by(self, kind: str, value: str) -> Iterator[Relation]:
        for source in _naming(kind):
            relation: RelationType | None = None
            for number, obj in enumerate(self._informer(source).by(index_of(kind), value)):
                if relation is not None and number >= _MOST_READ:
                    yield self._edge(relation, source, obj)
                    continue
                for one in references(obj, kind):
                    if one.kind == kind and one.value == value:
                        relation = one.relation.inverse
                        yield self._edge(relation, source, obj, one.note)

    def _owners(self, obj: KubeObject) -> Iterator[Relation]:
        """Yield the owners up to the top."""
        seen = {obj.metadata.uid}
        waiting = [obj]
        for current in waiting:  # It grows meanwhile.
            for owner in current.metadata.owner_references:
                if owner.uid not in seen:
                    seen.add(owner.uid)
                    found = self._owner(owner, current)
                    yield found
                    if found.object is not None:
                        waiting.append(found.object)

    def _owner(self, owner: OwnerReference, obj: KubeObject) -> Relation:
        kind = kind_name(owner.api_version.rpartition("/")[0], owner.kind)
        namespace = obj.namespace if kind not in KINDS or KINDS[kind].namespaced else ""
        found, exists = self._look_up(kind, namespace, owner.name)
        note = ""
        if found is not None and found.metadata.uid != owner.uid:
            found, exists, note = None, False, "another object has its name now"
        relation = RelationType.OWNED_BY
        return Relation(relation, kind, namespace, owner.name, exists, note, object=found)

    def _children(self, kind: str, obj: KubeObject) -> Iterator[Relation]:
        """Yield what controllers made of an object, and of that, down to the pods."""
        for child in _CHILDREN.get(kind, ()):
            for found in self._informer(child).by("owner", obj.metadata.uid):
                yield self._edge(RelationType.OWNS, child, found)
                yield from self._children(child, found)

    def _pods_selected(self, obj: KubeObject) -> Iterator[Relation]:
        selector = selector_of(obj)
        if selector is None:
            return
        pods = selected(self._informer("Pod"), obj)
        for pod in pods:
            yield self._edge(RelationType.SELECTS, "Pod", pod)
        if not pods:
            namespace = "" if selects_anywhere(obj) else obj.namespace
            _, exists = self._look_up("Pod", namespace, "")
            note = f"no pod has {', '.join(said(selector)) or 'been made here'}"
            yield Relation(RelationType.SELECTS, "Pod", namespace, "", exists, note)
        for kind in _WORKLOADS:
            everywhere = None if selects_anywhere(obj) else obj.namespace
            for workload in self._informer(kind).list(everywhere):
                if selector.matches(pod_labels(workload) or {}):
                    yield self._edge(RelationType.SELECTS, kind, workload)

    def _selecting(self, obj: KubeObject) -> Iterator[Relation]:
        labels = pod_labels(obj)
        if labels is None:
            return
        for kind in SELECTING:
            for other in self._informer(kind).list():
                selector = selector_of(other)
                near = other.namespace == obj.namespace or selects_anywhere(other)
                if selector is not None and near and selector.matches(labels):
                    yield self._edge(RelationType.SELECTED_BY, kind, other)

    def _credentials(self, gateway: istio.Gateway) -> Iterator[Relation]:
        """Yield the certificates of a Gateway, which lie beside the pods that serve it."""
        namespaces = {pod.namespace for pod in selected(self._informer("Pod"), gateway)}
        for namespace in sorted(namespaces):
            for name, note in _credential_names(gateway):
                yield self._resolved(Reference(RelationType.USES, "Secret", namespace, name, note))

    def _gateways_with(self, namespace: str, name: str) -> Iterator[Relation]:
        for gateway in self._informer("Gateway").list():
            notes = [note for credential, note in _credential_names(gateway) if credential == name]
            pods = selected(self._informer("Pod"), gateway) if notes else ()
            if any(pod.namespace == namespace for pod in pods):
                for note in notes:
                    yield self._edge(RelationType.USED_BY, "Gateway", gateway, note)


def _credential_names(gateway: istio.Gateway) -> Iterator[tuple[str, str]]:
    """Yield the Secrets a Gateway takes certificates from, each with where it is named."""
    for number, server in enumerate(gateway.spec.servers):
        tls = server.get("tls")
        if not isinstance(tls, dict):
            continue
        several = tls.get("credentialNames")
        for name in (tls.get("credentialName"), *(several if isinstance(several, list) else ())):
            if isinstance(name, str) and name:
                name = name.removeprefix("kubernetes://")
                if "://" not in name:
                    yield name, f"credentialName of server {number}"
