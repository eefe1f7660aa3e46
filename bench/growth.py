"""Memory at other sizes of the same cluster: what one more pod costs.

The deployments of the load are scaled, so each pod brings its share of ReplicaSets, EndpointSlices
and events with it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.report import Report
from bench.sync import mirrored
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.load import MADE_BY, MADE_BY_LOAD, REPLICAS

_SECTION = "Growth"
_FACTORS = (1 / 10, 2)
_SETTLE_SECONDS = 1800.0


async def grow(report: Report, control_plane: ControlPlane, kubeconfig: Path, pods: int) -> None:
    """Measure the mirror as it is, then at a tenth and at twice as many pods."""
    sizes = [await mirrored(kubeconfig)]
    for factor in _FACTORS:
        await _scale(control_plane, max(1, round(REPLICAS * factor)), pods)
        sizes.append(await mirrored(kubeconfig))
    sizes.sort(key=lambda one: int(one["pods"]))
    for one in sizes:
        report.add(
            _SECTION,
            f"{one['pods']} pods, {one['objects']} objects",
            f"+{one['grown_bytes'] / 1e6:.0f} MB, synced in {one['seconds']:.2f} s",
        )
    smallest, _, largest = sizes
    each = (largest["grown_bytes"] - smallest["grown_bytes"]) / (largest["pods"] - smallest["pods"])
    report.add(_SECTION, "each further pod, with its share of the rest", f"{each / 1e3:.1f} KB")


async def _scale(control_plane: ControlPlane, replicas: int, pods: int) -> None:
    """Give every deployment of the load this many replicas and wait until they are there."""
    api, bound = control_plane.admin, asyncio.Semaphore(16)
    listed = await api.get("/apis/apps/v1/deployments", labelSelector=f"{MADE_BY}={MADE_BY_LOAD}")
    names = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in listed["items"]]

    async def scale(namespace: str, name: str) -> None:
        async with bound:
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
            await api.patch(path, {"spec": {"replicas": replicas}})

    async def settled() -> bool:
        rows = await api.table("/api/v1/pods", labelSelector="app")
        return len(rows) == len(names) * replicas and all(r["Status"] == "Running" for r in rows)

    async with asyncio.TaskGroup() as group:
        for place in names:
            group.create_task(scale(*place))
    await control_plane.eventually(
        settled, f"{len(names) * replicas} pods", _SETTLE_SECONDS, interval_seconds=5.0
    )
