"""What follows a create or delete: namespaces get their content and lose it, owners their pods."""

from __future__ import annotations

from simulator.agenda import Agenda
from simulator.kinds import Kind, Obj, copied
from simulator.store import Change, Key, Store, key_of, timestamp

_ROOT_CA = "kube-root-ca.crt"


class GarbageCollector:
    """Namespace life cycle, and deletion of objects whose owner is gone."""

    def __init__(self, store: Store, agenda: Agenda) -> None:
        self._store = store
        self._agenda = agenda
        self._dependents: dict[str, set[tuple[Kind, Key]]] = {}

    def on_change(self, change: Change) -> None:
        """Follow ownership, namespaces and deletions."""
        before, after = change.before, change.after
        if after is not None:
            for owner in after["metadata"].get("ownerReferences") or ():
                dependents = self._dependents.setdefault(owner["uid"], set())
                dependents.add((change.kind, key_of(after)))
        if change.kind.resource == "namespaces" and after is not None:
            name = after["metadata"]["name"]
            if before is None:
                self._agenda.soon(lambda: self._furnish(name))
            elif after["metadata"].get("deletionTimestamp"):
                self._agenda.soon(lambda: self._clear(name))
        if before is not None and after is None:
            uid = before["metadata"]["uid"]
            if uid in self._dependents:
                self._agenda.soon(lambda: self._collect(uid))
        elif after is not None and after["metadata"].get("deletionTimestamp"):
            finalizers = after["metadata"].get("finalizers") or ()
            if {"foregroundDeletion", "orphan"} & set(finalizers):
                self._agenda.soon(lambda: self._finalize(change.kind, key_of(after)))

    # -- namespaces ------------------------------------------------------------------------

    def _furnish(self, namespace: str) -> None:
        if self._store.get("namespaces", namespace) is None:
            return
        metadata = {"namespace": namespace}
        account = {"apiVersion": "v1", "kind": "ServiceAccount"}
        if self._store.get("serviceaccounts", "default", namespace) is None:
            self._store.create({**account, "metadata": metadata | {"name": "default"}})
        if self._store.get("configmaps", _ROOT_CA, namespace) is None:
            data = {"ca.crt": "simulated"}
            config = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
            self._store.create({**config, "metadata": metadata | {"name": _ROOT_CA}})

    def _clear(self, namespace: str) -> None:
        """Delete what is in a namespace; the namespace follows when nothing is left."""
        left = False
        for kind in self._store.kinds:
            if not kind.namespaced or kind.is_virtual:
                continue
            for obj in self._store.snapshot(kind, namespace):
                if obj["metadata"].get("finalizers"):
                    self._mark_deleted(kind, obj)
                    left = True
                else:
                    self._store.delete(kind.resource, obj["metadata"]["name"], namespace)
        if left:
            self._agenda.after(1, lambda: self._clear(namespace))
        else:
            self._store.delete("namespaces", namespace)

    def _mark_deleted(self, kind: Kind, obj: Obj) -> None:
        if not obj["metadata"].get("deletionTimestamp"):
            obj = copied(obj)
            obj["metadata"]["deletionTimestamp"] = timestamp(self._agenda.now())
            self._store.put(kind, obj)

    # -- owners ----------------------------------------------------------------------------

    def _collect(self, uid: str) -> None:
        """Delete the dependents of an owner that is gone."""
        for kind, (namespace, name) in sorted(
            self._dependents.pop(uid, ()), key=lambda entry: (entry[0].resource, entry[1])
        ):
            obj = self._store.find(kind, namespace, name)
            if obj is None or not _owned_by(obj, uid):
                continue
            if any(ref["uid"] != uid for ref in obj["metadata"]["ownerReferences"]):
                self._disown(kind, obj, uid)
            elif kind.resource == "pods" or obj["metadata"].get("finalizers"):
                self._mark_deleted(kind, obj)
            else:
                self._store.delete(kind.resource, name, namespace)

    def _finalize(self, kind: Kind, key: Key) -> None:
        """Do what the deletion's propagation policy asks, then let the owner go."""
        obj = self._store.find(kind, *key)
        if obj is None:
            return
        uid = obj["metadata"]["uid"]
        finalizers = obj["metadata"].get("finalizers") or []
        dependents = [
            (child_kind, child)
            for child_kind, child_key in self._dependents.get(uid, set())
            if (child := self._store.find(child_kind, *child_key)) and _owned_by(child, uid)
        ]
        if "orphan" in finalizers:
            for child_kind, child in dependents:
                self._disown(child_kind, child, uid)
        elif dependents:
            self._collect_now(uid, dependents)
            self._agenda.after(0.2, lambda: self._finalize(kind, key))
            return
        left = [f for f in finalizers if f not in ("orphan", "foregroundDeletion")]
        if left:
            kept = copied(obj)
            kept["metadata"]["finalizers"] = left
            self._store.put(kind, kept)
        else:
            self._store.delete(kind.resource, key[1], key[0])

    def _collect_now(self, uid: str, dependents: list[tuple[Kind, Obj]]) -> None:
        for kind, child in dependents:
            if kind.resource == "pods":
                self._mark_deleted(kind, child)
            else:
                namespace, name = key_of(child)
                self._store.delete(kind.resource, name, namespace)

    def _disown(self, kind: Kind, obj: Obj, uid: str) -> None:
        obj = copied(obj)
        metadata = obj["metadata"]
        kept = [ref for ref in metadata["ownerReferences"] if ref["uid"] != uid]
        if kept:
            metadata["ownerReferences"] = kept
        else:
            del metadata["ownerReferences"]
        self._store.put(kind, obj)


def _owned_by(obj: Obj, uid: str) -> bool:
    return any(ref["uid"] == uid for ref in obj["metadata"].get("ownerReferences") or ())
