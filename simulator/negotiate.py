"""Content negotiation: whole objects, metadata only (`PartialObjectMetadata`) or a `Table`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from simulator.kinds import Kind, Obj, Objs
from simulator.status import ApiError, bad_request
from simulator.store import parse_timestamp

_META = "meta.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class View:
    """How a client wants to see objects: `name` is empty for whole objects."""

    name: str = ""
    include: str = "Metadata"

    def item(self, kind: Kind, obj: Obj) -> Obj:
        """Show one object."""
        if self.name == "PartialObjectMetadata":
            return _partial(obj)
        if self.name == "Table":
            version = obj["metadata"].get("resourceVersion", "")
            return self._table(kind, [obj], {"resourceVersion": version})
        return obj

    def event(self, kind: Kind, obj: Obj, first: bool) -> Obj:
        """Show the object of a watch event; only the first table carries its columns."""
        shown = self.item(kind, obj)
        if self.name == "Table" and not first:
            shown["columnDefinitions"] = []
        return shown

    def list(self, kind: Kind, version: str, items: Objs, metadata: Obj) -> Obj:
        """Show a list of objects with its list metadata."""
        if self.name == "Table":
            return self._table(kind, items, metadata)
        if self.name == "PartialObjectMetadata":
            return {
                "kind": "PartialObjectMetadataList",
                "apiVersion": _META,
                "metadata": metadata,
                "items": [_partial(item) for item in items],
            }
        if not kind.is_custom:
            items = [{k: v for k, v in i.items() if k not in ("kind", "apiVersion")} for i in items]
        return {
            "kind": f"{kind.kind}List",
            "apiVersion": kind.at(version),
            "metadata": metadata,
            "items": items,
        }

    def _table(self, kind: Kind, items: Objs, metadata: Obj) -> Obj:
        columns = _COLUMNS.get(kind.resource, _DEFAULT_COLUMNS)
        return {
            "kind": "Table",
            "apiVersion": _META,
            "metadata": metadata,
            "columnDefinitions": [_column(name) for name, _ in columns],
            "rows": [
                {"cells": [cell(item) for _, cell in columns], "object": self._row_object(item)}
                for item in items
            ],
        }

    def _row_object(self, item: Obj) -> Obj | None:
        if self.include == "None":
            return None
        return item if self.include == "Object" else _partial(item)


def _column(name: str) -> Obj:
    wide = name.endswith("*")
    name = name.removesuffix("*")
    return {
        "name": name,
        "type": "string",
        "format": "name" if name == "Name" else "",
        "description": "",
        "priority": int(wide),
    }


def negotiate(accept: str, include: str) -> View:
    """Choose the view that an Accept header asks for.

    Raises:
        ApiError: 406 where nothing acceptable is served, 400 for an unknown `includeObject`.
    """
    if include not in ("", "None", "Metadata", "Object"):
        raise bad_request(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": '
            "must be 'Metadata', 'Object', 'None', or empty"
        )
    for part in (accept or "*/*").split(","):
        media, *parameters = [piece.strip() for piece in part.split(";")]
        if media not in ("*/*", "application/*", "application/json"):
            continue
        options = dict(p.split("=", 1) for p in parameters if "=" in p)
        name = options.get("as", "").removesuffix("List")
        if not name:
            return View()
        meta = options.get("g") == "meta.k8s.io" and options.get("v", "v1") == "v1"
        if meta and name in ("Table", "PartialObjectMetadata"):
            return View(name, include or "Metadata")
    text = (
        "406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
        "application/vnd.kubernetes.protobuf, application/json;stream=watch, "
        "application/vnd.kubernetes.protobuf;stream=watch"
    )
    raise ApiError(406, "NotAcceptable", text, {})


def _partial(obj: Obj) -> Obj:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": _META,
        "metadata": obj["metadata"],
    }


# -- the columns of tables ---------------------------------------------------------------------


def _name(obj: Obj) -> str:
    return str(obj["metadata"]["name"])


def _age(obj: Obj) -> str:
    return _since(obj["metadata"].get("creationTimestamp"))


def _since(created: str | None) -> str:
    if not created:
        return "<unknown>"
    return short_duration((datetime.now(UTC) - parse_timestamp(created)).total_seconds())


def short_duration(seconds: float) -> str:
    """Return a duration as kubectl shows ages: `45s`, `12m`, `5h20m`, `3d`."""
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if days < 2:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d"


def _spec(field: str, default: Any = "<none>") -> Callable[[Obj], Any]:
    return lambda obj: (obj.get("spec") or {}).get(field, default)


def _status(field: str, default: Any = "<none>") -> Callable[[Obj], Any]:
    return lambda obj: (obj.get("status") or {}).get(field, default)


def _containers(obj: Obj) -> list[Obj]:
    return list((obj.get("status") or {}).get("containerStatuses") or ())


def _pod_ready(obj: Obj) -> str:
    total = len((obj.get("spec") or {}).get("containers") or ())
    return f"{sum(bool(c.get('ready')) for c in _containers(obj))}/{total}"


def _pod_status(obj: Obj) -> str:
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status = obj.get("status") or {}
    for container in _containers(obj):
        for state in ("waiting", "terminated"):
            if reason := ((container.get("state") or {}).get(state) or {}).get("reason"):
                return str(reason)
    return str(status.get("reason") or status.get("phase") or "Unknown")


def _restarts(obj: Obj) -> str:
    return str(sum(int(c.get("restartCount", 0)) for c in _containers(obj)))


def _node_status(obj: Obj) -> str:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    cordoned = (obj.get("spec") or {}).get("unschedulable")
    return ("Ready" if ready else "NotReady") + (",SchedulingDisabled" if cordoned else "")


def _roles(obj: Obj) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = obj["metadata"].get("labels") or {}
    return ",".join(sorted(k[len(prefix) :] for k in labels if k.startswith(prefix))) or "<none>"


def _version(obj: Obj) -> str:
    info = (obj.get("status") or {}).get("nodeInfo") or {}
    return str(info.get("kubeletVersion", ""))


def _deployment_ready(obj: Obj) -> str:
    ready = (obj.get("status") or {}).get("readyReplicas", 0)
    return f"{ready}/{(obj.get('spec') or {}).get('replicas', 1)}"


def _ports(obj: Obj) -> str:
    ports = (obj.get("spec") or {}).get("ports") or ()
    return ",".join(f"{p['port']}/{p.get('protocol', 'TCP')}" for p in ports) or "<none>"


def _event_object(obj: Obj) -> str:
    involved = obj.get("involvedObject") or {}
    return f"{str(involved.get('kind', '')).lower()}/{involved.get('name', '')}"


_Columns = tuple[tuple[str, Callable[[Obj], Any]], ...]
_DEFAULT_COLUMNS: _Columns = (("Name", _name), ("Age", _age))
_CREATED: _Columns = (
    ("Name", _name),
    ("Created At", lambda obj: obj["metadata"].get("creationTimestamp", "")),
)
_COLUMNS: dict[str, _Columns] = {
    "pods": (
        ("Name", _name),
        ("Ready", _pod_ready),
        ("Status", _pod_status),
        ("Restarts", _restarts),
        ("Age", _age),
        ("IP*", _status("podIP")),
        ("Node*", _spec("nodeName")),
        ("Nominated Node*", _status("nominatedNodeName")),
        ("Readiness Gates*", lambda _: "<none>"),
    ),
    "namespaces": (("Name", _name), ("Status", _status("phase")), ("Age", _age)),
    "nodes": (
        ("Name", _name),
        ("Status", _node_status),
        ("Roles", _roles),
        ("Age", _age),
        ("Version", _version),
    ),
    "services": (
        ("Name", _name),
        ("Type", _spec("type")),
        ("Cluster-IP", _spec("clusterIP")),
        ("External-IP", lambda _: "<none>"),
        ("Port(s)", _ports),
        ("Age", _age),
        ("Selector*", lambda o: ",".join(f"{k}={v}" for k, v in _spec("selector", {})(o).items())),
    ),
    "secrets": (
        ("Name", _name),
        ("Type", lambda obj: obj.get("type", "")),
        ("Data", lambda obj: len(obj.get("data") or {})),
        ("Age", _age),
    ),
    "configmaps": (
        ("Name", _name),
        ("Data", lambda obj: len(obj.get("data") or {}) + len(obj.get("binaryData") or {})),
        ("Age", _age),
    ),
    "deployments.apps": (
        ("Name", _name),
        ("Ready", _deployment_ready),
        ("Up-to-date", _status("updatedReplicas", 0)),
        ("Available", _status("availableReplicas", 0)),
        ("Age", _age),
    ),
    "events": (
        ("Last Seen", lambda obj: _since(obj.get("lastTimestamp"))),
        ("Type", lambda obj: obj.get("type", "")),
        ("Reason", lambda obj: obj.get("reason", "")),
        ("Object", _event_object),
        ("Message", lambda obj: obj.get("message", "")),
    ),
    "roles.rbac.authorization.k8s.io": _CREATED,
    "clusterroles.rbac.authorization.k8s.io": _CREATED,
}
