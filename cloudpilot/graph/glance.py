"""An object at a glance: the few words about its state that stand beside its name. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cloudpilot.kube.objects.autoscaling import HorizontalPodAutoscaler, PodDisruptionBudget
from cloudpilot.kube.objects.job import CronJob, Job
from cloudpilot.kube.objects.meta import Condition, KubeObject
from cloudpilot.kube.objects.node import Node
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.objects.service import EndpointSlice, Service
from cloudpilot.kube.objects.storage import PersistentVolume, PersistentVolumeClaim
from cloudpilot.kube.objects.workload import DaemonSet, Deployment, ReplicaSet, StatefulSet
from cloudpilot.kube.pod_status import summarize


def glance(obj: KubeObject) -> str:
    """Return a few words about an object's state; empty where there is nothing to say."""
    say = _WORDS.get(type(obj))
    words = list(say(obj)) if say else []
    if obj.metadata.deletion_timestamp and not isinstance(obj, Pod):
        words.append("terminating")
    return ", ".join(words)


def is_ready(pod: Pod) -> bool:
    """Whether a pod takes traffic."""
    return _holds(pod.status.conditions, "Ready")


def _holds(conditions: tuple[Condition, ...], kind: str) -> bool:
    return any(one.type == kind and one.status == "True" for one in conditions)


def _pod(pod: Pod) -> Iterator[str]:
    summary = summarize(pod)
    yield summary.status
    yield f"{summary.ready}/{summary.containers} ready"
    if summary.reason not in ("", summary.status):
        yield summary.reason


def _replicas(obj: Deployment | StatefulSet | ReplicaSet) -> Iterator[str]:
    yield f"{obj.status.ready_replicas}/{obj.spec.replicas} ready"
    if isinstance(obj, ReplicaSet) and obj.metadata.annotations.revision:
        yield f"revision {obj.metadata.annotations.revision}"
    if isinstance(obj, Deployment) and obj.spec.paused:
        yield "paused"


def _daemon_set(obj: DaemonSet) -> Iterator[str]:
    yield f"{obj.status.number_ready}/{obj.status.desired_number_scheduled} ready"


def _job(obj: Job) -> Iterator[str]:
    for condition in obj.status.conditions:
        if condition.type in ("Complete", "Failed", "Suspended") and condition.status == "True":
            yield condition.type
    yield f"{obj.status.succeeded}/{obj.spec.completions or 1} succeeded"
    if obj.status.failed:
        yield f"{obj.status.failed} failed"


def _cron_job(obj: CronJob) -> Iterator[str]:
    yield obj.spec.schedule
    if obj.spec.suspend:
        yield "suspended"


def _service(obj: Service) -> Iterator[str]:
    yield obj.spec.type
    yield from (f"port {port.port}/{port.protocol}" for port in obj.spec.ports)


def _slice(obj: EndpointSlice) -> Iterator[str]:
    endpoints = obj.endpoints or ()
    ready = sum(endpoint.conditions.ready is not False for endpoint in endpoints)
    yield f"{ready}/{len(endpoints)} endpoints ready"


def _scaler(obj: HorizontalPodAutoscaler) -> Iterator[str]:
    yield f"{obj.status.current_replicas} replicas"
    yield f"{obj.spec.min_replicas} to {obj.spec.max_replicas} allowed"


def _budget(obj: PodDisruptionBudget) -> Iterator[str]:
    yield f"{obj.status.disruptions_allowed} disruptions allowed"


def _volume(obj: PersistentVolume | PersistentVolumeClaim) -> Iterator[str]:
    yield obj.status.phase or "no phase"


def _node(obj: Node) -> Iterator[str]:
    yield "Ready" if _holds(obj.status.conditions, "Ready") else "NotReady"
    if obj.spec.unschedulable:
        yield "SchedulingDisabled"


_WORDS: dict[type[KubeObject], Callable[[Any], Iterator[str]]] = {
    Pod: _pod,
    Deployment: _replicas,
    StatefulSet: _replicas,
    ReplicaSet: _replicas,
    DaemonSet: _daemon_set,
    Job: _job,
    CronJob: _cron_job,
    Service: _service,
    EndpointSlice: _slice,
    HorizontalPodAutoscaler: _scaler,
    PodDisruptionBudget: _budget,
    PersistentVolume: _volume,
    PersistentVolumeClaim: _volume,
    Node: _node,
}
