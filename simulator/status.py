"""The `Status` bodies of a Kubernetes API server, in its own words, as one exception type."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulator.kinds import Kind, Obj

_EXPIRED_CONTINUE = (
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)


class ApiError(Exception):
    """A request that is answered with a failure `Status`."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Obj | None = None,
        *,
        headers: dict[str, str] | None = None,
        metadata: Obj | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.headers = headers or {}
        self.body: Obj = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": metadata or {},
            "status": "Failure",
            "message": message,
        }
        if reason:
            self.body["reason"] = reason
        if details is not None:
            self.body["details"] = details
        self.body["code"] = code


@dataclass(frozen=True, slots=True)
class Cause:
    """One field error: what `details.causes` lists and the message joins."""

    reason: str
    message: str
    field: str

    def as_dict(self) -> Obj:
        """Return the entry of `details.causes`."""
        return {"reason": self.reason, "message": self.message, "field": self.field}


def invalid_value(field: str, value: Any, text: str) -> Cause:
    """Build the cause of a field whose value breaks a rule."""
    shown = json.dumps(value, separators=(",", ":"))
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {text}", field)


def required(field: str, text: str = "") -> Cause:
    """Build the cause of a field that is missing."""
    return Cause(
        "FieldValueRequired", f"Required value: {text}" if text else "Required value", field
    )


def _details(kind: Kind, name: str = "") -> Obj:
    details: Obj = {"name": name} if name else {}
    if kind.group:
        details["group"] = kind.group
    details["kind"] = kind.plural
    return details


def not_found(kind: Kind, name: str) -> ApiError:
    """404: the object does not exist."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found', _details(kind, name))


class NoSuchGroup(Exception):  # noqa: N818 - it is an answer, in plain text
    """A path of an API group that is not served at all: 404, not even a Status."""


def no_such_path() -> ApiError:
    """404: nothing is served under this path."""
    text = "the server could not find the requested resource"
    return ApiError(404, "NotFound", text, {})


def already_exists(kind: Kind, name: str) -> ApiError:
    """409: create found the name taken."""
    text = f'{kind.resource} "{name}" already exists'
    return ApiError(409, "AlreadyExists", text, _details(kind, name))


def conflict(kind: Kind, name: str, why: str = "") -> ApiError:
    """409: the object changed since it was read, or a precondition does not hold."""
    why = why or (
        "the object has been modified; please apply your changes to the latest version "
        "and try again"
    )
    text = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return ApiError(409, "Conflict", text, _details(kind, name))


def precondition_failed(kind: Kind, name: str, why: str) -> ApiError:
    """409 for a delete; the server names the kind here, not the resource."""
    error = conflict(kind, name, why)
    title = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    error.body["message"] = f'Operation cannot be fulfilled on {title} "{name}": {why}'
    error.body["details"]["kind"] = kind.kind
    return error


def bad_request(message: str) -> ApiError:
    """400: the request itself is malformed."""
    return ApiError(400, "BadRequest", message)


def forbidden(kind: Kind, name: str, why: str) -> ApiError:
    """403: authorization or admission refused."""
    text = (
        f'{kind.resource} "{name}" is forbidden: {why}'
        if name
        else (f"{kind.resource} is forbidden: {why}")
    )
    return ApiError(403, "Forbidden", text, _details(kind, name))


def invalid(kind_name: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """422: validation refused the object; the causes name each field."""
    lines = [f"{cause.field}: {cause.message}" for cause in causes]
    joined = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    title = f"{kind_name}.{group}" if group else kind_name
    details: Obj = {"name": name} if name else {}
    if group:
        details["group"] = group
    if kind_name:
        details["kind"] = kind_name
    details |= {"causes": [cause.as_dict() for cause in causes]}
    return ApiError(422, "Invalid", f'{title} "{name}" is invalid: {joined}', details)


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """415: a body or patch format that the resource does not take."""
    text = (
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted)
    )
    return ApiError(415, "UnsupportedMediaType", text)


def method_not_allowed(kind: Kind) -> ApiError:
    """405: the resource has no such verb."""
    text = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", text, _details(kind))


def expired(message: str) -> ApiError:
    """410: the history that the client asks for is gone."""
    return ApiError(410, "Expired", message)


def expired_continue(token: str) -> ApiError:
    """410 for a continue token, with a token that goes on inconsistently."""
    return ApiError(410, "Expired", _EXPIRED_CONTINUE, metadata={"continue": token})


def future_version(asked: int, current: int) -> ApiError:
    """504: the client asks for a resourceVersion that has not been reached yet."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    text = f"Timeout: Too large resource version: {asked}, current: {current}"
    return ApiError(504, "Timeout", text, details, headers={"Retry-After": "1"})
