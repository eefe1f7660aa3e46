"""A whole cluster at a glance."""

from __future__ import annotations

from cloudpilot.context import CallContext
from cloudpilot.monitor.monitor import OVERVIEW
from cloudpilot.monitor.shapes import ResourceOverview
from cloudpilot.operation import Toolset

toolset = Toolset("overview")


@toolset.operation("GET /overview", reads=OVERVIEW)
async def get_overview(ctx: CallContext) -> ResourceOverview:
    """Show the cluster at a glance: nodes, pods by phase, workloads, CPU and memory.

    Use when someone asks how the cluster is, or how many of something there are. Not for what is
    wrong with one pod: list the failing pods.
    """
    return ctx.cluster.monitor.overview()
