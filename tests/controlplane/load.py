"""Fills a test cluster with nodes and pods of realistic size, for benchmarks and tests of scale.

Deployments make the pods, the scheduler places them and kwok runs them: owners, events and
EndpointSlices are as a real cluster has them.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

from tests.controlplane.cluster import ControlPlane

logger = logging.getLogger(__name__)

REPLICAS = 20
DEPLOYMENTS_PER_NAMESPACE = 10
ENVIRONMENT_VARIABLES = 16
SETTLE_SECONDS = 600.0
MADE_BY, MADE_BY_LOAD = "app.kubernetes.io/managed-by", "load"


@dataclass(frozen=True)
class Load:
    """What was created, and how long it took until all of it ran."""

    nodes: int
    pods: int
    namespaces: list[str]
    nodes_seconds: float
    pods_seconds: float


async def populate(control_plane: ControlPlane, nodes: int = 1000, pods: int = 10_000) -> Load:
    """Add this many nodes and pods and wait until every pod is ready."""
    began = time.monotonic()
    await control_plane.add_nodes(nodes, ready_within_seconds=SETTLE_SECONDS)
    nodes_seconds = time.monotonic() - began
    logger.info("%d nodes Ready in %.1f s", nodes, nodes_seconds)

    began = time.monotonic()
    deployments = [
        _deployment(index, min(REPLICAS, pods - first))
        for index, first in enumerate(range(0, pods, REPLICAS))
    ]
    namespaces = sorted({deployment["metadata"]["namespace"] for deployment in deployments})
    for namespace in namespaces:
        await control_plane.create_namespace(namespace)
    await control_plane.create_all(deployments)
    await _all_ready(control_plane, pods)
    # Before the pods they would cost an EndpointSlice update for every few of them.
    await control_plane.create_all([_service(deployment) for deployment in deployments])
    pods_seconds = time.monotonic() - began
    logger.info("%d pods Running in %.1f s", pods, pods_seconds)
    return Load(nodes, pods, namespaces, nodes_seconds, pods_seconds)


async def _all_ready(control_plane: ControlPlane, pods: int) -> None:
    async def all_ready() -> bool:
        rows = await control_plane.admin.table(
            "/apis/apps/v1/deployments", labelSelector=f"{MADE_BY}={MADE_BY_LOAD}"
        )
        ready = sum(int(row["Ready"].partition("/")[0]) for row in rows)
        logger.debug("%d of %d pods ready", ready, pods)
        return ready == pods

    await control_plane.eventually(
        all_ready, f"{pods} pods ready", SETTLE_SECONDS, interval_seconds=1.0
    )


def _deployment(index: int, replicas: int) -> dict[str, Any]:
    name = f"app-{index:04d}"
    labels = {
        MADE_BY: MADE_BY_LOAD,
        "app": name,
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": f"product-{index % 7}",
        "app.kubernetes.io/version": "1.4.2",
        "team": f"team-{index % 11}",
        "version": "v1",
    }
    template = {
        "metadata": {
            "labels": labels,
            "annotations": {
                "checksum/config": f"{index:064x}",
                "prometheus.io/path": "/metrics",
                "prometheus.io/port": "9090",
                "prometheus.io/scrape": "true",
                "sidecar.istio.io/status": '{"containers":["istio-proxy"],"revision":"default"}',
            },
        },
        "spec": {
            "containers": [
                _container(name, ENVIRONMENT_VARIABLES, ports=(8080, 9090)),
                _container("istio-proxy", ENVIRONMENT_VARIABLES // 2, ports=(15090,)),
            ],
            "volumes": [
                {"name": "config", "configMap": {"name": f"{name}-config", "optional": True}},
                {"name": "credentials", "secret": {"secretName": name, "optional": True}},
                {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}},
            ],
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": f"load-{index // DEPLOYMENTS_PER_NAMESPACE:03d}",
            "labels": labels,
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template,
        },
    }


def _container(name: str, variables: int, ports: tuple[int, ...]) -> dict[str, Any]:
    probe = {"httpGet": {"path": "/healthz", "port": ports[0]}, "periodSeconds": 10}
    return {
        "name": name,
        "image": f"registry.example.com/product/{name}:1.4.2",
        "args": ["serve", "--config=/etc/app/config.yaml", "--log-format=json"],
        "env": [
            {"name": f"SETTING_{number:02d}", "value": f"value-of-setting-{number:02d}-of-{name}"}
            for number in range(variables)
        ],
        "ports": [{"name": f"port-{port}", "containerPort": port} for port in ports],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "resources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "1", "memory": "512Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/app", "readOnly": True},
            {"name": "credentials", "mountPath": "/var/run/credentials", "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},
        ],
    }


def _service(deployment: dict[str, Any]) -> dict[str, Any]:
    metadata = deployment["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "spec": {
            "selector": deployment["spec"]["selector"]["matchLabels"],
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
    }
