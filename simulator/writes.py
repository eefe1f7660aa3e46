"""create, update, patch and apply: decode, admit, default, validate, check conflicts, store.

Deleting lives in `deletes.py`. Every write honours `dryRun=All`: it is answered as if done.
"""

from __future__ import annotations

import json
from typing import Any

from simulator import patch as patches
from simulator.apply import apply, record_update
from simulator.bodies import (
    APPLY_PATCH,
    JSON_PATCH,
    MERGE_PATCH,
    STRATEGIC_PATCH,
    WriteRequest,
    decode,
    strict,
)
from simulator.kinds import Kind, Obj, copied
from simulator.paths import Target
from simulator.reads import in_version
from simulator.schemas import unknown_fields
from simulator.status import (
    ApiError,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    invalid_value,
    not_found,
    required,
    unsupported_media_type,
)
from simulator.store import Store, spec_of, timestamp
from simulator.validation import missing_name, set_defaults, validate, validate_update


class Writes:
    """Answers create, update and patch; each returns the HTTP status and the object."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # -- create ----------------------------------------------------------------------------

    def create(self, request: WriteRequest) -> tuple[int, Obj]:
        """Create an object.

        Raises:
            ApiError: 400, 404 for the namespace, 409 or 422.
        """
        dry_run = request.dry_run
        obj = strict(request, decode(request))
        return 201, self._create(request, obj, dry_run)

    def _create(self, request: WriteRequest, obj: Obj, dry_run: bool) -> Obj:
        target, kind = request.target, request.target.kind
        metadata = obj["metadata"]
        self._check_namespace(target, metadata)
        if not metadata.get("name"):
            if not metadata.get("generateName"):
                raise missing_name(kind)
            metadata["name"] = metadata["generateName"] + self._store.suffix()
        if metadata.get("resourceVersion"):
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created")
        self._admit(target, metadata["name"])
        for name in (
            "managedFields",
            "deletionTimestamp",
            "uid",
            "creationTimestamp",
            "generation",
        ):
            metadata.pop(name, None)
        metadata["uid"] = self._store.new_uid()
        metadata["creationTimestamp"] = timestamp(self._store.clock())
        if kind.has_generation:
            metadata["generation"] = 1
        if "status" in kind.subresources:
            obj.pop("status", None)
        set_defaults(kind, obj)
        validate(kind, obj)
        if self._store.find(kind, target.namespace, metadata["name"]) is not None:
            raise already_exists(kind, metadata["name"])
        now = timestamp(self._store.clock())
        if request.content_type == APPLY_PATCH:
            applied = _applied(request, decode(request))
            obj = apply(obj, applied, request.manager, now, custom=kind.is_custom, force=True)
        else:
            obj["apiVersion"] = kind.at(target.version)
            record_update(None, obj, request.manager, now, kind.is_custom)
        if kind.resource == "services":
            self._allocate(obj)
        stored = obj if dry_run else self._store.put(kind, obj)
        return in_version(kind, target.version, stored)

    def _check_namespace(self, target: Target, metadata: Obj) -> None:
        if not target.kind.namespaced:
            metadata.pop("namespace", None)
            return
        named = metadata.get("namespace") or target.namespace
        metadata["namespace"] = named
        if named != target.namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the "
                "request"
            )

    def _admit(self, target: Target, name: str) -> None:
        if not target.kind.namespaced:
            return
        namespaces = self._store.kinds.find("namespaces")
        namespace = self._store.find(namespaces, "", target.namespace)
        if namespace is None:
            raise not_found(namespaces, target.namespace)
        if namespace["metadata"].get("deletionTimestamp"):
            why = (
                f"unable to create new content in namespace {target.namespace} because it is "
                "being terminated"
            )
            error = forbidden(target.kind, name, why)
            error.body["details"]["causes"] = [
                {
                    "reason": "NamespaceTerminating",
                    "message": f"namespace {target.namespace} is being terminated",
                    "field": "metadata.namespace",
                }
            ]
            raise error

    def _allocate(self, service: Obj) -> None:
        spec = service["spec"]
        if spec["type"] != "ExternalName" and not spec.get("clusterIP"):
            octets = self._store.random.randrange(1, 255), self._store.random.randrange(1, 255)
            spec["clusterIP"] = f"10.0.{octets[0]}.{octets[1]}"
        if spec.get("clusterIP"):
            spec.setdefault("clusterIPs", [spec["clusterIP"]])

    # -- update ----------------------------------------------------------------------------

    def update(self, request: WriteRequest) -> tuple[int, Obj]:
        """Replace an object, its status or its scale.

        Raises:
            ApiError: 400, 404, 409 or 422.
        """
        target = request.target
        dry_run = request.dry_run
        obj = decode(request)
        named = obj["metadata"].get("name", "")
        if named != target.name:
            if not named:
                raise _nameless(target)
            raise bad_request(
                f"the name of the object ({named}) does not match the name on the URL "
                f"({target.name})"
            )
        if target.kind.namespaced:
            self._check_namespace(target, obj["metadata"])
        before = self._live(target)
        if target.subresource == "scale":
            return 200, self._rescale(request, before, obj, dry_run)
        obj = strict(request, obj)
        if not obj["metadata"].get("resourceVersion") and target.kind.is_custom:
            text = "must be specified for an update"
            cause = invalid_value("metadata.resourceVersion", 0, text)
            raise invalid(target.kind.plural, target.kind.group, target.name, [cause])
        return 200, self._replace(request, before, obj, dry_run)

    def _live(self, target: Target) -> Obj:
        before = self._store.find(target.kind, target.namespace, target.name)
        if before is None:
            raise not_found(target.kind, target.name)
        return before

    def _replace(
        self, request: WriteRequest, before: Obj, after: Obj, dry_run: bool, *, owned: bool = False
    ) -> Obj:
        """Store `after` over `before`; `owned` = its managedFields are already right."""
        target, kind = request.target, request.target.kind
        after = copied(after)
        metadata, old = after["metadata"], before["metadata"]
        if metadata.get("uid", old["uid"]) != old["uid"]:
            why = (
                f"Precondition failed: UID in precondition: {metadata['uid']}, "
                f"UID in object meta: {old['uid']}"
            )
            raise conflict(kind, target.name, why)
        if metadata.get("resourceVersion", "") not in ("", old["resourceVersion"]):
            raise conflict(kind, target.name)
        for name in ("uid", "creationTimestamp", "generation", "deletionTimestamp"):
            if name in old:
                metadata[name] = old[name]
            else:
                metadata.pop(name, None)
        after = self._scope(target, before, after)
        set_defaults(kind, after)
        validate(kind, after)
        validate_update(kind, before, after)
        metadata = after["metadata"]
        if kind.has_generation:
            generation = int(old.get("generation", 1))
            metadata["generation"] = generation + (spec_of(after) != spec_of(before))
        metadata["resourceVersion"] = old["resourceVersion"]
        if not owned:
            after["apiVersion"] = kind.at(target.version)
            now = timestamp(self._store.clock())
            record_update(before, after, request.manager, now, kind.is_custom, target.subresource)
        after["apiVersion"] = kind.api_version
        if dry_run or after == before:
            return in_version(kind, target.version, after)
        return in_version(kind, target.version, self._finish(kind, after))

    def _scope(self, target: Target, before: Obj, after: Obj) -> Obj:
        """Keep what a write of this (sub)resource does not reach."""
        if target.subresource == "status":
            kept = {k: v for k, v in copied(before).items() if k != "status"}
            kept["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"]
            return kept | ({"status": after["status"]} if "status" in after else {})
        if "status" in target.kind.subresources:
            after = {k: v for k, v in after.items() if k != "status"}
            if "status" in before:
                after["status"] = copied(before["status"])
        return after

    def _finish(self, kind: Kind, after: Obj) -> Obj:
        """Store an update; an object whose last finalizer went away goes with it."""
        metadata = after["metadata"]
        stored = self._store.put(kind, after)
        leaves = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
        if leaves and kind.resource not in ("pods", "namespaces"):
            self._store.delete(kind.resource, metadata["name"], metadata.get("namespace", ""))
        return stored

    def _rescale(self, request: WriteRequest, before: Obj, scale: Obj, dry_run: bool) -> Obj:
        version = (scale.get("metadata") or {}).get("resourceVersion", "")
        if version not in ("", before["metadata"]["resourceVersion"]):
            raise conflict(request.target.kind, request.target.name)
        replicas = (scale.get("spec") or {}).get("replicas", 0)
        if not isinstance(replicas, int) or replicas < 0:
            text = "must be greater than or equal to 0"
            cause = invalid_value("spec.replicas", replicas, text)
            raise invalid("Scale", "autoscaling", request.target.name, [cause])
        after = copied(before)
        after["spec"]["replicas"] = replicas
        return scale_of(self._replace(request, before, after, dry_run))

    # -- patch -----------------------------------------------------------------------------

    def patch(self, request: WriteRequest) -> tuple[int, Obj]:
        """Patch an object in one of the four ways; apply may create it.

        Raises:
            ApiError: 400, 404, 409, 415 or 422.
        """
        target, kind = request.target, request.target.kind
        accepted = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]
        if kind.is_custom:
            accepted.remove(STRATEGIC_PATCH)
        if request.content_type == STRATEGIC_PATCH and kind.is_custom:
            raise unsupported_media_type(accepted)
        if request.content_type not in accepted:
            text = "415: Unsupported Media Type"
            raise ApiError(415, "UnsupportedMediaType", text, {})
        request.check_options()
        dry_run = request.dry_run
        if request.content_type == APPLY_PATCH:
            return self._apply(request, dry_run)
        before = self._live(target)
        shown = in_version(kind, target.version, before)
        if target.subresource == "scale":
            scale = _patched(request.content_type, scale_of(before), _json(request.body))
            return 200, self._rescale(request, before, scale, dry_run)
        after = _patched(request.content_type, shown, _json(request.body))
        if not (name := after["metadata"].get("name")):
            raise _nameless(target)
        if name != target.name:
            raise bad_request(
                f"the name of the object ({name}) does not match the name on the URL "
                f"({target.name})"
            )
        if kind.namespaced:
            self._check_namespace(target, after["metadata"])
        self._keep_type(target, shown, after)
        after = strict(request, after, patch=True)
        return 200, self._replace(request, before, after, dry_run)

    def _keep_type(self, target: Target, before: Obj, after: Obj) -> None:
        """A patch must not make another kind or version of an object."""
        for name in ("kind", "apiVersion"):
            if after.get(name) == before[name]:
                continue
            cause = invalid_value(name, after.get(name), f"must be {before[name]}")
            raise invalid(str(after.get("kind", "")), target.kind.group, target.name, [cause])
        if after["metadata"].get("uid") != before["metadata"]["uid"]:
            uid = after["metadata"].get("uid", "")
            cause = invalid_value("metadata.uid", uid, "field is immutable")
            raise invalid(target.kind.kind, target.kind.group, target.name, [cause])

    def _apply(self, request: WriteRequest, dry_run: bool) -> tuple[int, Obj]:
        target, kind = request.target, request.target.kind
        if not request.query.get("fieldManager"):
            cause = required("fieldManager", "is required for apply patch")
            raise invalid("PatchOptions", "meta.k8s.io", "", [cause])
        applied = _applied(request, decode(request))
        self._refuse_undeclared(target, applied)
        before = self._store.find(kind, target.namespace, target.name)
        if before is None:
            obj = copied(applied)
            obj["metadata"].setdefault("name", target.name)
            obj["metadata"].pop("resourceVersion", None)
            return 201, self._create(request, obj, dry_run)
        force = request.query.get("force") in ("true", "1")
        now = timestamp(self._store.clock())
        after = apply(before, applied, request.manager, now, custom=kind.is_custom, force=force)
        return 200, self._replace(request, before, after, dry_run, owned=True)

    def _refuse_undeclared(self, target: Target, applied: Obj) -> None:
        unknown = unknown_fields(target.kind, applied)
        if unknown:
            kind = f"{target.kind.at(target.version)}, Kind={target.kind.kind}"
            where = f"{applied['metadata'].get('namespace', '')}/{target.name}"
            raise ApiError(
                500,
                "",
                f"failed to create typed patch object ({where}; {kind}): "
                f".{unknown[0]}: field not declared in schema",
            )


def _nameless(target: Target) -> ApiError:
    return bad_request(
        f"the name of the object ({target.name} based on URL) was undeterminable: name must be "
        "provided"
    )


def scale_of(obj: Obj) -> Obj:
    """Return the scale subresource of a workload."""
    names = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    status: Obj = {"replicas": (obj.get("status") or {}).get("replicas", 0)}
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    status["selector"] = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {n: obj["metadata"][n] for n in names if n in obj["metadata"]},
        "spec": {"replicas": obj["spec"].get("replicas", 0)},
        "status": status,
    }


def _applied(request: WriteRequest, applied: Obj) -> Obj:
    metadata = applied["metadata"]
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    if metadata.setdefault("name", request.target.name) != request.target.name:
        raise bad_request(
            f"the name of the object ({metadata['name']}) does not match the name on the URL "
            f"({request.target.name})"
        )
    return applied


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_request("invalid JSON patch") from error


def _patched(content_type: str, obj: Obj, patch: Any) -> Obj:
    if content_type == JSON_PATCH:
        return patches.json_patch(obj, patch)
    if not isinstance(patch, dict):
        raise bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of type "
            "map[string]interface {}"
        )
    merge = patches.merge_patch if content_type == MERGE_PATCH else patches.strategic_merge
    merged: Obj = merge(obj, patch)
    return merged
