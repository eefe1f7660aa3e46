"""CustomResourceDefinitions: the API of a custom kind is served exactly while its definition is.

Creating a definition makes its kind appear, in discovery too; changing it ends the open watches;
deleting it deletes the objects, ends the watches, and the paths are not found from then on.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import yaml

from simulator.agenda import Agenda
from simulator.kinds import ALL_VERBS, Kind, Obj, copied
from simulator.schemas import OPEN
from simulator.store import Change, Store, key_of, timestamp
from simulator.watch import WatchHub

DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
_SCHEMAS = Path(__file__).parent / "crds"
_STAGES = {"alpha": 0, "beta": 1, "": 2}


class Definitions:
    """Serves what CustomResourceDefinitions define."""

    def __init__(self, store: Store, agenda: Agenda, watches: WatchHub) -> None:
        self._store = store
        self._agenda = agenda
        self._watches = watches

    def on_change(self, change: Change) -> None:
        """Follow a definition."""
        if change.kind.resource != DEFINITIONS:
            return
        definition = change.after
        if definition is None:
            if change.before is not None:
                self._remove(change.before["metadata"]["name"])
        elif definition["metadata"].get("deletionTimestamp"):
            name = definition["metadata"]["name"]
            self._agenda.soon(lambda: self._finalize(name))
        elif change.before is None or change.before["spec"] != definition["spec"]:
            self._serve(definition)

    def _serve(self, definition: Obj) -> None:
        kind = kind_of(definition)
        self._store.kinds.serve(kind)
        self._watches.end(kind.resource)
        if not (definition.get("status") or {}).get("conditions"):
            self._agenda.soon(lambda: self._establish(definition["metadata"]["name"]))

    def _establish(self, name: str) -> None:
        now = timestamp(self._agenda.now())

        def accept(definition: Obj) -> None:
            definition["status"] = established(definition["spec"], now)

        self._store.edit(DEFINITIONS, name, "", accept)

    def _finalize(self, name: str) -> None:
        """Delete the objects of a definition that shall go, and let it go if nobody else holds."""
        definition = self._store.get(DEFINITIONS, name)
        if definition is None:
            return
        self._clear(name)
        held = [f for f in definition["metadata"].get("finalizers") or () if f != CLEANUP]
        if held:
            definition["metadata"]["finalizers"] = held
            self._store.update(definition)
        else:
            self._store.delete(DEFINITIONS, name)

    def _clear(self, resource: str) -> None:
        for namespace, name in map(key_of, self._store.list(resource)):
            self._store.delete(resource, name, namespace)

    def _remove(self, resource: str) -> None:
        self._clear(resource)
        self._store.kinds.drop(resource)
        self._watches.end(resource)


def kind_of(definition: Obj) -> Kind:
    """Return the kind that a definition defines, its served versions preferred first."""
    spec = definition["spec"]
    names = spec["names"]
    versions = [version for version in spec["versions"] if version.get("served")]
    stored = next(version for version in spec["versions"] if version.get("storage"))
    subresources = {name for version in versions for name in version.get("subresources") or ()}
    namespaced = spec.get("scope") == "Namespaced"
    return Kind(
        group=spec["group"],
        versions=tuple(sorted((v["name"] for v in versions), key=_priority, reverse=True)),
        plural=names["plural"],
        kind=names["kind"],
        namespaced=namespaced,
        short_names=tuple(names.get("shortNames") or ()),
        subresources=tuple(sorted(subresources)),
        has_generation=True,
        is_custom=True,
        returns_deleted=False,
        is_virtual=False,
        verbs=ALL_VERBS,
        fields=("metadata.name", "metadata.namespace") if namespaced else ("metadata.name",),
        schema=(stored.get("schema") or {}).get("openAPIV3Schema"),
    )


def _priority(version: str) -> tuple[int, int, int]:
    """Order versions as discovery does: v2, v1, v1beta2, v1beta1, v1alpha1."""
    match = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if match is None:
        return (-1, 0, 0)
    return (_STAGES[match[2] or ""], int(match[1]), int(match[3] or 0))


def definition_of(kind: Kind, since: str) -> Obj:
    """Return the definition of a custom kind of the table, in force since a moment."""
    spec: Obj = {
        "group": kind.group,
        "names": {
            "plural": kind.plural,
            "singular": kind.kind.lower(),
            "shortNames": list(kind.short_names),
            "kind": kind.kind,
            "listKind": f"{kind.kind}List",
        },
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "versions": [
            {
                "name": version,
                "served": True,
                "storage": position == 0,
                "schema": {"openAPIV3Schema": _schema_of(kind.resource)},
                "subresources": {name: {} for name in kind.subresources},
            }
            for position, version in enumerate(kind.versions)
        ],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.resource},
        "spec": spec,
        "status": established(spec, since),
    }


@cache
def _schema_of(resource: str) -> Obj:
    file = _SCHEMAS / f"{resource}.yaml"
    spec = yaml.safe_load(file.read_text("utf-8")) if file.exists() else OPEN
    return {"type": "object", "properties": {"spec": spec, "status": OPEN}}


def established(spec: Obj, since: str) -> Obj:
    """Return the status of a definition that is served."""
    reasons = {
        "NamesAccepted": ("NoConflicts", "no conflicts found"),
        "Established": ("InitialNamesAccepted", "the initial names have been accepted"),
    }
    conditions = [
        {"lastTransitionTime": since, "message": text, "reason": reason} | _true(name)
        for name, (reason, text) in reasons.items()
    ]
    stored = [version["name"] for version in spec["versions"] if version.get("storage")]
    names = copied(spec["names"])
    return {"conditions": conditions, "acceptedNames": names, "storedVersions": stored}


def _true(condition: str) -> Obj:
    return {"status": "True", "type": condition}
