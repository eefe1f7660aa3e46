"""Projects the catalog onto REST: one route an operation, its schema taken from its signature.

Cluster-scoped operations lie below `/api/v1/clusters/{cluster}`, the others below `/api/v1`.
Nothing is decided here: authorisation, approval, audit and redaction are `Catalog.call`'s.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, get_type_hints

from fastapi import Body, FastAPI, Path, Query, Request
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo
from starlette.responses import Response

from api.envelope import enveloped, success
from cloudpilot.arguments import ClusterName
from cloudpilot.context import Door
from cloudpilot.errors import ApprovalRequired
from cloudpilot.log import request_id
from cloudpilot.operation import Operation, Scope
from cloudpilot.runtime import Runtime

PREFIX = "/api/v1"
CLUSTER_PREFIX = PREFIX + "/clusters/{cluster}"
_BODILESS = frozenset({"GET", "DELETE"})

Values = dict[str, Any]


def add_routes(app: FastAPI, runtime: Runtime) -> None:
    """Add a route for each operation that is offered through REST."""
    offered = [operation for operation in runtime.catalog if Door.REST in operation.doors]
    for operation in sorted(offered, key=_literal_first):
        status = 202 if operation.proposes else 200
        app.add_api_route(
            route_path(operation),
            _endpoint(operation, runtime, status),
            methods=[operation.method],
            operation_id=operation.name,
            summary=operation.summary,
            description=operation.doc,
            tags=[operation.toolset],
            status_code=status,
            response_model=enveloped(operation.result),
            response_description=_response_description(operation),
        )


def route_path(operation: Operation) -> str:
    """Return the full path of an operation's route."""
    prefix = CLUSTER_PREFIX if operation.scope is Scope.CLUSTER else PREFIX
    return prefix + operation.path


def _literal_first(operation: Operation) -> list[tuple[bool, str]]:
    """Sort `/pods/failing` before `/pods/{name}`, which would swallow it."""
    return [(part.startswith("{"), part) for part in route_path(operation).split("/")]


def _response_description(operation: Operation) -> str:
    return "The plan that waits for approval" if operation.proposes else "The result"


def _endpoint(
    operation: Operation, runtime: Runtime, status: int
) -> Callable[..., Awaitable[Values]]:
    async def endpoint(request: Request, response: Response, **values: Any) -> Values:
        cluster = values.pop("cluster", None) if operation.scope is Scope.CLUSTER else None
        body = values.pop("body", None)
        if body is not None:
            values |= {name: getattr(body, name) for name in body.model_fields_set}
        context = runtime.context(
            request.state.actor, Door.REST, cluster=cluster, request_id=request_id.get()
        )
        try:
            return success(await runtime.catalog.call(operation.name, context, values))
        except ApprovalRequired as required:
            response.headers["Location"] = f"{PREFIX}/plans/{required.plan.id}"
            return success(required.plan, code=status, message=required.message)

    endpoint.__name__ = operation.name
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        _parameters(operation), return_annotation=Values
    )
    return endpoint


def _parameters(operation: Operation) -> list[inspect.Parameter]:
    """Write the signature that FastAPI reads: path and query flat, the rest as one body."""
    hints = get_type_hints(operation.run, include_extras=True)
    fields = operation.params.model_fields
    found = [_parameter("request", Request), _parameter("response", Response)]
    if operation.scope is Scope.CLUSTER:
        place = Path(openapi_examples=_example({"cluster": "demo"}, "cluster"))
        found.append(_parameter("cluster", Annotated[ClusterName, place]))
    for name in operation.path_params:
        place = Path(openapi_examples=_example(operation.example, name))
        found.append(_parameter(name, Annotated[hints[name], place]))
    rest = {name: fields[name] for name in fields if name not in operation.path_params}
    if operation.method in _BODILESS:
        for name, info in rest.items():
            query = Query(openapi_examples=_example(operation.example, name))
            found.append(_parameter(name, Annotated[hints[name], query], _default(info)))
    elif rest:
        found.append(_parameter("body", Annotated[_body_model(operation, hints, rest), Body()]))
    return found


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> Any:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _default(info: FieldInfo) -> Any:
    return inspect.Parameter.empty if info.is_required() else info.get_default()


def _example(example: Mapping[str, Any], name: str) -> Any:
    return {"example": {"value": example[name]}} if name in example else None


def _body_model(
    operation: Operation, hints: Mapping[str, Any], fields: Mapping[str, FieldInfo]
) -> type[BaseModel]:
    example = {name: value for name, value in operation.example.items() if name in fields}
    camel = "".join(part.capitalize() for part in operation.name.split("_"))
    definitions: dict[str, Any] = {
        name: (hints[name], ... if info.is_required() else info.get_default())
        for name, info in fields.items()
    }
    config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [example]} if example else None
    )
    return create_model(f"{camel}Request", __config__=config, **definitions)
