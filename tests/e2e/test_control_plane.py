"""The test bed itself: what the other end-to-end tests take for granted is really there."""

import os
import signal

import httpx
import pytest
import yaml

from tests.controlplane.access import SERVICE_USER
from tests.controlplane.api import ApiError, Object
from tests.controlplane.cluster import ControlPlane
from tests.controlplane.processes import ComponentDied

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: %(namespace)s}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.example.com/web:1.0
        ports: [{containerPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: %(namespace)s}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""

GATEWAY = """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: %(namespace)s}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: %(port)s, name: http, protocol: HTTP}
    hosts: ["shop.example.com"]
"""

AMBIGUOUS_POLICY = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: both, namespace: %(namespace)s}
spec:
  selector: {matchLabels: {app: web}}
  targetRefs: [{kind: Service, name: web}]
"""

CONFIG_MAPS = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "get"]}


async def test_nodes_are_ready(control_plane: ControlPlane) -> None:
    rows = await control_plane.admin.table("/api/v1/nodes")
    assert len(rows) >= 3
    assert {row["Status"] for row in rows} == {"Ready"}


async def test_pods_of_a_deployment_run_behind_its_service(
    control_plane: ControlPlane, namespace: str
) -> None:
    pods = await running_pods(control_plane, namespace)
    addresses = {pod["status"]["podIP"] for pod in pods}
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    async def published() -> bool:
        items = (await control_plane.admin.get(slices))["items"]
        endpoints = [endpoint for item in items for endpoint in item["endpoints"] or []]
        return addresses == {address for each in endpoints for address in each["addresses"]}

    await control_plane.eventually(published, "EndpointSlice with both pods")


async def test_istio_gateway_is_accepted(control_plane: ControlPlane, namespace: str) -> None:
    [gateway] = await control_plane.admin.apply(GATEWAY % {"namespace": namespace, "port": 80})
    assert gateway["spec"]["servers"][0]["hosts"] == ["shop.example.com"]


async def test_gateway_that_breaks_the_schema_is_refused(
    control_plane: ControlPlane, namespace: str
) -> None:
    broken = yaml.safe_load(GATEWAY % {"namespace": namespace, "port": '"eighty"'})
    with pytest.raises(ApiError, match="must be of type integer") as refused:
        await control_plane.admin.create(broken)
    assert refused.value.status == 422


async def test_policy_that_breaks_a_cel_rule_is_refused(
    control_plane: ControlPlane, namespace: str
) -> None:
    with pytest.raises(ApiError, match="only one of targetRefs or selector can be set"):
        await control_plane.admin.apply(AMBIGUOUS_POLICY % {"namespace": namespace})


async def test_pod_logs_are_readable(control_plane: ControlPlane, namespace: str) -> None:
    pods = await running_pods(control_plane, namespace)
    names = sorted(pod["metadata"]["name"] for pod in pods)
    path = f"/api/v1/namespaces/{namespace}/pods"
    assert "ready" in await control_plane.admin.text(f"{path}/{names[1]}/log")

    await control_plane.set_pod_logs(
        namespace, names[0], ["one", "two", "three"], previous=["panic: out of memory"]
    )
    assert await control_plane.admin.text(f"{path}/{names[0]}/log", tailLines=1) == "three\n"
    previous = await control_plane.admin.text(f"{path}/{names[0]}/log", previous="true")
    assert previous == "panic: out of memory\n"


async def test_second_user_is_denied_until_it_has_a_role(
    control_plane: ControlPlane, namespace: str
) -> None:
    async with control_plane.client(SERVICE_USER) as user:
        with pytest.raises(ApiError) as denied:
            await user.create(config_map(namespace))
        assert denied.value.status == 403

        async with control_plane.granted(CONFIG_MAPS, namespace=namespace):
            await user.create(config_map(namespace))


async def test_writes_of_the_second_user_are_in_the_audit_log(
    control_plane: ControlPlane, namespace: str
) -> None:
    async with (
        control_plane.client(SERVICE_USER) as user,
        control_plane.granted(CONFIG_MAPS, namespace=namespace),
    ):
        await control_plane.admin.create(config_map(namespace, name="by-admin"))
        await user.get(f"/api/v1/namespaces/{namespace}/configmaps/by-admin")
        await user.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/configmaps",
            json=config_map(namespace, name="only-tried"),
            params={"dryRun": "All"},
        )
        await user.create(config_map(namespace))

    async def logged() -> list[Object]:
        writes = control_plane.audit_writes()
        return [write for write in writes if write["objectRef"].get("namespace") == namespace]

    [write] = await control_plane.eventually(logged, "audit event")
    assert (write["verb"], write["objectRef"]["resource"]) == ("create", "configmaps")
    assert write["requestObject"]["metadata"]["name"] == "settings"
    assert write["requestObject"]["data"] == {"colour": "blue"}


async def test_service_account_acts_in_its_own_name(
    control_plane: ControlPlane, namespace: str
) -> None:
    user = f"system:serviceaccount:{namespace}:default"
    kubeconfig = await control_plane.service_account_kubeconfig(namespace, "default")
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    async with control_plane.granted(CONFIG_MAPS, namespace=namespace, user=user):
        await control_plane.admin.request(
            "POST",
            f"/api/v1/namespaces/{namespace}/configmaps",
            json=config_map(namespace),
            headers={"Authorization": f"Bearer {token}"},
        )

    async def logged() -> list[Object]:
        return control_plane.audit_writes(user)

    [write] = await control_plane.eventually(logged, "audit event of the ServiceAccount")
    assert write["responseStatus"]["code"] == 201


async def test_api_server_may_be_gone_for_a_while(
    control_plane: ControlPlane, namespace: str
) -> None:
    apiserver = control_plane.components["kube-apiserver"]
    apiserver.kill()
    with pytest.raises(httpx.TransportError):
        await control_plane.admin.text("/readyz")
    apiserver.start()
    await control_plane.eventually(lambda: control_plane.admin.text("/readyz"), "back again", 60.0)
    await running_pods(control_plane, namespace)


async def test_component_that_dies_ends_the_wait_with_its_name(
    control_plane: ControlPlane,
) -> None:
    scheduler = control_plane.components["kube-scheduler"]
    assert scheduler.pid
    os.kill(scheduler.pid, signal.SIGKILL)

    async def never() -> bool:
        return False

    try:
        with pytest.raises(ComponentDied, match="kube-scheduler ended with -9"):
            await control_plane.eventually(never, "nothing")
    finally:
        scheduler.kill()
        scheduler.start()


async def running_pods(control_plane: ControlPlane, namespace: str) -> list[Object]:
    """Two pods of a Deployment with a Service, once both run."""
    await control_plane.admin.apply(DEPLOYMENT % {"namespace": namespace})

    async def both_running() -> list[Object]:
        items = (await control_plane.admin.get(f"/api/v1/namespaces/{namespace}/pods"))["items"]
        running = [item for item in items if item["status"]["phase"] == "Running"]
        return running if len(running) == 2 else []

    return await control_plane.eventually(both_running, "both pods Running")


def config_map(namespace: str, name: str = "settings") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {"colour": "blue"},
    }
