"""delete and delete collection: preconditions, finalizers, propagation, graceful pods."""

from __future__ import annotations

import json
from collections.abc import Mapping

from simulator.bodies import check_dry_run
from simulator.definitions import CLEANUP, DEFINITIONS
from simulator.kinds import Obj, copied
from simulator.paths import Target
from simulator.reads import in_version, number
from simulator.selectors import parse_selection
from simulator.status import Cause, bad_request, forbidden, invalid, not_found, precondition_failed
from simulator.store import Store, timestamp

_IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


class Deletes:
    """Answers delete and delete collection."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def delete(self, target: Target, query: Mapping[str, str], body: bytes) -> tuple[int, Obj]:
        """Delete an object, or mark it where something has to happen first.

        Raises:
            ApiError: 400, 403, 404, or 409 for a precondition.
        """
        options = _options(query, body)
        kind = target.kind
        obj = self._store.find(kind, target.namespace, target.name)
        if obj is None:
            raise not_found(kind, target.name)
        if kind.resource == "namespaces" and target.name in _IMMORTAL:
            raise forbidden(kind, target.name, "this namespace may not be deleted")
        self._check_preconditions(target, obj, options.get("preconditions") or {})
        kept = self._remove(target, obj, options)
        if kept is not None or kind.returns_deleted:
            return 200, in_version(kind, target.version, kept or obj)
        details: Obj = {"name": target.name, "kind": kind.plural, "uid": obj["metadata"]["uid"]}
        if kind.group:
            details["group"] = kind.group
        return 200, {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }

    def delete_collection(
        self, target: Target, query: Mapping[str, str], body: bytes
    ) -> tuple[int, Obj]:
        """Delete every object that the selectors choose and return them as a list."""
        options = _options(query, body)
        kind = target.kind
        selection = parse_selection(
            kind, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        hit = [
            obj for obj in self._store.snapshot(kind, target.namespace) if selection.matches(obj)
        ]
        for obj in hit:
            metadata = obj["metadata"]
            one = Target(kind, target.version, metadata.get("namespace", ""), metadata["name"])
            self._remove(one, obj, options)
        return 200, {
            "kind": f"{kind.kind}List",
            "apiVersion": kind.at(target.version),
            "metadata": {"resourceVersion": str(self._store.version)},
            "items": [in_version(kind, target.version, obj) for obj in hit],
        }

    def _check_preconditions(self, target: Target, obj: Obj, preconditions: Obj) -> None:
        for name, label, guess in (
            ("uid", "UID", "deleted and then recreated"),
            ("resourceVersion", "ResourceVersion", "modified"),
        ):
            wanted, found = preconditions.get(name), obj["metadata"][name]
            if wanted is not None and wanted != found:
                why = (
                    f"the {label} in the precondition ({wanted}) does not match the {label} in "
                    f"record ({found}). The object might have been {guess}"
                )
                raise precondition_failed(target.kind, target.name, why)

    def _remove(self, target: Target, obj: Obj, options: Obj) -> Obj | None:
        """Remove the object (unless it is a dry run); return it if it stays for a while."""
        finalizers = list(obj["metadata"].get("finalizers") or ())
        policy = options.get("propagationPolicy")
        for name, finalizer in (("Foreground", "foregroundDeletion"), ("Orphan", "orphan")):
            if policy == name and finalizer not in finalizers:
                finalizers.append(finalizer)
        if target.kind.resource == DEFINITIONS and CLEANUP not in finalizers:
            finalizers.append(CLEANUP)
        grace = self._grace(target, obj, options)
        stays = bool(finalizers) or grace > 0 or target.kind.resource == "namespaces"
        dry_run = options.get("dryRun") in (["All"], "All")
        if not stays:
            if not dry_run:
                self._store.delete(target.kind.resource, target.name, target.namespace)
            return None
        marked = copied(obj)
        metadata = marked["metadata"]
        if finalizers:
            metadata["finalizers"] = finalizers
        if "deletionTimestamp" not in metadata:
            metadata["deletionTimestamp"] = timestamp(self._store.clock())
            metadata["deletionGracePeriodSeconds"] = grace
            if target.kind.has_generation:
                metadata["generation"] = int(metadata.get("generation", 1)) + 1
        if target.kind.resource == "namespaces":
            marked["status"] = {"phase": "Terminating"}
        return marked if dry_run else self._store.put(target.kind, marked)

    def _grace(self, target: Target, obj: Obj, options: Obj) -> int:
        """Only a running pod gets time: it is removed by its kubelet."""
        if target.kind.resource != "pods" or not obj["spec"].get("nodeName"):
            return 0
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        asked = options.get("gracePeriodSeconds")
        return int(obj["spec"].get("terminationGracePeriodSeconds", 30) if asked is None else asked)


def _options(query: Mapping[str, str], body: bytes) -> Obj:
    """Read DeleteOptions from the body or, without one, from the query."""
    if body.strip():
        try:
            options = json.loads(body)
        except ValueError as error:
            text = f"couldn't get version/kind; json parse error: {error}"
            raise bad_request(text) from error
        if not isinstance(options, dict):
            raise bad_request("couldn't get version/kind; json parse error: not an object")
    else:
        options = {}
        if query.get("gracePeriodSeconds"):
            options["gracePeriodSeconds"] = number(query, "gracePeriodSeconds")
        if query.get("propagationPolicy"):
            options["propagationPolicy"] = query["propagationPolicy"]
    if query.get("dryRun"):
        options["dryRun"] = [query["dryRun"]]
    policy = options.get("propagationPolicy")
    if policy not in (None, "Orphan", "Background", "Foreground"):
        known = '"Foreground", "Background", "Orphan", "nil"'
        text = f'Unsupported value: "{policy}": supported values: {known}'
        cause = Cause("FieldValueNotSupported", text, "propagationPolicy")
        raise invalid("DeleteOptions", "meta.k8s.io", "", [cause])
    check_dry_run(options.get("dryRun") or [], "DeleteOptions")
    return options
