"""Samples of a real control plane, which has no metrics API: only usage is unknown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloudpilot.clusters import Cluster, ClusterSource
from cloudpilot.db.samples import SampleRepository
from cloudpilot.db.session import Database
from cloudpilot.kube.access import instant
from cloudpilot.settings import KubernetesSettings, SamplesSettings
from cloudpilot.usage.history import UsageHistory
from cloudpilot.usage.sample import Scope
from tests.cloudpilot.waiting import eventually
from tests.controlplane.cluster import ControlPlane


@pytest.fixture
async def cluster(control_plane: ControlPlane, tmp_path: Path) -> AsyncIterator[Cluster]:
    settings = KubernetesSettings(kubeconfig=control_plane.kubeconfig("admin"))
    async with Database.open(f"sqlite:///{tmp_path}/a.db") as database:
        history = UsageHistory(
            SampleRepository(database), SamplesSettings(), lambda: datetime.now(UTC)
        )
        access = await instant(settings)
        cluster = Cluster("e2e", access, ClusterSource.INSTANT, settings, history=history)
        cluster.start()
        assert await cluster.cache.wait_settled(20)
        yield cluster
        await cluster.close()


async def test_requests_of_a_deployment_are_sampled_without_a_metrics_api(
    cluster: Cluster, control_plane: ControlPlane, namespace: str
) -> None:
    labels = {"app": "web"}
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}}
    container = {"name": "web", "image": "registry.example.com/web:1.0", "resources": resources}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }
    await control_plane.create_all([deployment])
    subject = f"{namespace}/Deployment/web"
    pods = cluster.cache["Pod"]
    await eventually(lambda: all(pod.spec.node_name for pod in pods.list(namespace)), 30)
    await eventually(lambda: pods.count(namespace) == 2, 30)
    sample = await cluster.sampler.sample_once()
    assert {(m.kind, m.status) for m in sample.missing} == {
        ("NodeMetrics", "not installed"),
        ("PodMetrics", "not installed"),
    }
    web = sample.figures[Scope.WORKLOAD][subject]
    assert (web.pods, web.cpu_requests_millicores) == (2, 200)
    assert (web.memory_requests_bytes, web.memory_limits_bytes) == (2 * 2**26, 2 * 2**27)
    assert (web.cpu_usage_millicores, web.pods_measured) == (None, None)
    assert sample.figures[Scope.NAMESPACE][namespace].pods == 2
    since, until = sample.at - timedelta(minutes=2), sample.at + timedelta(minutes=1)
    [point] = await cluster.sampler.series((Scope.WORKLOAD, subject), "pods", since, until)
    assert point.mean == 2
    usage = (Scope.WORKLOAD, subject), "cpu_usage_millicores"
    assert await cluster.sampler.series(*usage, since, until) == []
