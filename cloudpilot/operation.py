"""The one registry: an operation is a typed async function, the catalog the only door to it.

REST, the agent's tools and the command line are projections of the catalog. Authorisation,
approval, audit, deadline and redaction live in `Catalog.call`: never in a projection, never in
an operation. An operation that writes does not write: it returns the `Change` it wants, and the
catalog turns that into a plan for a human. A read of a cluster may be asked of several at once
with `clusters`, which every such operation takes beside its own arguments.
"""

from __future__ import annotations

import asyncio
import difflib
import inspect
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, TypeVar, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from cloudpilot.cache.connection import ConnectionState
from cloudpilot.context import CallContext, Door
from cloudpilot.errors import (
    ApprovalRequired,
    CloudPilotError,
    DeadlineExceeded,
    Forbidden,
    InvalidArguments,
    NotFound,
)
from cloudpilot.fleet import Fleet, Page, Selection, merged_model
from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.redact import redact_model
from cloudpilot.plans.plan import Change, Plan

logger = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Awaitable[BaseModel]])


class Effect(StrEnum):
    """What an operation does. WRITE and DESTROY need an approved plan."""

    READ = "read"
    WRITE = "write"
    DESTROY = "destroy"
    MANAGE = "manage"
    """Changes CloudPilot's own records, such as a registered cluster; never a cluster."""


class Scope(StrEnum):
    """Whether an operation is about one cluster or about CloudPilot itself."""

    CLUSTER = "cluster"
    SERVER = "server"


_FIRST_SYNC_SECONDS = 5.0
ALL_DOORS = frozenset(Door)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing CloudPilot can do, described once for every door."""

    name: str
    """The function's own name: tool name, operationId and command."""
    doc: str
    """The docstring: the only description that people and models read."""
    route: str
    """Method and path below the cluster (or below /api/v1), `GET /namespaces/{namespace}/pods`."""
    effect: Effect
    scope: Scope
    doors: frozenset[Door]
    params: type[BaseModel]
    params_across: type[BaseModel] | None
    """The arguments with `clusters`; None where only one cluster, or none, can be meant."""
    result: type[BaseModel]
    """For a write: `Plan`, since that is what the caller gets."""
    run: Callable[..., Awaitable[BaseModel]]
    toolset: str
    reads: tuple[str, ...]
    """Kinds it reads from the mirror: a call waits a moment until each is listed."""
    example: Mapping[str, Any]
    """Arguments that work on the simulated cluster."""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path below its prefix."""
        return self.route.partition(" ")[2]

    @property
    def path_params(self) -> tuple[str, ...]:
        """The parameters that stand in the path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]

    @property
    def proposes(self) -> bool:
        """Whether a call ends in a plan."""
        return self.effect in (Effect.WRITE, Effect.DESTROY)

    @property
    def result_across(self) -> type[BaseModel]:
        """What a call about several clusters answers."""
        return merged_model(self.result)

    def parse(self, arguments: Mapping[str, Any]) -> BaseModel:
        """Validate arguments; all complaints together. Empty `clusters` are as if not given.

        Raises:
            InvalidArguments: with one entry a wrong field.
        """
        model, given = self.params, dict(arguments)
        if self.params_across is not None:
            if given.get("clusters"):
                model = self.params_across
            else:
                given.pop("clusters", None)
        try:
            return model.model_validate(given)
        except ValidationError as error:
            raise invalid_arguments(error) from None


class Toolset:
    """Operations that belong together, as an `APIRouter` holds routes."""

    def __init__(self, name: str, scope: Scope = Scope.CLUSTER) -> None:
        self.name = name
        self.scope = scope
        self.operations: list[Operation] = []

    def operation(
        self,
        route: str,
        effect: Effect = Effect.READ,
        *,
        reads: tuple[str, ...] = (),
        doors: frozenset[Door] = ALL_DOORS,
        example: Mapping[str, Any] | None = None,
    ) -> Callable[[Function], Function]:
        """Register the decorated function, which stays a plain function."""
        if unknown := sorted(set(reads) - KINDS.keys()):
            raise ValueError(f"{route} reads unknown kinds: {', '.join(unknown)}")

        def add(run: Function) -> Function:
            hints = get_type_hints(run, include_extras=True)
            _, *parameters = inspect.signature(run).parameters.values()
            fields: dict[str, Any] = {
                p.name: (hints[p.name], ... if p.default is p.empty else p.default)
                for p in parameters
            }
            config = ConfigDict(extra="forbid")
            params = create_model(f"{run.__name__}_arguments", __config__=config, **fields)
            writes = effect in (Effect.WRITE, Effect.DESTROY)
            across = None
            if effect is Effect.READ and self.scope is Scope.CLUSTER:
                across = create_model(
                    f"{run.__name__}_across_clusters_arguments",
                    __base__=params,
                    clusters=(Selection, ...),
                )
            self.operations.append(
                Operation(
                    name=run.__name__,
                    doc=inspect.getdoc(run) or "",
                    route=route,
                    effect=effect,
                    scope=self.scope,
                    doors=doors,
                    params=params,
                    params_across=across,
                    result=Plan if writes else hints["return"],
                    run=run,
                    toolset=self.name,
                    reads=reads,
                    example=example or {},
                )
            )
            return run

        return add


class Planner(Protocol):
    """Turns a wanted change into a plan; `cloudpilot.plans` implements it."""

    async def propose(
        self, operation: str, arguments: Mapping[str, Any], change: Change, ctx: CallContext
    ) -> Plan:
        """Dry-run, diff, record."""


class CallLog(Protocol):
    """Records that a call happened; `cloudpilot.db` implements it."""

    async def record(self, entry: CallRecord) -> None:
        """Write one entry durably."""


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call, as the audit keeps it."""

    operation: str
    effect: str
    actor: str
    door: str
    cluster: str | None
    outcome: str
    duration_seconds: float
    request_id: str
    details: dict[str, Any] = field(default_factory=dict)


class Catalog:
    """Every operation by name, and the one door each is called through."""

    def __init__(
        self, toolsets: Iterable[Toolset], planner: Planner, audit: CallLog | None = None
    ) -> None:
        self._operations: dict[str, Operation] = {}
        self._planner = planner
        self._audit = audit
        for toolset in toolsets:
            for operation in toolset.operations:
                if operation.name in self._operations:
                    raise ValueError(f"two operations are named {operation.name!r}")
                self._operations[operation.name] = operation

    def __iter__(self) -> Any:
        """Iterate over the operations in the order of their names."""
        return iter(sorted(self._operations.values(), key=lambda op: op.name))

    def find(self, name: str) -> Operation:
        """Return the operation of this name.

        Raises:
            NotFound: naming the nearest one.
        """
        if operation := self._operations.get(name):
            return operation
        near = difflib.get_close_matches(name, self._operations, n=1)
        hint = f"did you mean {near[0]}?" if near else "list the operations first"
        raise NotFound(f"there is no operation {name!r}", hint=hint)

    async def call(self, name: str, ctx: CallContext, arguments: Mapping[str, Any]) -> BaseModel:
        """Run an operation for an actor; with `clusters` among its arguments, on each of those.

        Raises:
            ApprovalRequired: it writes; the error carries the plan.
            CloudPilotError: anything else that went wrong, named.
        """
        operation = self.find(name)
        started = time.monotonic()
        outcome = "error"
        try:
            params = operation.parse(arguments)
            self._authorize(operation, ctx)
            if operation.params_across and isinstance(params, operation.params_across):
                result = await self._run_across(operation, ctx, params)
            else:
                async with asyncio.timeout(ctx.deadline_seconds):
                    result = await self._run(operation, ctx, params)
            outcome = "ok"
            return result
        except TimeoutError:
            outcome = "deadline"
            raise DeadlineExceeded(
                f"{name} did not finish within {ctx.deadline_seconds:g} s",
                hint="narrow it, or ask again",
            ) from None
        except ApprovalRequired:
            outcome = "proposed"
            raise
        except CloudPilotError as error:
            outcome = error.type
            raise
        finally:
            await self._record(operation, ctx, outcome, time.monotonic() - started)

    async def _run(self, operation: Operation, ctx: CallContext, params: BaseModel) -> BaseModel:
        if operation.scope is Scope.CLUSTER:
            # A kind starts when it is first read; a moment of patience then, and right after the
            # start, is worth more than an empty answer. Of a dead cluster nothing is to be hoped.
            dead = ctx.cluster.connection.state is ConnectionState.UNREACHABLE
            patience = 0 if dead else _FIRST_SYNC_SECONDS
            await ctx.cluster.cache.wait_settled(patience, operation.reads)
        values = {field: getattr(params, field) for field in operation.params.model_fields}
        result = await operation.run(ctx, **values)
        if not operation.proposes:
            return redact_model(result)
        if not isinstance(result, Change):
            raise TypeError(f"{operation.name} writes, so it must return a Change")
        canonical = params.model_dump(mode="json", exclude_none=True)
        raise ApprovalRequired(await self._planner.propose(operation.name, canonical, result, ctx))

    async def _run_across(
        self, operation: Operation, ctx: CallContext, params: BaseModel
    ) -> BaseModel:
        """Ask every chosen cluster; for the log and the audit it stays one call."""

        async def ask(cluster: str, paging: Mapping[str, Any]) -> BaseModel:
            one = replace(ctx, cluster_name=cluster)
            return await self._run(operation, one, params.model_copy(update=paging))

        fleet = Fleet(ctx.clusters, ask, seconds=ctx.deadline_seconds)
        selection: list[str] = params.clusters  # type: ignore[attr-defined]
        return await fleet.merge(selection, operation.result, Page.of(params, operation.result))

    def _authorize(self, operation: Operation, ctx: CallContext) -> None:
        if ctx.door not in operation.doors:
            raise Forbidden(
                f"{operation.name} is not offered through {ctx.door.value}",
                hint="use the REST API or the command line",
            )

    async def _record(
        self, operation: Operation, ctx: CallContext, outcome: str, duration: float
    ) -> None:
        logger.info(
            "called %s: %s in %.3f s",
            operation.name,
            outcome,
            duration,
            extra={"operation": operation.name, "door": ctx.door.value, "actor": ctx.actor.name},
        )
        if self._audit is None or operation.effect is Effect.READ:
            return
        await self._audit.record(
            CallRecord(
                operation=operation.name,
                effect=operation.effect.value,
                actor=ctx.actor.name,
                door=ctx.door.value,
                cluster=ctx.cluster_name,
                outcome=outcome,
                duration_seconds=duration,
                request_id=ctx.request_id,
            )
        )


def invalid_arguments(error: ValidationError) -> InvalidArguments:
    """Translate pydantic's complaints: one entry a field, values never echoed."""
    fields = [
        {
            "field": ".".join(str(part) for part in item["loc"]) or "arguments",
            "problem": "unknown field" if item["type"] == "extra_forbidden" else item["msg"],
        }
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    text = "; ".join(f"{item['field']}: {item['problem']}" for item in fields)
    return InvalidArguments(text, hint="correct the named fields", details={"fields": fields})
