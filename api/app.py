"""Builds the HTTP application; nothing here is global and nothing happens at import."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI, Security
from fastapi.security import HTTPBearer
from starlette.middleware import Middleware

from agent.assistant import Assistant
from api import chat, errors, health, metrics, operations, plans
from api.auth import Authentication, Throttle
from api.body import JSONBody
from api.conditional import Conditional
from api.deps import refuse_unknown_query
from api.envelope import ErrorEnvelope
from api.limits import Edge, HostAllowList, SameOrigin
from cloudpilot import __version__
from cloudpilot.errors import SettingsError
from cloudpilot.monitor.shapes import Fresh
from cloudpilot.runtime import Runtime

_DESCRIPTION = (
    "Answers questions about Kubernetes and Istio clusters and changes only what a human approved."
)
_ERRORS = {
    400: "The request cannot be read",
    401: "No token, or a wrong one",
    403: "Not allowed, here or by the cluster's RBAC",
    404: "There is no such thing",
    405: "Not with this method",
    409: "The present state does not allow it",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "The input is wrong; each field is named",
    429: "Over a limit; see Retry-After",
    500: "Internal error",
    503: "The cluster or the database cannot be reached",
    504: "Not finished within the deadline",
}


def create_app(runtime: Runtime, assistant: Assistant) -> FastAPI:
    """Build the application on an open runtime.

    Raises:
        SettingsError: `server.token` is not set; whoever starts the server makes one.
    """
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorEnvelope, "description": text} for status, text in _ERRORS.items()
    }
    # The scheme only documents the token: `Authentication` has checked it before any route runs.
    bearer = HTTPBearer(auto_error=False, scheme_name="token")
    app = FastAPI(
        title="CloudPilot",
        description=_DESCRIPTION,
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Security(bearer), Depends(refuse_unknown_query)],
        responses=responses,
        middleware=_middleware(runtime),
    )
    app.state.runtime = runtime
    app.state.assistant = assistant
    errors.install(app)
    metrics.install(app, runtime.clusters, assistant)
    health.add_routes(app)
    chat.add_routes(app)
    plans.add_routes(app)
    operations.add_routes(app, runtime)
    return app


def _middleware(runtime: Runtime) -> list[Middleware]:
    """List what a request passes, outermost first."""
    settings = runtime.settings.server
    if settings.token is None:
        raise SettingsError.field("server.token", "must be set before the application is built")
    return [
        Middleware(Edge),
        Middleware(HostAllowList, bound=settings.host, extra=settings.allowed_hosts),
        Middleware(Authentication, token=settings.token, throttle=Throttle()),
        Middleware(SameOrigin),
        Middleware(JSONBody, limit=settings.body_limit_bytes),
        Middleware(Conditional, clusters=runtime.clusters, operations=_timed(runtime)),
    ]


def _timed(runtime: Runtime) -> list[str]:
    """Name the routes whose answer says which time it is true for."""
    names = [op.name for op in runtime.catalog if issubclass(op.result, Fresh)]
    return [*names, *(f"{name}_across_clusters" for name in names)]
