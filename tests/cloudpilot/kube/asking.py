"""One request to a server that answers what the test says."""

from __future__ import annotations

from typing import Any

from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from tests.fakes.scripted_server import Answer, Reply, ScriptedServer

NODES = "/api/v1/nodes"
GATEWAYS = "/apis/networking.istio.io/v1/namespaces/default/gateways"


def client_of(
    url: str, token: str = "a-token", *, connect: float = 1, read: float = 1
) -> KubeClient:
    return KubeClient(direct(url, token), connect_seconds=connect, read_seconds=read)


async def ask(answer: Answer, method: str = "GET", path: str = NODES, **options: Any) -> Any:
    """One request to a scripted server; returns the answer or raises, and counts one request."""
    async with ScriptedServer(answer) as server:
        client = client_of(server.url)
        try:
            return await client.request(method, path, **options)
        finally:
            await client.close()
            assert len(server.requests) == 1


def always(body: Any = b"", status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _asked: Reply(body, status, named)
