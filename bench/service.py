"""Starts the service on a cluster; knows its process, its address and its loop's pauses."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from cloudpilot.kube.kinds import KINDS

ROOT = Path(__file__).parents[1]
CLUSTER = "/api/v1/clusters/local"
SETTLE_SECONDS = 300.0


@dataclass(frozen=True)
class Service:
    """A running service."""

    pid: int
    address: str
    token: str
    client: httpx.AsyncClient
    pauses_file: Path

    async def overview(self) -> dict[str, Any]:
        """Return the overview."""
        data: dict[str, Any] = (await self.client.get(f"{CLUSTER}/overview")).json()["data"]
        return data

    async def ready(self, pods: int) -> None:
        """Wait until the mirror is current and holds the pods."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while True:
                data = await self.overview()
                if (data["pods"] or {}).get("total", 0) >= pods and not data["stale"]:
                    return
                await asyncio.sleep(0.1)

    async def start_every_kind(self) -> None:
        """Ask for an object of each kind, which starts the kind; that there is none is no harm."""
        for kind in KINDS:
            await self.client.get(f"{CLUSTER}/objects/{kind}/none/related")

    async def ask(self, path: str, *options: str) -> dict[str, Any]:
        """Have another process ask a path of the cluster again and again; return its report."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.requests", self.address + CLUSTER + path, *options),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await process.communicate(self.token.encode() + b"\n")
        report: dict[str, Any] = json.loads(said)
        assert set(report["statuses"]) <= {"200", "304"}, report
        return report

    def longest_pause(self, since: float) -> float:
        """Return the longest pause of the event loop since a time, in seconds."""
        lines = (line.split() for line in self.pauses_file.read_text().splitlines())
        return max((float(pause) for when, pause in lines if float(when) > since), default=0.0)


@asynccontextmanager
async def serving(kubeconfig: Path) -> AsyncIterator[Service]:
    """Run the service in instant mode in an empty folder."""
    token = secrets.token_urlsafe(32)
    with tempfile.TemporaryDirectory() as folder:
        pauses = Path(folder) / "pauses"
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "K8S_IN_CLUSTER": "false",
            "CLOUDPILOT_TOKEN": token,
            "BENCH_PAUSES": str(pauses),
            "PYTHONPATH": str(ROOT),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.watched", "--mode", "instant", "--port", "0"),
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            address = await _address(process)
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
                yield Service(process.pid, address, token, client, pauses)
        finally:
            process.terminate()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        if found := re.match(rb"address: (http://[^/]+)/", line):
            return found[1].decode()
    raise ChildProcessError("the service ended before it served")
