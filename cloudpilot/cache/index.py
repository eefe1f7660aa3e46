"""Indexes over the objects of one kind, in client-go's words.

An IndexFunc gives the values under which an object is found; the Indexer keeps the answers. An
index is built when somebody first asks for it and costs nothing before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from cloudpilot.cache.store import Key, Store, key_of
from cloudpilot.kube.objects import gateway_api, istio
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.network import Ingress
from cloudpilot.kube.references.references import REFERRERS
from cloudpilot.kube.references.relation import HOST, Referrer
from cloudpilot.pace import Pace

T = TypeVar("T", bound=KubeObject)

IndexFunc = Callable[[Any], Iterable[str]]
"""Gives the values under which an object is found; the same for the same object."""


def _namespace(obj: KubeObject) -> Iterator[str]:
    yield obj.namespace


def _labels(obj: KubeObject) -> Iterator[str]:
    for key, value in obj.metadata.labels.items():
        yield f"{obj.namespace}/{key}={value}"


def _owners(obj: KubeObject) -> Iterator[str]:
    for owner in obj.metadata.owner_references:
        yield owner.uid


def _hosts(obj: KubeObject) -> Iterable[str]:
    match obj:
        case istio.VirtualService() | istio.ServiceEntry():
            return obj.spec.hosts
        case istio.DestinationRule():
            return (obj.spec.host,)
        case istio.Gateway():
            return _gateway_hosts(obj)
        case Ingress():
            return (rule.host for rule in obj.spec.rules if rule.host)
        case gateway_api.Route():
            return obj.spec.hostnames
        case gateway_api.KubernetesGateway():
            return (item.hostname for item in obj.spec.listeners if item.hostname)
    return ()


def _gateway_hosts(gateway: istio.Gateway) -> Iterator[str]:
    for server in gateway.spec.servers:
        hosts = server.get("hosts")
        for host in hosts if isinstance(hosts, list) else ():
            # `namespace/host` says who may attach to it.
            yield str(host).rpartition("/")[2]


def _naming(kind: str) -> IndexFunc:
    """Make the index of who names an object of a kind."""
    finders: dict[type[KubeObject], tuple[Referrer, ...]] = {
        projection: tuple(referrer for referrer in referrers if kind in referrer.kinds)
        for projection, referrers in REFERRERS.items()
    }

    def values(obj: KubeObject) -> Iterator[str]:
        for referrer in finders.get(type(obj), ()):
            for reference in referrer.find(obj):
                if reference.kind == kind:
                    yield reference.value

    return values


def index_of(kind: str) -> str:
    """Return the name of the index that finds who names an object of a kind."""
    return "destination" if kind == HOST else kind.lower()


_NAMED = {kind for found in REFERRERS.values() for referrer in found for kind in referrer.kinds}

INDEXES: dict[str, IndexFunc] = {
    "namespace": _namespace,
    "label": _labels,
    "owner": _owners,
    "host": _hosts,
    **{index_of(kind): _naming(kind) for kind in sorted(_NAMED)},
}
"""Every index by name, and how its values are written:

`namespace`: its name. `label`: `namespace/key=value`. `owner`: the owner's UID. `host`: a host the
object speaks of. All others carry the name of the kind that is named, in lower case: `node`,
`configmap`, `secret`, `persistentvolumeclaim`, `serviceaccount`, `service`, `gateway`, `deployment`
(by its autoscaler), ...; their values are `namespace/name`, or the name of a cluster-scoped object.
"""


Entries = dict[str, dict[Key, T]]
"""The objects under each value."""


class Indexer(Generic[T]):
    """Finds the objects of a store by what they hold.

    Whoever changes the store says so here, by `update` for one object and by `clear` for all.

    Args:
        store: Where the objects are.
        functions: The indexes there are.
    """

    def __init__(self, store: Store[T], functions: Mapping[str, IndexFunc] = INDEXES) -> None:
        self._store = store
        self._functions = functions
        self._indexes: dict[str, Entries[T]] = {}
        self._unfinished: dict[str, Entries[T]] = {}
        """Being built in slices: kept current, but not asked yet."""

    def by(self, index: str, value: str) -> list[T]:
        """Return the objects under a value, sorted by namespace and name."""
        found = self._built(index).get(value, {})
        return [found[key] for key in sorted(found)]

    def count(self, index: str, value: str) -> int:
        """Return how many objects are under a value."""
        return len(self._built(index).get(value, ()))

    def update(self, old: T | None, new: T | None) -> None:
        """Take one difference of the store."""
        for name, entries in (*self._indexes.items(), *self._unfinished.items()):
            values = self._functions[name]
            if old is not None:
                _discard(entries, values(old), key_of(old))
            if new is not None:
                _enter(entries, values(new), new)

    def clear(self) -> None:
        """Forget everything: the store was replaced, and indexes are built again when asked for."""
        self._indexes.clear()
        self._unfinished.clear()

    async def prepare(self, index: str) -> None:
        """Build an index in slices, so that the first question stops nobody for long."""
        if index in self._indexes:
            return
        values = self._functions[index]
        entries = self._unfinished[index] = {}
        pace = Pace()
        for obj in tuple(self._store):
            # One that was changed meanwhile has come in by `update`.
            if self._store.get(*key_of(obj)) is obj:
                _enter(entries, values(obj), obj)
            await pace.breathe()
        if self._unfinished.get(index) is entries:
            self._indexes[index] = self._unfinished.pop(index)

    def _built(self, index: str) -> Entries[T]:
        entries = self._indexes.get(index)
        if entries is None:
            values = self._functions[index]
            entries = self._indexes[index] = {}
            for obj in self._store:
                _enter(entries, values(obj), obj)
        return entries


def _enter(entries: Entries[T], values: Iterable[str], obj: T) -> None:
    key = key_of(obj)
    for value in values:
        entries.setdefault(value, {})[key] = obj


def _discard(entries: Entries[T], values: Iterable[str], key: Key) -> None:
    for value in values:
        found = entries.get(value)
        if found is not None:
            found.pop(key, None)
            if not found:
                del entries[value]
