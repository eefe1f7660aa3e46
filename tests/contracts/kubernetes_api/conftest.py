"""Every test of this folder runs twice: on the simulator and on a real kube-apiserver.

Where the control plane is not built, the real half is skipped with the reason.
"""

import base64
import json
import secrets
import ssl
from collections.abc import AsyncIterator

import httpx
import pytest

from simulator import SimulatedCluster
from tests.contracts.kubernetes_api.server import (
    GATEWAYS,
    Server,
    config_map,
    deployment,
    eventually,
    gateway,
)
from tests.controlplane.access import ADMIN, SERVICE_USER
from tests.controlplane.cluster import ControlPlane

_TIMEOUT = httpx.Timeout(30.0)


@pytest.fixture(scope="session")
async def simulated_server() -> AsyncIterator[Server]:
    async with SimulatedCluster("empty", bookmark_seconds=1.0) as sim:

        def client(token: str) -> httpx.AsyncClient:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return httpx.AsyncClient(base_url=sim.url, headers=headers, timeout=_TIMEOUT)

        async with (
            client(sim.token) as admin,
            client(sim.stranger_token) as stranger,
            client("") as anonymous,
        ):
            yield Server("simulator", admin, stranger, anonymous)


@pytest.fixture(scope="session")
async def real_server(control_plane: ControlPlane) -> AsyncIterator[Server]:
    access = control_plane.access
    kubeconfig = json.loads(control_plane.kubeconfig(ADMIN).read_text())
    authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
    verify = ssl.create_default_context(cadata=base64.b64decode(authority).decode())

    def client(token: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.AsyncClient(
            base_url=control_plane.url, headers=headers, timeout=_TIMEOUT, verify=verify
        )

    async with (
        client(access.token(ADMIN)) as admin,
        client(access.token(SERVICE_USER)) as stranger,
        client("") as anonymous,
    ):
        yield Server("kube-apiserver", admin, stranger, anonymous)


@pytest.fixture(
    params=["simulator", pytest.param("kube-apiserver", marks=pytest.mark.e2e)],
)
def server(request: pytest.FixtureRequest) -> Server:
    """The server under test."""
    fixture = {"simulator": "simulated_server", "kube-apiserver": "real_server"}[request.param]
    found: Server = request.getfixturevalue(fixture)
    return found


@pytest.fixture
async def namespace(server: Server) -> AsyncIterator[str]:
    """The name of a new namespace in which pods can be created."""
    name = f"contract-{secrets.token_hex(4)}"
    obj = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await server.create("/api/v1/namespaces", obj)

    async def furnished() -> bool:
        wanted = ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
        found = [await server.http.get(f"/api/v1/namespaces/{name}/{path}") for path in wanted]
        return all(response.is_success for response in found)

    await eventually(furnished)
    yield name
    await server.http.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
async def one(server: Server, namespace: str) -> str:
    """The path of a ConfigMap with two keys."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    await server.create(path, config_map("one", a="1", b="2"))
    return f"{path}/one"


@pytest.fixture
async def web(server: Server, namespace: str) -> str:
    """The path of a Deployment without replicas."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    await server.create(path, deployment("web"))
    return f"{path}/web"


@pytest.fixture
async def gate(server: Server, namespace: str) -> str:
    """The path of a Gateway."""
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    await server.create(path, gateway("gate"))
    return f"{path}/gate"
