"""A mirror of every kind behind a chaos proxy, and another client that changes what it mirrors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cloudpilot.cache.mirror import Mirror
from cloudpilot.kube.access import Access, instant
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import KINDS
from cloudpilot.settings import KubernetesSettings
from tests.controlplane.access import ADMIN
from tests.controlplane.api import Api, Object
from tests.controlplane.cluster import ControlPlane

RULES = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch"]}


async def access_through(
    url: str, control_plane: ControlPlane, folder: Path, user: str = ADMIN
) -> Access:
    """The access of a user of the control plane at another address."""
    content = json.loads(control_plane.kubeconfig(user).read_text())
    content["clusters"][0]["cluster"]["server"] = url
    file = folder / f"{user}.kubeconfig"
    file.write_text(json.dumps(content))
    return await instant(KubernetesSettings(kubeconfig=file, in_cluster=False))


@asynccontextmanager
async def mirroring(access: Access, kinds: tuple[str, ...] = tuple(KINDS)) -> AsyncIterator[Mirror]:
    """Mirror these kinds while the block runs; it begins before they are in sync."""
    client = KubeClient(access, connect_seconds=3.0, read_seconds=10.0)
    mirror = Mirror(client, poll_seconds=1.0)
    for name in kinds:
        mirror[name]
    task = asyncio.create_task(mirror.run())
    try:
        yield mirror
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await client.close()


@dataclass
class Editor:
    """Changes objects of a namespace as other people do: makes, changes, deletes, makes anew."""

    api: Api
    namespace: str
    rounds: int = 0
    kept: list[str] = field(default_factory=list)

    async def change(self) -> None:
        """One round: objects of several kinds come, change, go, and come back as others."""
        self.rounds += 1
        name = f"round-{self.rounds}"
        for make in _MADE:
            await self.api.create(make(self.namespace, name))
        if self.kept:
            before = self.kept.pop(0)
            for make in _MADE:
                await self.api.delete(await self.api.path(make(self.namespace, before)))
            # The same names again, but other objects.
            await self.api.create(_config_map(self.namespace, before))
            await self.api.create(_gateway(self.namespace, before))
        path = await self.api.path(_service(self.namespace, name))
        await self.api.patch(path, {"metadata": {"labels": {"changed": "yes"}}})
        self.kept.append(name)


def _metadata(namespace: str, name: str) -> Object:
    return {"name": name, "namespace": namespace, "labels": {"app": name}}


def _config_map(namespace: str, name: str) -> Object:
    metadata = _metadata(namespace, name)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}}


def _service(namespace: str, name: str) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
    metadata = _metadata(namespace, name)
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _pod(namespace: str, name: str) -> Object:
    spec = {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]}
    metadata = _metadata(namespace, name)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _deployment(namespace: str, name: str) -> Object:
    labels = {"app": name}
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod(namespace, name)["spec"]},
    }
    metadata = _metadata(namespace, name)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _gateway(namespace: str, name: str) -> Object:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    spec = {
        "selector": {"app": name},
        "servers": [{"port": port, "hosts": [f"{name}.example.com"]}],
    }
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": _metadata(namespace, name),
        "spec": spec,
    }


_MADE: tuple[Callable[[str, str], Object], ...] = (
    _config_map,
    _service,
    _pod,
    _deployment,
    _gateway,
)
