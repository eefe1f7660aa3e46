"""The bodies of writes: parsed, of the right kind, and held against the kind's schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from simulator.fields import type_error
from simulator.kinds import Obj
from simulator.paths import Target
from simulator.schemas import prune, unknown_fields
from simulator.status import (
    ApiError,
    Cause,
    bad_request,
    invalid,
    invalid_value,
    unsupported_media_type,
)

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_METADATA_FIELDS = frozenset(
    {
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
_BODY_TYPES = ("application/json", "application/yaml", "application/vnd.kubernetes.protobuf")


@dataclass(slots=True)
class WriteRequest:
    """One write as it came in; `warnings` collects what the answer's headers shall say."""

    target: Target
    query: Mapping[str, str]
    content_type: str
    user_agent: str
    body: bytes
    warnings: list[str] = field(default_factory=list)

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be stored."""
        value = self.query.get("dryRun", "")
        check_dry_run([value] if value else [], self.options)
        return value == "All"

    @property
    def options(self) -> str:
        """The kind of the options that the query makes up."""
        if not self.target.name:
            return "CreateOptions"
        return "PatchOptions" if "patch" in self.content_type else "UpdateOptions"

    def check_options(self) -> None:
        """Refuse options that no write of this sort takes.

        Raises:
            ApiError: 422.
        """
        if self.query.get("force") and self.content_type != APPLY_PATCH:
            text = "Forbidden: may not be specified for non-apply patch"
            cause = Cause("FieldValueForbidden", text, "force")
            raise invalid(self.options, "meta.k8s.io", "", [cause])
        if len(self.query.get("fieldManager", "")) > 128:
            text = "Too long: may not be more than 128 bytes"
            cause = Cause("FieldValueTooLong", text, "fieldManager")
            raise invalid(self.options, "meta.k8s.io", "", [cause])

    @property
    def manager(self) -> str:
        """Who owns the written fields."""
        return self.query.get("fieldManager") or self.user_agent.partition("/")[0] or "unknown"


def decode(request: WriteRequest) -> Obj:
    """Parse a body and check that it is an object of the kind that the path names."""
    target, kind = request.target, request.target.kind
    if request.content_type not in (*_BODY_TYPES[:2], APPLY_PATCH, ""):
        raise unsupported_media_type(_BODY_TYPES)
    expected = "Scale" if target.subresource == "scale" else kind.kind
    try:
        loaded = (
            json.loads(request.body)
            if request.content_type in ("application/json", "")
            else yaml.safe_load(request.body)
        )
    except (ValueError, yaml.YAMLError) as error:
        raise bad_request(
            f"the object provided is unrecognized (must be of type {expected}): couldn't get "
            f"version/kind; json parse error: {error}"
        ) from error
    if not isinstance(loaded, dict):
        raise bad_request(
            f"the object provided is unrecognized (must be of type {expected}): couldn't get "
            "version/kind; json parse error: not an object"
        )
    api_version = "autoscaling/v1" if expected == "Scale" else kind.at(target.version)
    if kind.is_custom and expected == kind.kind and "kind" not in loaded:
        shown = json.dumps(loaded, separators=(",", ":"))
        raise bad_request(
            f"the object provided is unrecognized (must be of type {expected}): Object 'Kind' is "
            f"missing in '{shown}' ({shown[:30]})"
        )
    found = loaded.setdefault("kind", expected), loaded.setdefault("apiVersion", api_version)
    if found[0] != expected and kind.is_custom:
        cause = invalid_value("kind", found[0], f"must be {expected}")
        raise invalid(found[0], kind.group, (loaded.get("metadata") or {}).get("name", ""), [cause])
    if found[0] != expected:
        version = found[1].rpartition("/")[2]
        raise bad_request(
            f'{found[0]} in version "{version}" cannot be handled as a {expected}: no kind '
            f'"{found[0]}" is registered for version "{found[1]}"'
        )
    if found[1] != api_version:
        raise bad_request(
            f"the API version in the data ({found[1]}) does not match the expected API "
            f"version ({api_version})"
        )
    if not isinstance(loaded.setdefault("metadata", {}), dict):
        raise bad_request(
            f'{expected} in version "{target.version}" cannot be handled as a {expected}: '
            "json: cannot unmarshal metadata"
        )
    return loaded


def check_dry_run(values: list[str], options: str) -> None:
    """Refuse every dry run but `All`.

    Raises:
        ApiError: 422.
    """
    if any(value != "All" for value in values):
        shown = json.dumps(values, separators=(",", ":"))
        text = f'Unsupported value: {shown}: supported values: "All"'
        raise invalid(options, "meta.k8s.io", "", [Cause("FieldValueNotSupported", text, "dryRun")])


def strict(request: WriteRequest, obj: Obj, *, patch: bool = False) -> Obj:
    """Refuse, warn of or drop the fields that the schema does not know."""
    directive = request.query.get("fieldValidation") or "Warn"
    if directive not in ("Strict", "Warn", "Ignore"):
        known = '"", "Ignore", "Strict", "Warn"'
        text = f'Unsupported value: "{directive}": supported values: {known}'
        cause = Cause("FieldValueNotSupported", text, "fieldValidation")
        raise invalid(request.options, "meta.k8s.io", "", [cause])
    kind = request.target.kind
    if error := type_error(kind, obj):
        raise _undecodable(request, obj, error, patch)
    unknown = [f'unknown field "{path}"' for path in unknown_fields(kind, obj)]
    unknown += [
        f'unknown field "metadata.{name}"' for name in obj["metadata"].keys() - _METADATA_FIELDS
    ]
    if unknown and directive == "Strict":
        text = f"strict decoding error: {', '.join(unknown)}"
        raise _undecodable(request, obj, text, patch)
    if directive == "Warn":
        request.warnings.extend(unknown)
    return prune(kind, obj)


def _undecodable(request: WriteRequest, obj: Obj, why: str, patch: bool) -> ApiError:
    """400 for a body, 422 for the object that a patch would make."""
    kind = request.target.kind
    if patch:
        shown = json.dumps(obj, separators=(",", ":"))
        return invalid("", "", "", [invalid_value("patch", shown, why)])
    return bad_request(
        f'{kind.kind} in version "{request.target.version}" cannot be handled as a {kind.kind}: '
        f"{why}"
    )
