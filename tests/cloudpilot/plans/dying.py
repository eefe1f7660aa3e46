"""A process that approves a plan and kills itself at a named step; run by `test_crashes`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from cloudpilot.clusters import ClusterSource
from cloudpilot.context import Actor, Door
from cloudpilot.db.audit import AuditLog
from cloudpilot.errors import ApprovalRequired
from cloudpilot.kube import access as kube_access
from cloudpilot.kube.access import Access
from cloudpilot.operation import Catalog
from cloudpilot.plans.planner import Plans
from cloudpilot.runtime import Runtime
from cloudpilot.settings import KubernetesSettings, load_settings
from tools import toolsets


async def main(task: dict[str, Any]) -> None:
    """Propose and approve; never come back if the step is reached."""

    def crashpoint(name: str) -> None:
        if name == task["point"]:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = load_settings(overrides=task["settings"], environ={})
    async with Runtime.open(settings, toolsets()) as runtime:
        found = runtime.clusters.attach(
            task["cluster"], await _access(task), ClusterSource.SIMULATED
        )
        if not await found.cache.wait_settled(20):
            raise TimeoutError("the mirror is not in sync")
        audit = AuditLog(runtime.database)
        plans = Plans(
            runtime.database, runtime.clusters, audit, settings.agent, crashpoint=crashpoint
        )
        human = Actor("local")
        context = runtime.context(human, Door.REST, cluster=task["cluster"])
        try:
            await Catalog(toolsets(), plans, audit).call(
                task["operation"], context, task["arguments"]
            )
        except ApprovalRequired as proposed:
            plan = proposed.plan
            await plans.approve(plan.id, plan.digest, human, plan.confirmation)


async def _access(task: dict[str, Any]) -> Access:
    if "url" in task:
        return kube_access.direct(task["url"], task["token"])
    settings = KubernetesSettings(kubeconfig=Path(task["kubeconfig"]), in_cluster=False)
    return await kube_access.instant(settings)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
