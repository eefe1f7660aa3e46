"""What is measured beside us: the API server's own sending, kubectl, the official client."""

from __future__ import annotations

import asyncio
import json
import resource
import ssl
import statistics
import sys
import time
from collections.abc import Iterable
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.service import ROOT
from cloudpilot.kube.access import instant
from cloudpilot.kube.client import JSON
from cloudpilot.kube.guard import METADATA_LIST
from cloudpilot.kube.kinds import KINDS, Kind
from cloudpilot.settings import KubernetesSettings
from tests.controlplane.assets import kubectl_path

ROUNDS = 3


async def sending(kubeconfig: Path, kinds: Iterable[str] = KINDS) -> tuple[float, int]:
    """Time the API server sending whole lists to a client that drops the bytes.

    Returns:
        The median of the seconds, and the bytes.
    """
    access = await instant(KubernetesSettings(kubeconfig=kubeconfig, in_cluster=False))
    server = urlsplit(access.configuration.host)
    token = await access.authorization() or ""
    context = ssl.create_default_context(cafile=access.configuration.ssl_ca_cert)

    def once() -> tuple[float, int]:
        connection = HTTPSConnection(str(server.hostname), server.port, context=context)
        started, size = time.perf_counter(), 0
        buffer = bytearray(1 << 20)
        for kind in map(KINDS.__getitem__, kinds):
            accept = METADATA_LIST if kind.metadata_only else JSON
            for path in _paths(kind):
                headers = {"Authorization": token, "Accept": accept}
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                while count := answer.readinto(buffer):
                    size += count
                if answer.status == 200:
                    break
        connection.close()
        return time.perf_counter() - started, size

    runs = [await asyncio.to_thread(once) for _ in range(ROUNDS)]
    return statistics.median(seconds for seconds, _ in runs), runs[0][1]


def _paths(kind: Kind) -> list[str]:
    roots = [f"/apis/{kind.group}/{v}" if kind.group else f"/api/{v}" for v in kind.versions]
    return [f"{root}/{kind.plural}" for root in roots]


async def kubectl(kubeconfig: Path) -> tuple[float, int]:
    """Run `kubectl get pods -A`; return the median of the seconds and the peak bytes."""
    command = [str(kubectl_path()), f"--kubeconfig={kubeconfig}", "get", "pods", "-A"]
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
        assert await process.wait() == 0
        times.append(time.perf_counter() - started)
    # The largest child so far; nothing larger has ended before this is asked.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return statistics.median(times), peak


async def typed(kubeconfig: Path) -> dict[str, Any]:
    """List all pods with the official client in a process of its own; return its report."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.typed", str(kubeconfig)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    report: dict[str, Any] = json.loads(said)
    return report
