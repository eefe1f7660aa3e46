"""The mirror and the overview on 1,000 nodes and 10,000 pods of a real control plane.

Run by `make bench`. Everything is measured in one run on one machine: the API server's own time to
send the pods' JSON, `kubectl get pods -A`, our first full sync, the memory of the whole service,
and the latency of `GET overview` over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from bench.process import peak_bytes, resident_bytes
from cloudpilot.kube.access import instant
from cloudpilot.settings import KubernetesSettings
from tests.controlplane.assets import kubectl_path
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.load import populate

ROOT = Path(__file__).parents[1]
ROUNDS = 3
REQUESTS = 300
CHANGES = 20
READ = ["get", "list", "watch"]
RULES = [
    {
        "apiGroups": [""],
        "resources": ["nodes", "namespaces", "pods", "services", "events", "configmaps", "secrets"],
        "verbs": READ,
    },
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": READ},
    {"apiGroups": ["networking.istio.io"], "resources": ["gateways"], "verbs": READ},
]


async def main(nodes: int, pods: int) -> None:
    """Fill a cluster and measure."""
    async with ControlPlane.running() as control_plane:
        print(f"filling a cluster with {nodes} nodes and {pods} pods ...", flush=True)
        load = await populate(control_plane, nodes, pods)
        print(f"filled in {load.nodes_seconds + load.pods_seconds:.0f} s", flush=True)
        async with control_plane.granted(*RULES):
            kubeconfig = control_plane.kubeconfig("cloudpilot")
            sent, size = await _sending(kubeconfig)
            print(f"API server sends the pods as JSON: {sent:.2f} s, {size / 1e6:.0f} MB")
            await _kubectl(kubeconfig)
            await _sync(kubeconfig, sent)
            await _service(control_plane, kubeconfig, pods)


async def _sending(kubeconfig: Path) -> tuple[float, int]:
    """Time the API server sending all pods in one answer to a client that drops the bytes."""
    access = await instant(KubernetesSettings(kubeconfig=kubeconfig, in_cluster=False))
    server = urlsplit(access.configuration.host)
    headers = {"Authorization": await access.authorization() or "", "Accept": "application/json"}
    context = ssl.create_default_context(cafile=access.configuration.ssl_ca_cert)

    def once() -> tuple[float, int]:
        connection = HTTPSConnection(str(server.hostname), server.port, context=context)
        started, size = time.perf_counter(), 0
        connection.request("GET", "/api/v1/pods", headers=headers)
        answer = connection.getresponse()
        buffer = bytearray(1 << 20)
        while count := answer.readinto(buffer):
            size += count
        connection.close()
        return time.perf_counter() - started, size

    runs = [await asyncio.to_thread(once) for _ in range(ROUNDS)]
    return statistics.median(seconds for seconds, _ in runs), runs[0][1]


async def _kubectl(kubeconfig: Path) -> None:
    command = [str(kubectl_path()), f"--kubeconfig={kubeconfig}", "get", "pods", "-A"]
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.DEVNULL)
        assert await process.wait() == 0
        times.append(time.perf_counter() - started)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"kubectl get pods -A: {statistics.median(times):.2f} s, {memory / 1e6:.0f} MB peak")


async def _sync(kubeconfig: Path, sent: float) -> None:
    reports = []
    for _ in range(ROUNDS):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.sync", str(kubeconfig), cwd=ROOT, stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
        reports.append(json.loads(output))
    report = sorted(reports, key=lambda item: float(item["seconds"]))[len(reports) // 2]
    assert report["settled"], "the mirror did not get in sync"
    print(
        f"first full sync of every kind: {report['seconds']:.2f} s"
        f" ({report['seconds'] / sent:.2f}x the API server's own sending),"
        f" {report['cpu_seconds']:.2f} s of CPU, +{report['grown_bytes'] / 1e6:.0f} MB,"
        f" {report['pods']} pods, {report['nodes']} nodes"
    )


async def _service(control_plane: ControlPlane, kubeconfig: Path, pods: int) -> None:
    async with _started(kubeconfig) as (process, client):
        while True:
            answer = await client.get("/api/v1/clusters/local/overview")
            data = answer.json().get("data") or {}
            if (data.get("pods") or {}).get("total", 0) >= pods and not data["stale"]:
                break
            await asyncio.sleep(0.1)
        times = []
        for _ in range(REQUESTS):
            started = time.perf_counter()
            answer = await client.get("/api/v1/clusters/local/overview")
            times.append(time.perf_counter() - started)
            assert answer.status_code == 200
        times.sort()
        print(
            f"GET overview: p50 {times[len(times) // 2] * 1e3:.2f} ms,"
            f" p99 {times[int(len(times) * 0.99)] * 1e3:.2f} ms over {REQUESTS} requests"
        )
        await _lag(control_plane, client)
        print(
            f"the whole service: {resident_bytes(process.pid) / 1e6:.0f} MB resident,"
            f" {peak_bytes(process.pid) / 1e6:.0f} MB at its peak"
        )


async def _lag(control_plane: ControlPlane, client: httpx.AsyncClient) -> None:
    """Time from the API server's answer to a create until our own REST API shows the object."""
    lags = []
    for index in range(CHANGES):
        name = f"lag-{index}"
        metadata = {"name": name}
        await control_plane.admin.create(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        )
        created = time.perf_counter()
        path = f"/api/v1/clusters/local/namespaces/{name}"
        while (await client.get(path)).status_code != 200:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.002)
        lags.append(time.perf_counter() - created)
    lags.sort()
    print(
        f"a new namespace is shown after: p50 {lags[len(lags) // 2] * 1e3:.0f} ms,"
        f" at most {lags[-1] * 1e3:.0f} ms over {CHANGES} changes"
    )


@asynccontextmanager
async def _started(
    kubeconfig: Path,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """Run `main.py` in instant mode in an empty folder and talk to it."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "K8S_IN_CLUSTER": "false"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "main.py"), "--mode", "instant", "--port", "0"),
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            said = b""
            while b"address:" not in said.rpartition(b"\n")[0]:
                said += await process.stdout.readline()
            token = re.search(rb"token: (\S+)", said)
            address = re.search(rb"address: (http://[^/]+)/", said)
            assert token and address, said
            headers = {"Authorization": f"Bearer {token[1].decode()}"}
            base = address[1].decode()
            async with httpx.AsyncClient(base_url=base, headers=headers, timeout=30) as client:
                yield process, client
        finally:
            process.terminate()
            await process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10_000)
    asked = parser.parse_args()
    asyncio.run(main(asked.nodes, asked.pods))
