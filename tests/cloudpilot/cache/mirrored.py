"""A running mirror of a simulated cluster, for the tests of what the mirror does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient


@asynccontextmanager
async def mirrored(
    url: str, token: str, *, poll_seconds: float = 0.2, idle_seconds: float = 900
) -> AsyncIterator[Mirror]:
    """Mirror the cluster at `url` while the block runs."""
    client = KubeClient(direct(url, token), connect_seconds=2, read_seconds=5)
    mirror = Mirror(client, poll_seconds=poll_seconds, idle_seconds=idle_seconds)
    task = asyncio.create_task(mirror.run())
    try:
        yield mirror
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


def status(mirror: Mirror, kind: str) -> SyncStatus:
    """How current a started kind is."""
    return mirror.states()[kind].status


def names(mirror: Mirror, kind: str) -> set[str]:
    """The names of a kind's objects; reading them is a use of the kind."""
    return {obj.name for obj in mirror[kind].list()}


def namespace(name: str) -> dict[str, Any]:
    """A Namespace as it is created."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
