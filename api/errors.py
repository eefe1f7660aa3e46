"""Translates what Starlette and FastAPI raise into the one error tree.

A `CloudPilotError` needs no translation: it is rendered at the edge (`api.limits.Edge`), where
any other exception becomes a 500 without its text.
"""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from api.envelope import failure
from cloudpilot.errors import (
    BadRequest,
    CloudPilotError,
    InvalidArguments,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
)

_PLACES = frozenset({"path", "query", "header", "cookie", "body"})


def install(app: FastAPI) -> None:
    """Replace the frameworks' own error answers by the envelope."""
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)


def field_complaints(error: RequestValidationError) -> InvalidArguments:
    """Translate FastAPI's complaints: one entry a field, the wrong values never echoed."""
    fields = []
    for item in error.errors():
        place, *rest = [str(part) for part in item["loc"]]
        name = ".".join(rest) if place in _PLACES and rest else place
        problem = "unknown field" if item["type"] == "extra_forbidden" else item["msg"]
        fields.append({"field": name, "problem": problem})
    text = "; ".join(f"{item['field']}: {item['problem']}" for item in fields)
    return InvalidArguments(text, hint="correct the named fields", details={"fields": fields})


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - narrows the handler's loose type
    headers = dict(error.headers or {})
    path = request.url.path
    translated: CloudPilotError
    match error.status_code:
        case 404:
            translated = NotFound(f"there is nothing at {path}", hint="see /openapi.json")
        case 405:
            allowed = _allowed_methods(request)
            headers["Allow"] = ", ".join(allowed)
            translated = MethodNotAllowed(
                f"{request.method} is not possible here", details={"allowed": allowed}
            )
        case 413:
            translated = PayloadTooLarge("the request body is too large")
        case code if 400 <= code < 500:
            translated = BadRequest(str(error.detail))
        case _:
            translated = CloudPilotError("internal error")
    return failure(translated, headers)


async def _validation_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - narrows the loose type
    return failure(field_complaints(error))


def _allowed_methods(request: Request) -> list[str]:
    """Collect the methods of every route at this path; Starlette names only the first one's."""
    found: set[str] = set()
    for route in request.app.routes:
        matched, _ = route.matches(request.scope)
        if matched is not Match.NONE:
            found.update(getattr(route, "methods", None) or ())
    return sorted(found)
