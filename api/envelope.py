"""The one shape of every HTTP answer, success or error."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from fastapi import FastAPI
from pydantic import BaseModel, Field, create_model
from starlette.responses import Response

from cloudpilot.errors import CloudPilotError, ClusterUnavailable, Unauthorized
from cloudpilot.log import request_id

Data = TypeVar("Data")
Route = tuple[str, str, Callable[..., Awaitable[object]], type[BaseModel] | None]
"""Method, path, endpoint, and the model of what it answers in `data`."""


class Envelope(BaseModel, Generic[Data]):
    """A successful answer."""

    code: int = Field(description="The HTTP status.", examples=[200])
    message: str = Field(description="One sentence for a person.", examples=["OK"])
    data: Data
    request_id: str = Field(description="Id of the request, also in `X-Request-ID` and the log.")


@cache
def enveloped(result: type[BaseModel] | None) -> type[BaseModel]:
    """Return the envelope around a result, its schema named after it: `PodListEnvelope`."""
    name = f"{result.__name__ if result else 'Empty'}Envelope"
    return create_model(name, __base__=Envelope[result], __doc__=Envelope.__doc__)  # type: ignore[valid-type]


class ErrorBody(BaseModel):
    """What went wrong, for programs."""

    type: str = Field(description="Stable name of the error.", examples=["NotFound"])
    hint: str = Field(description="What to do next; may be empty.")
    details: dict[str, Any] = Field(
        description="Facts under stable keys; `fields` lists wrong input as {field, problem}."
    )


class ErrorEnvelope(BaseModel):
    """An answer that is not a success."""

    code: int = Field(description="The HTTP status.", examples=[404])
    message: str = Field(description="One sentence for a person.")
    data: None = None
    request_id: str
    error: ErrorBody


def success(data: Any, *, code: int = 200, message: str = "") -> dict[str, Any]:
    """Wrap a result; the route's response model validates and serialises it."""
    return {
        "code": code,
        "message": message or HTTPStatus(code).phrase,
        "data": data,
        "request_id": request_id.get(),
    }


def failure(error: CloudPilotError, headers: dict[str, str] | None = None) -> Response:
    """Render an error, with the headers that its status asks for."""
    body = ErrorEnvelope(
        code=error.status,
        message=error.message,
        request_id=request_id.get(),
        error=ErrorBody(type=error.type, hint=error.hint, details=error.details),
    )
    headers = dict(headers or {})
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = 'Bearer realm="cloudpilot"'
    if (wait := _retry_after(error)) is not None:
        headers["Retry-After"] = str(max(1, round(wait)))
    # The standard library's encoder: details are free-form, and it escapes a lone surrogate that
    # came from upstream where the faster ones raise.
    content = json.dumps(body.model_dump(), default=str)
    return Response(content, error.status, headers, "application/json")


def _retry_after(error: CloudPilotError) -> float | None:
    if isinstance(error, ClusterUnavailable):
        return error.retry_after_seconds
    wait = error.details.get("retry_after_seconds")
    return float(wait) if isinstance(wait, int | float) else None


def add_enveloped_routes(app: FastAPI, tag: str, routes: Iterable[Route]) -> None:
    """Add routes that answer in the envelope, each named after its endpoint."""
    for method, path, endpoint, model in routes:
        app.add_api_route(
            path,
            endpoint,
            methods=[method],
            operation_id=endpoint.__name__,
            tags=[tag],
            response_model=enveloped(model),
        )
