"""Translates the API server's refusals into our errors, the upstream text redacted and capped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from cloudpilot.errors import (
    CloudPilotError,
    ClusterConflict,
    ClusterForbidden,
    ClusterGone,
    ClusterRejected,
    ClusterUnavailable,
    MethodNotAllowed,
    NotFound,
    OutcomeUnknown,
)
from cloudpilot.kube.redact import mask_text

_LONGEST = 2000
_LONGEST_WAIT = 30.0
_UNKNOWN_FIELD = re.compile(r'unknown field "([^"]+)"')


def error_of(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    method: str,
    path: str,
    *,
    writes: bool,
) -> CloudPilotError:
    """Return our error for an answer that is not a success."""
    answer = _status_object(body)
    message = mask_text(str(answer.get("message") or ""))[:_LONGEST]
    message = message or f"the API server answered {status} to {method} {path}"
    details: dict[str, Any] = {"reason": answer.get("reason") or "", "status": status}
    if status in (401, 403):
        if status == 401:
            message = "the cluster does not accept CloudPilot's credential"
        return ClusterForbidden(message, details=details)
    if status == 404:
        return NotFound(message, details=details)
    if status == 405:
        return MethodNotAllowed(message, details=details)
    if status == 409:
        return ClusterConflict(message, hint="read it again", details=details)
    if status == 410:
        return ClusterGone(message, details=details)
    if status in (400, 415, 422):
        fields = _fields(answer, message)
        if fields:
            details["fields"] = fields
        return ClusterRejected(message, hint="correct the named fields", details=details)
    if writes and status in (500, 502, 504):
        return OutcomeUnknown(message, details=details)
    return ClusterUnavailable(
        message, details=details, retry_after_seconds=_retry_after(headers.get("Retry-After"))
    )


def error_of_event(answer: dict[str, Any]) -> CloudPilotError:
    """Return our error for an ERROR event inside a watch."""
    code = answer.get("code")
    status = code if isinstance(code, int) else 500
    return error_of(status, {}, msgspec.json.encode(answer), "GET", "a watch", writes=False)


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        loaded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) and loaded.get("kind") == "Status" else {}


def _fields(answer: dict[str, Any], message: str) -> list[dict[str, str]]:
    details = answer.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    fields = [
        {
            "field": str(cause.get("field") or "object"),
            "problem": mask_text(str(cause.get("message") or ""))[:_LONGEST],
        }
        for cause in causes or []
        if isinstance(cause, dict)
    ]
    return fields or [
        {"field": name, "problem": "the cluster's version of this kind does not know it"}
        for name in _UNKNOWN_FIELD.findall(message)
    ]


def _retry_after(value: str | None) -> float | None:
    """Return the seconds to wait, at most 30; None for none and for nonsense."""
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_WAIT)
    try:
        seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT)
