"""The one door each operation is called through, and what nobody can walk around in it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from cloudpilot.clusters import Cluster
from cloudpilot.context import Actor, CallContext, Door
from cloudpilot.errors import (
    ApprovalRequired,
    CloudPilotError,
    DeadlineExceeded,
    Forbidden,
    InvalidArguments,
    NotFound,
)
from cloudpilot.operation import CallRecord, Catalog, Effect, Scope, Toolset
from cloudpilot.plans.plan import Change, Plan, PlanState, Risk
from cloudpilot.runtime import Runtime
from simulator import SimulatedCluster


class Said(BaseModel):
    """What an operation of these tests answers."""

    text: str


class Ledger:
    """Keeps call records in memory."""

    def __init__(self) -> None:
        self.entries: list[CallRecord] = []

    async def record(self, entry: CallRecord) -> None:
        self.entries.append(entry)


def toolset() -> Toolset:
    """Operations that say, wait, fail, change and manage."""
    made = Toolset("tests", Scope.SERVER)

    @made.operation("GET /say/{name}", example={"name": "x"})
    async def say(
        ctx: CallContext,
        name: Annotated[str, Field(max_length=20)],
        times: int = 1,
        token: SecretStr | None = None,
    ) -> Said:
        """Say something.

        More about it.
        """
        return Said(text=" ".join([name] * times))

    @made.operation("GET /wait")
    async def wait_long(ctx: CallContext) -> Said:
        """Wait for ever."""
        await asyncio.Event().wait()
        raise AssertionError

    @made.operation("GET /fail")
    async def fail(ctx: CallContext, known: bool = True) -> Said:
        """Fail."""
        raise NotFound("nothing") if known else ZeroDivisionError

    @made.operation("POST /manage", Effect.MANAGE, doors=frozenset({Door.REST, Door.CLI}))
    async def manage(ctx: CallContext, ok: bool = True) -> Said:
        """Change our own records."""
        if not ok:
            raise NotFound("nothing")
        return Said(text="done")

    @made.operation("POST /lie", Effect.WRITE)
    async def lie(ctx: CallContext) -> Said:
        """Claim to have written."""
        return Said(text="written")

    return made


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def catalog(runtime: Runtime, ledger: Ledger) -> Catalog:
    return Catalog([toolset()], runtime.plans, ledger)


async def said(catalog: Catalog, ctx: CallContext, **arguments: Any) -> str:
    answer = await catalog.call("say", ctx, arguments)
    assert isinstance(answer, Said)
    return answer.text


async def test_operation_runs_with_its_defaults(catalog: Catalog, context: CallContext) -> None:
    assert await said(catalog, context, name="a") == "a"
    assert await said(catalog, context, name="a", times=2) == "a a"


def test_operation_is_described_by_its_function(catalog: Catalog) -> None:
    operation = catalog.find("say")
    assert (operation.method, operation.path, operation.path_params) == (
        "GET",
        "/say/{name}",
        ("name",),
    )
    assert operation.summary == "Say something."
    assert operation.doc.endswith("More about it.")
    assert operation.result is Said
    assert catalog.find("lie").result is Plan
    assert [op.name for op in catalog] == sorted(op.name for op in catalog)


async def test_unknown_operation_names_the_nearest(catalog: Catalog, context: CallContext) -> None:
    with pytest.raises(NotFound) as missed:
        await catalog.call("manag", context, {})
    assert missed.value.hint == "did you mean manage?"


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({}, ["name"]),
        ({"name": "a", "approved": True}, ["approved"]),
        ({"name": "a", "ctx": None}, ["ctx"]),
        ({"name": "a", "__proto__": {}}, ["__proto__"]),
        ({"name": 7, "times": "many", "extra": 1}, ["name", "times", "extra"]),
        ({"name": "x" * 21}, ["name"]),
        ({"name": None}, ["name"]),
    ],
)
async def test_wrong_arguments_are_named_together(
    catalog: Catalog, context: CallContext, arguments: dict[str, Any], fields: list[str]
) -> None:
    with pytest.raises(InvalidArguments) as refused:
        await catalog.call("say", context, arguments)
    assert sorted(item["field"] for item in refused.value.details["fields"]) == sorted(fields)


async def test_wrong_values_are_not_echoed(catalog: Catalog, context: CallContext) -> None:
    with pytest.raises(InvalidArguments) as refused:
        arguments = {"name": ["c4nary"], "token": {"a": "c4nary"}, "times": "c4nary"}
        await catalog.call("say", context, arguments)
    assert "c4nary" not in f"{refused.value!r} {refused.value.details}"


async def test_result_is_redacted(catalog: Catalog, context: CallContext) -> None:
    assert await said(catalog, context, name="token=hunter22") == "token=[masked]"


async def test_deadline_ends_an_operation(
    catalog: Catalog, context: CallContext, ledger: Ledger
) -> None:
    with pytest.raises(DeadlineExceeded, match="wait_long"):
        await catalog.call("wait_long", replace(context, deadline_seconds=0.05), {})


async def test_closed_door_is_refused(catalog: Catalog, runtime: Runtime, ledger: Ledger) -> None:
    with pytest.raises(Forbidden, match="chat"):
        await catalog.call("manage", runtime.context(Actor("local"), Door.CHAT), {})
    assert [entry.outcome for entry in ledger.entries] == ["Forbidden"]


async def test_what_changes_something_is_audited_and_reads_are_not(
    catalog: Catalog, context: CallContext, ledger: Ledger
) -> None:
    await catalog.call("say", context, {"name": "a"})
    await catalog.call("manage", context, {})
    for arguments in ({"ok": False}, {"extra": 1}):
        with pytest.raises(CloudPilotError):
            await catalog.call("manage", context, arguments)
    assert [(e.operation, e.outcome) for e in ledger.entries] == [
        ("manage", "ok"),
        ("manage", "NotFound"),
        ("manage", "InvalidArguments"),
    ]
    first = ledger.entries[0]
    assert (first.actor, first.door, first.effect) == ("local", "rest", "manage")
    assert first.request_id == context.request_id
    assert first.duration_seconds >= 0


async def test_errors_pass_unchanged(catalog: Catalog, context: CallContext) -> None:
    with pytest.raises(NotFound, match="nothing"):
        await catalog.call("fail", context, {})
    with pytest.raises(ZeroDivisionError):
        await catalog.call("fail", context, {"known": False})


async def test_write_that_returns_no_change_is_a_fault(
    catalog: Catalog, context: CallContext, ledger: Ledger
) -> None:
    with pytest.raises(TypeError, match="must return a Change"):
        await catalog.call("lie", context, {})
    assert [entry.outcome for entry in ledger.entries] == ["error"]


async def test_write_only_proposes(
    runtime: Runtime, context: CallContext, cluster: Cluster, simulated: SimulatedCluster
) -> None:
    writes = Toolset("writes")

    @writes.operation("DELETE /it", Effect.DESTROY)
    async def delete_it(ctx: CallContext) -> Change:
        """Delete it."""
        before = await ctx.cluster.client.get(ctx.cluster.cache["Gateway"].kind, "it", "default")
        return Change(
            verb="delete",
            kind="Gateway",
            namespace="default",
            name="it",
            before=before,
            summary="delete it",
            risk=Risk.DESTRUCTIVE,
        )

    simulated.store.create(
        {
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": {"name": "it", "namespace": "default"},
            "spec": {"selector": {"istio": "x"}, "servers": []},
        }
    )
    ledger = Ledger()
    catalog = Catalog([writes], runtime.plans, ledger)
    with pytest.raises(ApprovalRequired) as proposed:
        await catalog.call("delete_it", context, {})
    assert proposed.value.plan.state is PlanState.PROPOSED
    assert simulated.store.get("gateways.networking.istio.io", "it", "default")
    assert [entry.outcome for entry in ledger.entries] == ["proposed"]


def test_two_operations_of_one_name_stop_the_start(runtime: Runtime) -> None:
    with pytest.raises(ValueError, match="two operations are named 'say'"):
        Catalog([toolset(), toolset()], runtime.plans)


async def test_cluster_must_be_named_unless_there_is_one(
    runtime: Runtime, context: CallContext
) -> None:
    with pytest.raises(InvalidArguments, match="none is registered"):
        _ = context.cluster
    with pytest.raises(NotFound):
        _ = replace(context, cluster_name="prod").cluster
