"""Namespaces and what they hold."""

from __future__ import annotations

from cloudpilot.arguments import After, Limit, Namespace, no_such, page
from cloudpilot.context import CallContext
from cloudpilot.monitor.shapes import Fresh, NamespaceDetail
from cloudpilot.operation import Toolset

toolset = Toolset("namespaces")

_KINDS = ("Namespace", "Pod", "Deployment", "Service")


class NamespaceList(Fresh):
    """The namespaces of a cluster."""

    total: int
    shown: int
    next: str | None
    """Give this as `after` for the following page; null on the last."""
    items: list[NamespaceDetail]


class NamespaceAnswer(Fresh):
    """One namespace."""

    namespace: NamespaceDetail


@toolset.operation("GET /namespaces", reads=_KINDS)
async def list_namespaces(
    ctx: CallContext, limit: Limit = 500, after: After | None = None
) -> NamespaceList:
    """List the namespaces with status and the number of pods, failing pods, deployments, services.

    Use when someone asks which namespaces there are or where something fails.
    """
    monitor = ctx.cluster.monitor
    monitor.require("Namespace")
    found = monitor.namespaces()
    shown, following = page(found, (item.name for item in found), limit, after)
    return NamespaceList(
        **dict(monitor.freshness(*_KINDS)),
        total=len(found),
        shown=len(shown),
        next=following,
        items=list(shown),
    )


@toolset.operation("GET /namespaces/{namespace}", reads=_KINDS, example={"namespace": "shop"})
async def get_namespace(ctx: CallContext, namespace: Namespace) -> NamespaceAnswer:
    """Show one namespace: status and how many pods, deployments and services it holds."""
    monitor = ctx.cluster.monitor
    found = monitor.namespace(namespace)
    if found is None:
        monitor.require("Namespace")
        raise no_such("namespace", namespace, (item.name for item in monitor.namespaces()))
    return NamespaceAnswer(**dict(monitor.freshness(*_KINDS)), namespace=found)
