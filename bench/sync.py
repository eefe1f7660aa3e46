"""A process of its own that mirrors a cluster once and prints how long that took, as JSON.

Every kind there is is started. The time counts from the first request to the moment each is in
sync or known not to be there; imports do not count.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from bench.process import peak_bytes, resident_bytes
from bench.service import ROOT
from cloudpilot.clusters import Cluster, ClusterSource
from cloudpilot.kube import access
from cloudpilot.kube.kinds import KINDS
from cloudpilot.settings import KubernetesSettings


async def mirrored(kubeconfig: Path) -> dict[str, Any]:
    """Have another process mirror a cluster; return its report."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.sync", str(kubeconfig)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await process.communicate()
    report: dict[str, Any] = json.loads(said)
    assert report["settled"], "the mirror did not get in sync"
    return report


async def main(kubeconfig: str) -> None:
    """Mirror the cluster of a kubeconfig and report."""
    settings = KubernetesSettings(kubeconfig=Path(kubeconfig), in_cluster=False)
    before = resident_bytes("self")
    cluster = Cluster("bench", await access.instant(settings), ClusterSource.INSTANT, settings)
    started, cpu = time.perf_counter(), time.process_time()
    cluster.start()
    settled = await cluster.cache.wait_settled(300, KINDS)
    report = {
        "settled": settled,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "pods": len(cluster.cache["Pod"]),
        "objects": sum(len(cluster.cache[kind]) for kind in KINDS),
        "grown_bytes": resident_bytes("self") - before,
        "peak_bytes": peak_bytes("self"),
    }
    await cluster.close()
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
