"""The service while pods change all the time: lag, pauses of its event loop, CPU.

The lag is measured on a pod of its own: from the API server's answer to the change that makes the
pod fail, or work again, until `GET overview` counts it so.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.changes import STRATEGIC, client
from bench.process import cpu_seconds
from bench.service import ROOT, Service
from tests.controlplane.api import Api

_MARKER = "/api/v1/namespaces/default/pods/bench-marker"
_POLL_SECONDS = 0.02
_SETTLE_SECONDS = 5.0


@dataclass(frozen=True)
class Steady:
    """What was measured."""

    lags: list[float]
    longest_pause: float
    cpu_share: float
    """Of one core, the answers to the measuring itself included."""
    changes_per_second: float
    """What the API server really took."""


async def measure(service: Service, kubeconfig: Path, per_second: float, rounds: int) -> Steady:
    """Measure while another process changes pods."""
    async with (
        client(kubeconfig) as api,
        _marker(api),
        changing(kubeconfig, per_second) as changes,
    ):
        await asyncio.sleep(_SETTLE_SECONDS)
        since, began, cpu = time.time(), time.perf_counter(), cpu_seconds(service.pid)
        lags = [await _lag(service, api, working=bool(number % 2)) for number in range(rounds)]
        share = (cpu_seconds(service.pid) - cpu) / (time.perf_counter() - began)
        pause = service.longest_pause(since)
    return Steady(sorted(lags), pause, share, changes.per_second)


@dataclass
class Changes:
    """What the process that changes pods has done; known once it has ended."""

    per_second: float = 0.0


@asynccontextmanager
async def changing(kubeconfig: Path, per_second: float) -> AsyncIterator[Changes]:
    """Have another process change pods while the block runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.changes", str(kubeconfig), str(per_second)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    changes = Changes()
    try:
        yield changes
    finally:
        if process.returncode is None:
            process.terminate()
        said, _ = await process.communicate()
    changes.per_second = float(said)


@asynccontextmanager
async def _marker(api: Api) -> AsyncIterator[None]:
    await api.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "bench-marker", "namespace": "default"},
            "spec": {"containers": [{"name": "app", "image": "registry.example.com/app:1"}]},
        }
    )
    try:
        async with asyncio.timeout(60):
            while not await _runs(api):  # noqa: ASYNC110 - nothing to wait on
                await asyncio.sleep(0.2)
        yield
    finally:
        await api.delete(_MARKER, gracePeriodSeconds=0)


async def _lag(service: Service, api: Api, *, working: bool) -> float:
    """Make the marker work or fail; return how long until the overview said so, in seconds."""
    before = await _failing(service)
    # Conditions are merged by their type, containers' states have to be sent whole.
    statuses: list[dict[str, Any]] = (await api.get(_MARKER))["status"]["containerStatuses"]
    status = {
        "conditions": [{"type": "Ready", "status": str(working)}],
        "containerStatuses": [{**one, "ready": working} for one in statuses],
    }
    path = f"{_MARKER}/status"
    await api.request("PATCH", path, json={"status": status}, headers=STRATEGIC)
    changed = time.perf_counter()
    wanted = before - 1 if working else before + 1
    async with asyncio.timeout(30):
        while await _failing(service) != wanted:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(_POLL_SECONDS)
    return time.perf_counter() - changed


async def _failing(service: Service) -> int:
    return int((await service.overview())["pods"]["failing"])


async def _runs(api: Api) -> bool:
    return bool((await api.get(_MARKER))["status"].get("containerStatuses"))
