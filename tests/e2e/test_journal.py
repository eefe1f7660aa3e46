"""The journal against a real API server: a bad rollout, who made it, the pods that died of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from cloudpilot.clusters import ClusterSource
from cloudpilot.context import Actor, Door
from cloudpilot.journal.journal import Journal
from cloudpilot.kube.access import instant
from cloudpilot.runtime import Runtime
from cloudpilot.settings import KubernetesSettings, Settings
from tests.cloudpilot.waiting import eventually
from tests.controlplane.api import Object
from tests.controlplane.cluster import ControlPlane
from tools import toolsets
from tools.changes import ChangeList, PastObject

GOOD, MISSING = "registry.example.com/web:1.0", "registry.example.com/web:missing"
IMAGE = "spec.template.spec.containers[web].image"


@asynccontextmanager
async def opened(settings: Settings, kubeconfig: Path) -> AsyncIterator[tuple[Any, Journal]]:
    """The whole runtime on the real cluster; returns how to call an operation."""
    async with Runtime.open(settings, toolsets()) as runtime:
        access = await instant(KubernetesSettings(kubeconfig=kubeconfig))
        cluster = runtime.clusters.attach("e2e", access, ClusterSource.INSTANT)
        assert await cluster.cache.wait_settled(30)
        context = runtime.context(Actor("local"), Door.REST)

        async def call(name: str, **arguments: Any) -> Any:
            return await runtime.catalog.call(name, context, arguments)

        yield call, cluster.journal


def deployment(namespace: str, image: str) -> Object:
    labels = {"app": "web"}
    container = {
        "name": "web",
        "image": image,
        "env": [{"name": "API_TOKEN", "value": "c4n4ry-token"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


async def until(call: Any, done: Any, **arguments: Any) -> ChangeList:
    async with asyncio.timeout(90):
        while True:
            answer: ChangeList = await call("list_changes", **arguments)
            if done(answer):
                return answer
            await asyncio.sleep(0.2)


def what_of(answer: ChangeList) -> set[str]:
    return {row.what for row in answer.items}


async def test_bad_rollout_is_told_with_its_manager_its_dead_pods_and_after_a_restart(
    settings: Settings, control_plane: ControlPlane, namespace: str
) -> None:
    kubeconfig = control_plane.kubeconfig("admin")
    about = {"object": "deployment/web", "namespace": namespace, "since": "1h"}
    async with opened(settings, kubeconfig) as (call, _):
        async with asyncio.timeout(30):
            while (await call("list_changes")).watched_since is None:  # noqa: ASYNC110 - it polls
                await asyncio.sleep(0.1)
        await control_plane.admin.create(deployment(namespace, GOOD))
        await until(call, lambda answer: "created" in what_of(answer), **about)
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
        container = {"name": "web", "image": MISSING}
        await control_plane.admin.request(
            "PATCH",
            path,
            params={"fieldManager": "kubectl-set"},
            content=json.dumps({"spec": {"template": {"spec": {"containers": [container]}}}}),
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
        answer = await until(
            call, lambda answer: {"image", "pod_failing"} <= what_of(answer), **about
        )
        [image] = [row for row in answer.items if row.what == "image"]
        assert (image.field, image.before, image.after) == (IMAGE, GOOD, MISSING)
        assert image.who == "kubectl-set"
        failing = [row for row in answer.items if row.what == "pod_failing"]
        assert {(row.owner, row.reason) for row in failing} == {
            ("Deployment web", "ImagePullBackOff")
        }
        await control_plane.admin.delete(path)
        gone = await until(
            call,
            lambda answer: (
                {row.name for row in answer.items if row.what == "deleted"}
                >= {"web", failing[0].name}
            ),
            **about,
        )
        assert "c4n4ry-token" not in json.dumps(gone.model_dump(mode="json"))
    async with opened(settings, kubeconfig) as (call, _):
        again = await until(call, lambda answer: "image" in what_of(answer), **about)
        [image] = [row for row in again.items if row.what == "image"]
        assert (image.before, image.after, image.who) == (GOOD, MISSING, "kubectl-set")
        dead = [row for row in again.items if row.what == "deleted" and row.kind == "Pod"]
        assert "ImagePullBackOff" in {row.reason for row in dead}
        past: PastObject = await call(
            "describe_at", object="deployment/web", namespace=namespace, time=image.time.isoformat()
        )
        assert past.existed == "yes"
        assert past.fields[IMAGE] in (GOOD, MISSING)
        assert past.fields["spec.template.spec.containers[web].env[API_TOKEN].value"] == "[masked]"


async def test_log_of_a_dead_pod_is_kept(
    settings: Settings, control_plane: ControlPlane, namespace: str
) -> None:
    crashing = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "crashing", "namespace": namespace},
        "spec": {"containers": [{"name": "web", "image": GOOD, "command": ["/bin/false"]}]},
    }
    about = {"object": "pod/crashing", "namespace": namespace, "since": "1h"}
    async with opened(settings, control_plane.kubeconfig("admin")) as (call, journal):
        created = await control_plane.admin.create(crashing)
        await until(call, lambda answer: "pod_failing" in what_of(answer), **about)
        uid = created["metadata"]["uid"]
        await eventually(lambda: (known := journal._failing.get(uid)) and known.tail.text)
        await control_plane.admin.delete(f"/api/v1/namespaces/{namespace}/pods/crashing")
        await until(call, lambda answer: "deleted" in what_of(answer), **about)
        past: PastObject = await call(
            "describe_at", object="pod/crashing", namespace=namespace, time="0s"
        )
        [pod] = past.pods
        assert (pod.name, pod.exit_code, pod.container) == ("crashing", 1, "web")
        assert pod.log, pod.log_note
