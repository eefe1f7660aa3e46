"""Nodes: health, versions and size."""

from __future__ import annotations

from cloudpilot.arguments import After, Limit, Name, no_such, page
from cloudpilot.context import CallContext
from cloudpilot.monitor.shapes import Fresh, NodeDetail
from cloudpilot.operation import Toolset

toolset = Toolset("nodes")

_KINDS = ("Node", "Pod")


class NodeList(Fresh):
    """The nodes of a cluster."""

    total: int
    ready: int
    """How many of all are ready."""
    shown: int
    next: str | None
    """Give this as `after` for the following page; null on the last."""
    items: list[NodeDetail]


class NodeAnswer(Fresh):
    """One node."""

    node: NodeDetail


@toolset.operation("GET /nodes", reads=_KINDS)
async def list_nodes(ctx: CallContext, limit: Limit = 500, after: After | None = None) -> NodeList:
    """List the nodes with status, roles, versions, capacity and problems.

    Use when someone asks about nodes, machines, capacity or disk pressure.
    """
    monitor = ctx.cluster.monitor
    monitor.require("Node")
    nodes = monitor.nodes()
    shown, following = page(nodes, (node.name for node in nodes), limit, after)
    return NodeList(
        **dict(monitor.freshness("Node")),
        total=len(nodes),
        ready=sum(node.status.startswith("Ready") for node in nodes),
        shown=len(shown),
        next=following,
        items=list(shown),
    )


@toolset.operation("GET /nodes/{name}", reads=_KINDS, example={"name": "worker-1"})
async def get_node(ctx: CallContext, name: Name) -> NodeAnswer:
    """Show one node: status, roles, versions, capacity, problems, taints."""
    monitor = ctx.cluster.monitor
    node = monitor.node(name)
    if node is None:
        monitor.require("Node")
        raise no_such("node", name, (item.name for item in monitor.nodes()))
    return NodeAnswer(**dict(monitor.freshness("Node")), node=node)
