"""get and list: resourceVersion semantics, paging, selectors, and kinds that are only views."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping

from simulator.kinds import Kind, Obj, Objs
from simulator.negotiate import View
from simulator.paths import Target
from simulator.selectors import parse_selection
from simulator.status import (
    ApiError,
    Cause,
    bad_request,
    expired,
    expired_continue,
    future_version,
    invalid,
    not_found,
)
from simulator.store import Store, key_of

Query = Mapping[str, str]
Virtual = Callable[[Kind], Objs]


class Reads:
    """Answers get and list.

    Args:
        store: the objects.
        virtual: computes the objects of kinds that are not stored (metrics).
    """

    def __init__(self, store: Store, virtual: Virtual) -> None:
        self._store = store
        self._virtual = virtual

    def get(self, target: Target, query: Query) -> Obj:
        """Return one object in the requested API version.

        Raises:
            ApiError: 404.
        """
        self._wait_for(query.get("resourceVersion", ""))
        kind = target.kind
        if kind.is_virtual:
            wanted = (target.namespace, target.name)
            obj = next((o for o in self._objects(target, None) if key_of(o) == wanted), None)
        else:
            obj = self._store.find(kind, target.namespace, target.name)
        if obj is None:
            raise not_found(kind, target.name)
        return in_version(kind, target.version, obj)

    def list(self, target: Target, query: Query, view: View) -> Obj:
        """Return one page of a list.

        Raises:
            ApiError: 400 for a bad selector or token, 410 for a version that is forgotten.
        """
        _check_list_options(query)
        kind = target.kind
        selection = parse_selection(
            kind, query.get("labelSelector", ""), query.get("fieldSelector", "")
        )
        # A list "at any version" comes from the watch cache, which knows no pages.
        cached = query.get("resourceVersion") == "0" and not query.get("continue")
        limit = 0 if cached else number(query, "limit")
        version, start, shown_version = self._position(query)
        objects = [o for o in self._objects(target, version) if selection.matches(o)]
        if start:
            objects = [o for o in objects if "/".join(key_of(o)) >= start]
        metadata: Obj = {"resourceVersion": str(shown_version)}
        if 0 < limit < len(objects):
            metadata["continue"] = _token(shown_version, "/".join(key_of(objects[limit])))
            if not selection:
                metadata["remainingItemCount"] = len(objects) - limit
            objects = objects[:limit]
        items = [in_version(kind, target.version, o) for o in objects]
        return view.list(kind, target.version, items, metadata)

    def _objects(self, target: Target, version: int | None) -> Objs:
        kind = target.kind
        if kind.resource == "events.events.k8s.io":
            core = self._store.kinds.find("events")
            events = self._store.snapshot(core, target.namespace, version)
            return [as_new_event(event) for event in events]
        if kind.is_virtual:
            objects = self._virtual(kind)
            return [o for o in objects if target.namespace in ("", key_of(o)[0])]
        return self._store.snapshot(kind, target.namespace, version)

    def _position(self, query: Query) -> tuple[int | None, str, int]:
        """Return the snapshot to read, the key to start at, and the version to report."""
        current = self._store.version
        token = query.get("continue", "")
        if token:
            version, start = _parse_token(token)
            if version == -1:
                return None, start, current
            if version < self._store.compacted:
                raise expired_continue(_token(-1, start))
            return version, start, version
        asked = query.get("resourceVersion", "")
        if query.get("resourceVersionMatch") == "Exact":
            version = parse_version(asked)
            if version > current:
                raise future_version(version, current)
            if version < self._store.compacted:
                text = "The resourceVersion for the provided list is too old."
                raise expired(text)
            return version, "", version
        self._wait_for(asked)
        return None, "", current

    def _wait_for(self, asked: str) -> None:
        if asked and parse_version(asked) > self._store.version:
            raise future_version(parse_version(asked), self._store.version)


def in_version(kind: Kind, version: str, obj: Obj) -> Obj:
    """Return an object under the requested API version; all versions share one schema."""
    wanted = kind.at(version)
    return obj if obj.get("apiVersion") == wanted else obj | {"apiVersion": wanted}


def as_new_event(event: Obj) -> Obj:
    """Return a core Event as an events.k8s.io/v1 Event."""
    source = event.get("source") or {}
    return {
        "kind": "Event",
        "apiVersion": "events.k8s.io/v1",
        "metadata": event["metadata"],
        "eventTime": event.get("eventTime"),
        "reportingController": event.get("reportingComponent") or source.get("component", ""),
        "reportingInstance": event.get("reportingInstance") or source.get("host", ""),
        "reason": event.get("reason", ""),
        "regarding": event.get("involvedObject", {}),
        "note": event.get("message", ""),
        "type": event.get("type", ""),
        "deprecatedSource": source,
        "deprecatedFirstTimestamp": event.get("firstTimestamp"),
        "deprecatedLastTimestamp": event.get("lastTimestamp"),
        "deprecatedCount": event.get("count", 1),
    }


def number(query: Query, name: str) -> int:
    """Read a whole number from the query; 0 if it is not there.

    Raises:
        ApiError: 400, not a number.
    """
    text = query.get(name, "")
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def parse_version(text: str) -> int:
    """Read a resourceVersion.

    Raises:
        ApiError: 400, not a number.
    """
    if not text.isdigit():
        raise bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def _check_list_options(query: Query) -> None:
    match, version = query.get("resourceVersionMatch", ""), query.get("resourceVersion", "")
    text = ""
    field = "resourceVersionMatch"
    if match and query.get("continue"):
        text = "resourceVersionMatch is forbidden when continue is provided"
    elif match and not version:
        text = "resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif match == "Exact" and version == "0":
        text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    elif query.get("sendInitialEvents"):
        field, text = "sendInitialEvents", "sendInitialEvents is forbidden for list"
    if text:
        cause = Cause("FieldValueForbidden", f"Forbidden: {text}", field)
        raise invalid("ListOptions", "meta.k8s.io", "", [cause])
    if match not in ("", "Exact", "NotOlderThan"):
        text = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
        cause = Cause("FieldValueNotSupported", text, field)
        raise invalid("ListOptions", "meta.k8s.io", "", [cause])
    if version not in ("", "0") and query.get("continue"):
        raise bad_request("specifying resource version is not allowed when using continue")


def _token(version: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start})
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parse_token(token: str) -> tuple[int, str]:
    try:
        padded = token + "=" * (-len(token) % 4)
        data = json.loads(base64.urlsafe_b64decode(padded))
        return int(data["rv"]), str(data["start"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise _bad_token() from None


def _bad_token() -> ApiError:
    return bad_request(
        "invalid continue token: continue key is not valid: illegal base64 data at input byte 0"
    )
