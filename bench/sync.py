"""A process of its own that mirrors a cluster once and prints how long that took, as JSON.

The time counts from the first request to the moment every kind is in sync; imports do not count.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from bench.process import resident_bytes
from cloudpilot.clusters import Cluster, ClusterSource
from cloudpilot.kube import access
from cloudpilot.settings import KubernetesSettings


async def main(kubeconfig: str) -> None:
    """Mirror the cluster of a kubeconfig and report."""
    settings = KubernetesSettings(kubeconfig=Path(kubeconfig), in_cluster=False)
    before = resident_bytes("self")
    cluster = Cluster("bench", await access.instant(settings), ClusterSource.INSTANT, settings)
    started, cpu = time.perf_counter(), time.process_time()
    cluster.start()
    settled = await cluster.cache.wait_settled(300)
    report = {
        "settled": settled,
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu,
        "pods": len(cluster.cache["Pod"]),
        "nodes": len(cluster.cache["Node"]),
        "grown_bytes": resident_bytes("self") - before,
    }
    await cluster.close()
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
