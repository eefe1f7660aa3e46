"""What the transport refuses whoever asks: Secrets' content, and writes to any kind not writable.

Looks at the decoded path, so every version and spelling of it is the same resource.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from cloudpilot.errors import Forbidden
from cloudpilot.kube.kinds import KINDS

METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""The only forms in which Secrets may be asked for: their metadata, never what they hold."""

# What the HTTP library would drop or cut off, so that another path is sent than was looked at.
_PLAIN = re.compile(r'/[!"$-\[\]-~]*')
_TUNNELS = frozenset({"proxy", "exec", "attach", "portforward"})


@dataclass(frozen=True, slots=True)
class Target:
    """The resource that a path addresses."""

    group: str
    resource: str
    name: str
    subresource: str


def target_of(path: str) -> Target | None:
    """Return what a path addresses; None for discovery and other non-resource paths."""
    if not _PLAIN.fullmatch(path):
        raise Forbidden("a path is plain ASCII without blanks and fragments")
    parts = [part for part in unquote(path.partition("?")[0]).split("/") if part]
    if any(part in {".", ".."} for part in parts):
        raise Forbidden("a path may not climb")
    if len(parts) >= 3 and parts[0] == "api":
        group, rest = "", parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, rest = parts[1], parts[3:]
    else:
        return None
    if rest[0] == "watch":
        rest = rest[1:]
    if len(rest) >= 3 and rest[0] == "namespaces":
        rest = rest[2:]
    rest = [*rest, "", "", ""]
    return Target(group, rest[0].lower(), rest[1], rest[2])


def check_read(path: str, accept: str) -> None:
    """Refuse a read of Secrets, except for their metadata.

    Raises:
        Forbidden: it would return a Secret, or reach through the API server to something else.
    """
    target = target_of(path)
    if target is not None and target.subresource in _TUNNELS:
        raise Forbidden(f"CloudPilot never uses {target.subresource}")
    if target is None or target.resource != "secrets":
        return
    # Exactly these: a further form in the header would be what a server falls back to, and the
    # columns of a Table may hold what metadata does not.
    if accept in (METADATA, METADATA_LIST):
        return
    raise Forbidden("CloudPilot never reads Secrets", hint="only that one exists can be told")


def check_write(method: str, path: str) -> None:
    """Refuse a write to anything but a writable kind's own objects.

    Raises:
        Forbidden: this resource is never written by CloudPilot.
    """
    target = target_of(path)
    if target is not None and target == Target(
        "authorization.k8s.io", "selfsubjectaccessreviews", "", ""
    ):
        return
    writable = target is not None and any(
        kind.writable and kind.group == target.group and kind.plural == target.resource
        for kind in KINDS.values()
    )
    if not writable or target is None or target.subresource:
        what = target.resource if target else path
        raise Forbidden(f"CloudPilot never writes {what}")
    if method == "DELETE" and not target.name:
        raise Forbidden("CloudPilot never deletes a whole collection")
