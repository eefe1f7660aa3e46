"""A raw HTTP client of a simulated cluster, and bounded waiting."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from simulator import SimulatedCluster

Obj = dict[str, Any]
DEADLINE_SECONDS = 10.0


@asynccontextmanager
async def client_of(sim: SimulatedCluster) -> AsyncIterator[httpx.AsyncClient]:
    """An administrator's client."""
    headers = {"Authorization": f"Bearer {sim.token}"}
    async with httpx.AsyncClient(base_url=sim.url, headers=headers, timeout=10.0) as client:
        yield client


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds, for a bounded time."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not holds():  # noqa: ASYNC110 - the condition has no event of its own
            await asyncio.sleep(0.005)


def pods_of(sim: SimulatedCluster, namespace: str, app: str) -> list[Obj]:
    """The pods of an app."""
    return sim.store.list("pods", namespace, {"app": app})


def is_ready(pod: Obj) -> bool:
    """Whether a pod is Ready."""
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def container_of(pod: Obj) -> Obj:
    """The status of a pod's first container."""
    found: Obj = pod["status"]["containerStatuses"][0]
    return found


def events_about(sim: SimulatedCluster, name: str, reason: str) -> list[Obj]:
    """The events with a reason about an object."""
    return [
        event
        for event in sim.store.list("events")
        if event["involvedObject"]["name"] == name and event["reason"] == reason
    ]


def set_image(sim: SimulatedCluster, namespace: str, name: str, image: str) -> None:
    """Change the image of a Deployment's first container."""

    def change(obj: Obj) -> None:
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = image

    assert sim.store.edit("deployments", name, namespace, change)


def scale(sim: SimulatedCluster, namespace: str, name: str, replicas: int) -> None:
    """Change the replicas of a Deployment."""

    def change(obj: Obj) -> None:
        obj["spec"]["replicas"] = replicas

    assert sim.store.edit("deployments", name, namespace, change)
