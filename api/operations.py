"""Projects the catalog onto REST: one route an operation, its schema taken from its signature.

Cluster-scoped operations lie below `/api/v1/clusters/{cluster}`, the others below `/api/v1`. There
lies too, for each that reads, the route that asks many clusters: all, or those of `clusters`.
Nothing is decided here: authorisation, approval, audit and redaction are `Catalog.call`'s.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

from fastapi import Body, FastAPI, Path, Query, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, create_model
from pydantic.fields import FieldInfo
from starlette.responses import Response

from api.envelope import enveloped, success
from cloudpilot.arguments import ClusterName
from cloudpilot.context import Door
from cloudpilot.errors import ApprovalRequired
from cloudpilot.fleet import EVERY, Selection
from cloudpilot.log import request_id
from cloudpilot.operation import Operation, Scope
from cloudpilot.runtime import Runtime

PREFIX = "/api/v1"
CLUSTER_PREFIX = PREFIX + "/clusters/{cluster}"
_BODILESS = frozenset({"GET", "DELETE"})
_PARAMETER = re.compile(r"{\w+}")

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Projection:
    """One route: an operation on the cluster of the path, or on several at once."""

    operation: Operation
    across: bool = False

    @property
    def name(self) -> str:
        return f"{self.operation.name}{'_across_clusters' if self.across else ''}"

    @property
    def path(self) -> str:
        return across_path(self.operation) if self.across else route_path(self.operation)

    @property
    def in_cluster(self) -> bool:
        return self.operation.scope is Scope.CLUSTER and not self.across

    @property
    def result(self) -> type[BaseModel]:
        return self.operation.result_across if self.across else self.operation.result

    @property
    def hints(self) -> dict[str, Any]:
        return get_type_hints(self.operation.run, include_extras=True) | {"clusters": Selection}

    @property
    def fields(self) -> dict[str, FieldInfo]:
        """The arguments that stand in the query or the body."""
        fields = dict(self.operation.params.model_fields)
        if self.across:
            fields["clusters"] = FieldInfo(default=[EVERY])
        return {
            name: info for name, info in fields.items() if name not in self.operation.path_params
        }


def add_routes(app: FastAPI, runtime: Runtime) -> None:
    """Add the routes of each operation that is offered through REST.

    Raises:
        ValueError: two routes have one path, so that one would hide the other.
    """
    taken = {
        (method, _PARAMETER.sub("{}", route.path))
        for route in app.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    for projection in sorted(_projections(runtime), key=_literal_first):
        operation = projection.operation
        place = operation.method, _PARAMETER.sub("{}", projection.path)
        if place in taken:
            raise ValueError(f"{projection.name}: {' '.join(place)} is taken")
        taken.add(place)
        status = 202 if operation.proposes else 200
        app.add_api_route(
            projection.path,
            _endpoint(projection, runtime, status),
            methods=[operation.method],
            operation_id=projection.name,
            summary=operation.summary,
            description=operation.doc,
            tags=[operation.toolset],
            status_code=status,
            response_model=enveloped(projection.result),
            response_description=_response_description(projection),
        )


def route_path(operation: Operation) -> str:
    """Return the full path of an operation's route."""
    prefix = CLUSTER_PREFIX if operation.scope is Scope.CLUSTER else PREFIX
    return prefix + operation.path


def across_path(operation: Operation) -> str:
    """Return the full path of the route that asks several clusters."""
    return PREFIX + operation.path


def _projections(runtime: Runtime) -> Iterator[_Projection]:
    for operation in runtime.catalog:
        if Door.REST in operation.doors:
            yield _Projection(operation)
            if operation.params_across is not None:
                yield _Projection(operation, across=True)


def _literal_first(projection: _Projection) -> list[tuple[bool, str]]:
    """Sort `/pods/failing` before `/pods/{name}`, which would swallow it."""
    return [(part.startswith("{"), part) for part in projection.path.split("/")]


def _response_description(projection: _Projection) -> str:
    if projection.across:
        return "One table of all clusters that answered, and an error for each that did not"
    return "The plan that waits for approval" if projection.operation.proposes else "The result"


def _endpoint(
    projection: _Projection, runtime: Runtime, status: int
) -> Callable[..., Awaitable[Values]]:
    operation = projection.operation

    async def endpoint(request: Request, response: Response, **values: Any) -> Values:
        cluster = values.pop("cluster", None) if projection.in_cluster else None
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

    endpoint.__name__ = projection.name
    endpoint.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        _parameters(projection), return_annotation=Values
    )
    return endpoint


def _parameters(projection: _Projection) -> list[inspect.Parameter]:
    """Write the signature that FastAPI reads: path and query flat, the rest as one body."""
    operation, hints = projection.operation, projection.hints
    found = [_parameter("request", Request), _parameter("response", Response)]
    if projection.in_cluster:
        place = Path(openapi_examples=_example({"cluster": "demo"}, "cluster"))
        found.append(_parameter("cluster", Annotated[ClusterName, place]))
    for name in operation.path_params:
        place = Path(openapi_examples=_example(operation.example, name))
        found.append(_parameter(name, Annotated[hints[name], place]))
    if operation.method in _BODILESS:
        for name, info in projection.fields.items():
            query = Query(openapi_examples=_example(operation.example, name))
            found.append(_parameter(name, Annotated[hints[name], query], _default(info)))
    elif projection.fields:
        found.append(_parameter("body", Annotated[_body_model(projection), Body()]))
    return found


def _parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> Any:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default
    )


def _default(info: FieldInfo) -> Any:
    return inspect.Parameter.empty if info.is_required() else info.get_default()


def _example(example: Mapping[str, Any], name: str) -> Any:
    return {"example": {"value": example[name]}} if name in example else None


def _body_model(projection: _Projection) -> type[BaseModel]:
    fields, hints = projection.fields, projection.hints
    example = {
        name: value for name, value in projection.operation.example.items() if name in fields
    }
    camel = "".join(part.capitalize() for part in projection.name.split("_"))
    definitions: dict[str, Any] = {
        name: (hints[name], ... if info.is_required() else info.get_default())
        for name, info in fields.items()
    }
    config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [example]} if example else None
    )
    return create_model(f"{camel}Request", __config__=config, **definitions)
