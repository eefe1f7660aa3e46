"""The two servers of the contract suite behind one small raw HTTP client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

Obj = dict[str, Any]
GATEWAYS = "/apis/networking.istio.io/v1"
DEADLINE_SECONDS = 20.0


@dataclass(frozen=True)
class Server:
    """One API server: `http` is an administrator, `stranger` is known but may do nothing."""

    name: str
    http: httpx.AsyncClient
    stranger: httpx.AsyncClient
    anonymous: httpx.AsyncClient

    async def create(self, path: str, obj: Obj, **params: str) -> Obj:
        """Create an object that has to be accepted."""
        return ok(await self.http.post(path, json=obj, params=params))

    async def get(self, path: str, **params: str) -> Obj:
        """Read what has to be there."""
        return ok(await self.http.get(path, params=params))

    async def patch(self, path: str, kind: str, patch: Any, **params: str) -> httpx.Response:
        """Patch in one of the four ways: `json`, `merge`, `strategic-merge`, `apply`."""
        suffix = "apply-patch+yaml" if kind == "apply" else f"{kind}-patch+json"
        headers = {"Content-Type": f"application/{suffix}"}
        content = json.dumps(patch)
        return await self.http.patch(path, content=content, headers=headers, params=params)

    @asynccontextmanager
    async def watch(
        self, path: str, accept: str = "application/json", **params: str
    ) -> AsyncIterator["Watch"]:
        """Watch a collection; the block has the stream."""
        query = {"watch": "1", "timeoutSeconds": "15"} | params
        # A streamed list comes gzipped in several members, of which httpx reads only the first.
        headers = {"Accept": accept, "Accept-Encoding": "identity"}
        async with self.http.stream("GET", path, params=query, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            yield Watch(response.aiter_lines())


@dataclass
class Watch:
    """The events of one watch, each awaited for a bounded time."""

    lines: AsyncIterator[str]

    async def event(self) -> tuple[str, Obj]:
        """The next event that is not a bookmark."""
        while (event := await self.any_event())[0] == "BOOKMARK":
            continue
        return event

    async def any_event(self) -> tuple[str, Obj]:
        """The next event of any type."""
        line = await asyncio.wait_for(anext(self.lines), DEADLINE_SECONDS)
        event = json.loads(line)
        return event["type"], event["object"]

    async def rest(self) -> list[tuple[str, Obj]]:
        """All further events until the server ends the stream."""
        async with asyncio.timeout(DEADLINE_SECONDS):
            events = [json.loads(line) async for line in self.lines]
        return [(event["type"], event["object"]) for event in events]


def ok(response: httpx.Response) -> Obj:
    """The body of an answer that has to be a success."""
    assert response.is_success, response.text
    body: Obj = response.json()
    return body


def refused(response: httpx.Response, code: int, reason: str) -> Obj:
    """The Status of an answer that has to be a failure, its fixed fields checked."""
    body: Obj = response.json()
    assert response.status_code == code, response.text
    assert body["kind"] == "Status"
    assert body["apiVersion"] == "v1"
    assert body["status"] == "Failure"
    assert body["code"] == code
    assert body.get("reason", "") == reason
    return body


async def eventually(probe: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition, for a bounded time."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not await probe():  # noqa: ASYNC110 - the condition lies in another process
            await asyncio.sleep(0.02)


def names(items: Obj) -> list[str]:
    """The names in a list, in its order."""
    return [item["metadata"]["name"] for item in items["items"]]


def containers_of(obj: Obj) -> list[Obj]:
    """The containers of a workload's template."""
    found: list[Obj] = obj["spec"]["template"]["spec"]["containers"]
    return found


# -- objects -----------------------------------------------------------------------------------


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> Obj:
    metadata: Obj = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def pod(name: str, *containers: str) -> Obj:
    images = [{"name": c, "image": "example.com/app:1"} for c in containers or ("app",)]
    spec = {"containers": images, "nodeSelector": {"nowhere": "true"}}
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def deployment(name: str, image: str = "example.com/web:1", replicas: int = 0) -> Obj:
    container = {
        "name": "web",
        "image": image,
        "env": [{"name": "A", "value": "1"}],
        "ports": [{"containerPort": 8080}],
    }
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": name}},
        "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [container]},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": spec,
    }


def gateway(name: str, version: str = "v1", **server: Any) -> Obj:
    port = {"number": 80, "name": "http", "protocol": "HTTP"}
    servers = [{"port": port, "hosts": ["shop.example.com"]} | server]
    return {
        "apiVersion": f"networking.istio.io/{version}",
        "kind": "Gateway",
        "metadata": {"name": name},
        "spec": {"selector": {"app": "ingress"}, "servers": servers},
    }
