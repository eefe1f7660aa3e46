"""A process of its own that changes pods of a cluster at a steady rate until it is ended.

It then prints how many changes a second the API server has taken. Each change turns a condition of
one pod's status, round and round over all pods, as a controller of readiness gates would.
"""

from __future__ import annotations

import asyncio
import base64
import signal
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.controlplane.api import Api

STRATEGIC = {"Content-Type": "application/strategic-merge-patch+json"}


def client(kubeconfig: Path) -> Api:
    """Return a client of the user of a kubeconfig of the test bed."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    with tempfile.NamedTemporaryFile(suffix=".crt") as authority:
        authority.write(base64.b64decode(cluster["certificate-authority-data"]))
        authority.flush()
        return Api(cluster["server"], user["token"], Path(authority.name))


async def change(api: Api, per_second: float, ended: asyncio.Event) -> float:
    """Change pods until told to end; when the API server is slower than the rate, at its speed.

    Returns:
        How many changes a second were begun.
    """
    rows = (await api.get("/api/v1/pods", limit=2000))["items"]
    paths = [
        f"/api/v1/namespaces/{row['metadata']['namespace']}/pods/{row['metadata']['name']}/status"
        for row in rows
    ]
    began = time.perf_counter()
    pending: set[asyncio.Task[object]] = set()
    number = 0
    while not ended.is_set():
        path = paths[number % len(paths)]
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        value = "True" if (number // len(paths)) % 2 else "False"
        condition = {"type": "bench.example.com/turn", "status": value, "reason": "Bench"}
        body = {"status": {"conditions": [condition]}}
        number += 1
        task = asyncio.create_task(api.request("PATCH", path, json=body, headers=STRATEGIC))
        pending.add(task)
        task.add_done_callback(pending.discard)
        if len(pending) > 32:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    rate = number / (time.perf_counter() - began)
    await asyncio.gather(*pending)
    return rate


async def main(kubeconfig: Path, per_second: float) -> None:
    """Change pods as the user of a kubeconfig, until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with client(kubeconfig) as api:
        sys.stdout.write(str(await change(api, per_second, ended)))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
