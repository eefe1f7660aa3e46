"""Istio's Gateways: which there are, and the three writes, each as a plan for a human.

Not for Gateways of the Kubernetes Gateway API, which share the name and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from cloudpilot.arguments import (
    After,
    AnyNamespace,
    Limit,
    Name,
    Namespace,
    every_namespace,
    need_one,
    no_such,
    page,
)
from cloudpilot.context import CallContext
from cloudpilot.errors import ClusterForbidden, ClusterUnavailable, NotFound
from cloudpilot.istio.conflicts import Meeting, Outcome, meetings
from cloudpilot.istio.gateways import (
    bound_to_gateway,
    changed_servers,
    problems_of,
    raw_server,
    refuse_errors,
    secret_warnings,
    servers_of,
    servers_of_mirrored,
    show_server,
)
from cloudpilot.istio.models import Server
from cloudpilot.istio.validation import Problem
from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects.istio import Gateway
from cloudpilot.kube.redact import redact_object
from cloudpilot.kube.timestamps import parse_time
from cloudpilot.monitor.shapes import Fresh, Shape
from cloudpilot.operation import Effect, Toolset
from cloudpilot.plans.plan import Change, Risk

toolset = Toolset("istio_gateways")

_GATEWAY = KINDS["Gateway"]
_DEFAULT_SELECTOR = {"istio": "ingressgateway"}
_MOST_NAMED = 20
_READ = ("Gateway", "Pod")

Selector = Annotated[
    dict[str, str],
    Field(description="Labels of the gateway's pods; the whole selector, not a part of it"),
]
Servers = Annotated[list[Server], Field(min_length=1, max_length=100)]


class GatewayRow(Shape):
    """One Gateway in a line."""

    namespace: str
    name: str
    selector: dict[str, str]
    servers: list[str]
    """Each as `name protocol number: hosts`."""
    created: datetime | None


class GatewayList(Fresh):
    """Gateways of a namespace or of the whole cluster."""

    namespace: str
    """`*` for all."""
    total: int
    shown: int
    next: str | None
    """Give this as `after` for the following page; null on the last."""
    items: list[GatewayRow]


class GatewayAnswer(Shape):
    """One Gateway as the cluster has it now."""

    cluster: str
    namespace: str
    name: str
    created: datetime | None
    generation: int
    labels: dict[str, str]
    annotations: dict[str, str]
    selector: dict[str, str]
    servers: list[dict[str, Any]]
    """In Istio's own fields; `port.name` identifies each."""
    problems: list[str]
    """What Istio would refuse or warn about, and conflicts with other Gateways."""


@toolset.operation("GET /gateways", reads=("Gateway",), example={"namespace": "*"})
async def list_gateways(
    ctx: CallContext,
    namespace: AnyNamespace | None = None,
    limit: Limit = 100,
    after: After | None = None,
) -> GatewayList:
    """List Istio Gateways with their selector, ports and hosts.

    Use when someone asks which Gateways there are, or which one serves a host.
    """
    where = every_namespace(namespace)
    rows = ctx.cluster.cache["Gateway"].list(where)
    shown, following = page(rows, (f"{g.namespace}/{g.name}" for g in rows), limit, after)
    return GatewayList(
        **dict(ctx.cluster.monitor.freshness("Gateway")),
        namespace=where or "*",
        total=len(rows),
        shown=len(shown),
        next=following,
        items=[_row(gateway) for gateway in shown],
    )


@toolset.operation(
    "GET /namespaces/{namespace}/gateways/{name}",
    reads=_READ,
    example={"namespace": "istio-system", "name": "public-gateway"},
)
async def get_gateway(ctx: CallContext, namespace: Namespace, name: Name) -> GatewayAnswer:
    """Show one Istio Gateway whole, with what is wrong with it.

    Use before changing a Gateway, or when someone asks about its TLS, hosts or conflicts.
    """
    live = redact_object(await _live(ctx, namespace, name))
    metadata, spec = live["metadata"], live.get("spec") or {}
    problems = [str(problem) for problem in problems_of(live)]
    problems += [meeting.message for meeting in _meetings(ctx, live)]
    return GatewayAnswer(
        cluster=ctx.cluster.name,
        namespace=namespace,
        name=name,
        created=parse_time(metadata.get("creationTimestamp")),
        generation=metadata.get("generation", 0),
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        selector=spec.get("selector") or {},
        servers=spec.get("servers") or [],
        problems=problems,
    )


@toolset.operation(
    "POST /namespaces/{namespace}/gateways",
    Effect.WRITE,
    reads=_READ,
    example={
        "namespace": "shop",
        "name": "shop",
        "servers": [
            {
                "port": {"number": 8080, "name": "http", "protocol": "HTTP"},
                "hosts": ["new.shop.example.com"],
            }
        ],
    },
)
async def create_gateway(
    ctx: CallContext,
    namespace: Namespace,
    name: Name,
    servers: Servers,
    selector: Selector | None = None,
) -> Change:
    """Propose to create an Istio Gateway; a human approves it before anything is written.

    Use when someone wants traffic for new hosts let in. Without a selector it applies to Istio's
    default ingress gateway. Not for changing a Gateway that exists.
    """
    labels = _DEFAULT_SELECTOR if selector is None else selector
    spec = {
        "selector": labels,
        "servers": [raw_server(server) for server in servers],
    }
    wanted = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
    problems = problems_of(wanted)
    refuse_errors(problems)
    met = _meetings(ctx, wanted)
    return Change(
        verb="create",
        kind=_GATEWAY.name,
        namespace=namespace,
        name=name,
        body={"spec": spec},
        summary=f"create Gateway {namespace}/{name} for {_hosts(servers)}",
        risk=_risk(met, Risk.REVERSIBLE),
        warnings=[
            *_warnings(problems, met),
            *_blind_spots(ctx),
            *_pods_warning(ctx, labels),
            *secret_warnings(servers),
        ],
    )


@toolset.operation(
    "PATCH /namespaces/{namespace}/gateways/{name}",
    Effect.WRITE,
    reads=_READ,
    example={
        "namespace": "istio-system",
        "name": "public-gateway",
        "set_servers": [
            {
                "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                "hosts": ["shop.example.com", "www.shop.example.com"],
            }
        ],
    },
)
async def update_gateway(
    ctx: CallContext,
    namespace: Namespace,
    name: Name,
    set_servers: Annotated[
        Servers | None,
        Field(description="Servers to add or to replace whole, found by their port.name"),
    ] = None,
    remove_servers: Annotated[
        list[str] | None, Field(description="port.name of servers to remove", max_length=100)
    ] = None,
    selector: Selector | None = None,
) -> Change:
    """Propose to change servers or selector of an Istio Gateway; a human approves it first.

    Use when hosts, ports, TLS or the selected pods shall change. Get the Gateway first: a server
    that is set replaces the one of the same port.name whole; servers not named stay as they are.
    """
    need_one("set_servers", (set_servers, remove_servers, selector))
    before = await _live(ctx, namespace, name)
    old = before.get("spec") or {}
    patch: dict[str, Any] = {}
    if set_servers or remove_servers:
        patch["servers"] = changed_servers(
            old.get("servers") or [], set_servers or [], remove_servers or []
        )
    if selector is not None:
        gone: dict[str, str | None] = dict.fromkeys(old.get("selector") or {})
        patch["selector"] = gone | selector
    spec = {**old, **patch}
    if selector is not None:
        spec["selector"] = selector
    after = {"metadata": before["metadata"], "spec": spec}
    known = {(problem.path, problem.message) for problem in problems_of(before)}
    problems = [p for p in problems_of(after) if (p.path, p.message) not in known]
    refuse_errors(problems)
    met_before = {meeting.message for meeting in _meetings(ctx, before)}
    met = [meeting for meeting in _meetings(ctx, after) if meeting.message not in met_before]
    return Change(
        verb="update",
        kind=_GATEWAY.name,
        namespace=namespace,
        name=name,
        body={"spec": patch},
        before=before,
        summary=f"change Gateway {namespace}/{name}: "
        + _parts(set_servers, remove_servers, selector),
        risk=_risk(met, Risk.IMPACTING),
        warnings=[
            *_warnings(problems, met),
            *_blind_spots(ctx),
            *(_pods_warning(ctx, selector) if selector is not None else ()),
            *secret_warnings(set_servers or []),
        ],
    )


@toolset.operation(
    "DELETE /namespaces/{namespace}/gateways/{name}",
    Effect.DESTROY,
    reads=_READ,
    example={"namespace": "istio-system", "name": "public-gateway"},
)
async def delete_gateway(ctx: CallContext, namespace: Namespace, name: Name) -> Change:
    """Propose to delete an Istio Gateway; a human approves it by typing its name.

    The plan names the VirtualServices that lose it. Not for removing one server: update it.
    """
    before = await _live(ctx, namespace, name)
    servers = (before.get("spec") or {}).get("servers") or []
    hosts = sorted({str(host) for server in servers for host in server.get("hosts") or []})
    return Change(
        verb="delete",
        kind=_GATEWAY.name,
        namespace=namespace,
        name=name,
        before=before,
        summary=f"delete Gateway {namespace}/{name}, which serves {_listed(hosts) or 'no host'}",
        risk=Risk.DESTRUCTIVE,
        warnings=await _users_warning(ctx, namespace, name),
    )


async def _live(ctx: CallContext, namespace: str, name: str) -> dict[str, Any]:
    try:
        return await ctx.cluster.client.get(_GATEWAY, name, namespace)
    except NotFound:
        if not ctx.cluster.monitor.known("Gateway"):
            raise
        # A right name in a wrong namespace is the commonest mistake, so names come first.
        gateways = ctx.cluster.cache["Gateway"].list()
        found = [f"{g.namespace}/{g.name}" for g in gateways if g.name == name]
        error = no_such(
            "gateway", f"{namespace}/{name}", (f"{g.namespace}/{g.name}" for g in gateways)
        )
        if found:
            error.hint = f"did you mean {', '.join(found)}?"
            error.details["nearest"] = found
        raise error from None


def _row(gateway: Gateway) -> GatewayRow:
    return GatewayRow(
        namespace=gateway.namespace,
        name=gateway.name,
        selector=gateway.spec.selector,
        servers=[show_server(server) for server in gateway.spec.servers],
        created=parse_time(gateway.metadata.creation_timestamp),
    )


def _meetings(ctx: CallContext, gateway: dict[str, Any]) -> list[Meeting]:
    others = map(servers_of_mirrored, ctx.cluster.cache["Gateway"].list())
    return meetings(servers_of(gateway), others)


def _risk(met: Sequence[Meeting], otherwise: Risk) -> Risk:
    worst = max((meeting.outcome for meeting in met), default=None)
    if worst in (Outcome.DROPPED, Outcome.SHARED):
        return Risk.DESTRUCTIVE
    return Risk.IMPACTING if worst is Outcome.MERGED else otherwise


def _warnings(problems: Iterable[Problem], met: Iterable[Meeting]) -> list[str]:
    return [*(meeting.message for meeting in met), *(str(problem) for problem in problems)]


def _blind_spots(ctx: CallContext) -> list[str]:
    state = ctx.cluster.cache["Gateway"].state
    if state.known:
        return []
    why = f": {state.reason}" if state.reason else ""
    return [f"conflicts with other Gateways were not checked, they are not known{why}"]


def _pods_warning(ctx: CallContext, selector: dict[str, str]) -> list[str]:
    pods = ctx.cluster.cache["Pod"]
    if not pods.state.known:
        return ["whether the selector matches a pod is not known"]
    wanted = selector.items()
    if any(wanted <= pod.metadata.labels.items() for pod in pods.list()):
        return []
    text = ", ".join(f"{key}={value}" for key, value in wanted)
    return [f"the selector {text} matches no pod now, so nothing will listen"]


async def _users_warning(ctx: CallContext, namespace: str, name: str) -> list[str]:
    """Name the VirtualServices that are bound to a Gateway; Istio's webhook never sees a delete."""
    try:
        services = await ctx.cluster.client.list_objects(KINDS["VirtualService"])
    except (ClusterForbidden, ClusterUnavailable, NotFound) as error:
        return [f"which VirtualServices lose this Gateway is not known: {error.message}"]
    users = bound_to_gateway(services, namespace, name)
    return [f"these VirtualServices lose their Gateway: {_listed(users)}"] if users else []


def _hosts(servers: Iterable[Server]) -> str:
    return _listed(sorted({host for server in servers for host in server.hosts}))


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _parts(
    setting: Sequence[Server] | None,
    removing: Sequence[str] | None,
    selector: dict[str, str] | None,
) -> str:
    parts = []
    if setting:
        parts.append("set " + _listed([server.port.name for server in setting]))
    if removing:
        parts.append("remove " + _listed(removing))
    if selector is not None:
        parts.append("selector")
    return ", ".join(parts)
