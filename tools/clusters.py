"""The clusters CloudPilot is connected to. Registering one is for humans, never for a model."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from datetime import datetime
from typing import Annotated

from pydantic import Field, SecretStr

from cloudpilot.arguments import ClusterName, need_one
from cloudpilot.cache.connection import ConnectionState
from cloudpilot.clusters import Cluster, Clusters, Registration, credentials_of
from cloudpilot.context import CallContext, Door
from cloudpilot.errors import InvalidArguments
from cloudpilot.kube.kubeconfig import Credentials, checked_credentials, parse_kubeconfig
from cloudpilot.monitor.shapes import Missing, Shape
from cloudpilot.operation import Effect, Scope, Toolset

toolset = Toolset("clusters", Scope.SERVER)

_HUMANS = frozenset({Door.REST, Door.CLI})
_EXAMPLE = {
    "name": "prod",
    "server": "https://prod.example.com:6443",
    "token": "the-token-of-a-read-only-service-account",
    "description": "production, Frankfurt",
}

Description = Annotated[str, Field(max_length=200, description="For people: what it is for")]
Server = Annotated[str, Field(max_length=2048, description="https address of the API server")]
Token = Annotated[SecretStr, Field(max_length=16384, description="Bearer token; never shown again")]
CAData = Annotated[
    str,
    Field(max_length=262144, description="Certificate authority, PEM or base64 of PEM"),
]
Kubeconfig = Annotated[
    SecretStr,
    Field(
        max_length=262144,
        description="Instead of server and token: a kubeconfig without exec, files or proxies",
    ),
]
Context = Annotated[str, Field(max_length=253, description="Context of the kubeconfig to use")]


class ClusterDetail(Shape):
    """One cluster; its credential is never returned."""

    name: str
    description: str
    source: str
    """`registered`, `instant` or `simulated`."""
    server: str
    state: ConnectionState
    """`synced` if all that can be read is being watched; `stale` if a part of it is behind."""
    since: datetime
    """When it entered this state."""
    reason: str
    """Why it is not synced; empty if it is."""
    as_of: datetime | None
    """The time for which everything known of it is true; null if nothing was ever read."""
    kinds: dict[str, int]
    """How many kinds are `live`, `syncing`, `polling`, `forbidden`, `not installed` and
    `unreachable`."""
    missing: list[Missing]
    """Kinds that are absent or behind, each with the reason."""


class ClusterList(Shape):
    """All clusters."""

    total: int
    items: list[ClusterDetail]


class Removed(Shape):
    """What is no longer registered."""

    name: str


@toolset.operation("GET /clusters")
async def list_clusters(ctx: CallContext) -> ClusterList:
    """List the clusters CloudPilot is connected to, with the state of each connection.

    Use when it is not clear which cluster a question is about, or whether one can be reached.
    """
    items = [_detail(cluster) for cluster in ctx.clusters.all()]
    return ClusterList(total=len(items), items=items)


@toolset.operation("GET /clusters/{name}", example={"name": "demo"})
async def get_cluster(ctx: CallContext, name: ClusterName) -> ClusterDetail:
    """Show one cluster: address, connection, and which kinds cannot be read and why."""
    return _detail(ctx.clusters.get(name))


@toolset.operation("POST /clusters", Effect.MANAGE, doors=_HUMANS, example=_EXAMPLE)
async def add_cluster(
    ctx: CallContext,
    name: ClusterName,
    server: Server | None = None,
    token: Token | None = None,
    ca_data: CAData | None = None,
    kubeconfig: Kubeconfig | None = None,
    context: Context | None = None,
    description: Description = "",
) -> ClusterDetail:
    """Register a cluster by address and token, or by a kubeconfig; its credential is sealed.

    The cluster must answer, and must accept the credential, before anything is stored.
    """
    credentials = _credentials(ctx.clusters, server, token, ca_data, kubeconfig, context)
    return _detail(await ctx.clusters.register(Registration(name, description, credentials)))


@toolset.operation(
    "PATCH /clusters/{name}",
    Effect.MANAGE,
    doors=_HUMANS,
    example={"name": "prod", "description": "production, Frankfurt"},
)
async def update_cluster(
    ctx: CallContext,
    name: ClusterName,
    server: Server | None = None,
    token: Token | None = None,
    ca_data: CAData | None = None,
    kubeconfig: Kubeconfig | None = None,
    context: Context | None = None,
    description: Description | None = None,
) -> ClusterDetail:
    """Change a registered cluster. A new address or authority needs its credential sent again.

    Otherwise a stored credential could be sent to somebody else's server.
    """
    need_one("server", (server, token, ca_data, kubeconfig, description))
    stored = await ctx.clusters.stored(name)
    credentials = credentials_of(stored)
    if (server or ca_data) and token is None and kubeconfig is None:
        raise InvalidArguments.field("token", "must be sent again with a new server or authority")
    if kubeconfig is not None or server is not None:
        credentials = _credentials(ctx.clusters, server, token, ca_data, kubeconfig, context)
    elif token is not None:
        credentials = checked_credentials(
            server=stored.server,
            token=token.get_secret_value(),
            ca_data=_pem(ca_data) if ca_data else stored.ca_data,
            tls_server_name=stored.tls_server_name,
            allow_loopback=ctx.clusters.allow_loopback,
        )
    text = stored.description if description is None else description
    return _detail(await ctx.clusters.change(Registration(name, text, credentials)))


@toolset.operation(
    "DELETE /clusters/{name}", Effect.MANAGE, doors=_HUMANS, example={"name": "prod"}
)
async def remove_cluster(ctx: CallContext, name: ClusterName) -> Removed:
    """Forget a registered cluster and its credential; the cluster itself is not touched."""
    await ctx.clusters.remove(name)
    return Removed(name=name)


def _credentials(
    clusters: Clusters,
    server: str | None,
    token: SecretStr | None,
    ca_data: str | None,
    kubeconfig: SecretStr | None,
    context: str | None,
) -> Credentials:
    if kubeconfig is not None:
        for field, value in (("server", server), ("token", token), ("ca_data", ca_data)):
            if value is not None:
                raise InvalidArguments.field(field, "cannot be given together with kubeconfig")
        return parse_kubeconfig(
            kubeconfig.get_secret_value(), context=context, allow_loopback=clusters.allow_loopback
        )
    if server is None:
        raise InvalidArguments.field("server", "is needed, or a kubeconfig")
    return checked_credentials(
        server=server,
        token=token.get_secret_value() if token else None,
        ca_data=_pem(ca_data) if ca_data else None,
        allow_loopback=clusters.allow_loopback,
    )


def _pem(value: str) -> str:
    if "-----BEGIN" in value:
        return value
    try:
        return base64.b64decode("".join(value.split()), validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise InvalidArguments.field("ca_data", "is neither PEM nor base64 of PEM") from None


def _detail(cluster: Cluster) -> ClusterDetail:
    states, connection = cluster.cache.states(), cluster.connection
    fresh = cluster.monitor.freshness(*states)
    return ClusterDetail(
        name=cluster.name,
        description=cluster.description,
        source=cluster.source.value,
        server=cluster.server,
        state=connection.state,
        since=connection.since,
        reason=connection.reason,
        as_of=fresh.as_of,
        kinds=dict(Counter(state.status.value for state in states.values())),
        missing=fresh.missing,
    )
