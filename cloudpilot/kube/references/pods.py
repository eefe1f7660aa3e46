"""Which objects pods name, and the workloads whose templates make them."""

from __future__ import annotations

from collections.abc import Iterator

from cloudpilot.kube.objects.job import CronJob
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.pod import Pod, PodSpec
from cloudpilot.kube.objects.volume import ConfigMapSource, SecretSource, Volume
from cloudpilot.kube.objects.workload import DaemonSet, Deployment, StatefulSet
from cloudpilot.kube.references.relation import Reference, RelationType


def pod_spec(obj: KubeObject) -> PodSpec | None:
    """Return the spec of a pod, or of the pods a workload makes."""
    if isinstance(obj, Pod):
        return obj.spec
    if isinstance(obj, Deployment | StatefulSet | DaemonSet):
        return obj.spec.template.spec
    if isinstance(obj, CronJob):
        return obj.spec.job_template.spec.template.spec
    return None


def pod_labels(obj: KubeObject) -> dict[str, str] | None:
    """Return the labels of a pod, or of the pods a workload makes."""
    if isinstance(obj, Pod):
        return obj.metadata.labels
    if isinstance(obj, Deployment | StatefulSet | DaemonSet):
        return obj.spec.template.metadata.labels
    return None


def _spec_of(obj: KubeObject) -> PodSpec:
    return pod_spec(obj) or PodSpec()


def node(pod: Pod) -> Iterator[Reference]:
    """Yield the node a pod runs on."""
    if pod.spec.node_name:
        yield Reference(RelationType.RUNS_ON, "Node", "", pod.spec.node_name)


def service_account(obj: KubeObject) -> Iterator[Reference]:
    """Yield the identity of the pods."""
    name = _spec_of(obj).service_account_name or "default"
    yield Reference(RelationType.USES, "ServiceAccount", obj.namespace, name)


def priority_class(obj: KubeObject) -> Iterator[Reference]:
    """Yield the priority of the pods."""
    name = _spec_of(obj).priority_class_name
    if name:
        yield Reference(RelationType.USES, "PriorityClass", "", name)


def claims(obj: KubeObject) -> Iterator[Reference]:
    """Yield the claims the pods mount."""
    for volume in _spec_of(obj).volumes:
        claim = volume.persistent_volume_claim
        if claim is not None and claim.claim_name:
            yield Reference(
                RelationType.USES, "PersistentVolumeClaim", obj.namespace, claim.claim_name
            )


def config_maps(obj: KubeObject) -> Iterator[Reference]:
    """Yield the ConfigMaps the pods read, each with how."""
    spec = _spec_of(obj)
    for container in (*spec.init_containers, *spec.containers):
        for source in container.env_from:
            yield from _config_map(obj, source.config_map_ref, "envFrom")
        for variable in container.env:
            if variable.value_from is not None:
                yield from _config_map(obj, variable.value_from.config_map_key_ref, "env")
    for volume in spec.volumes:
        yield from _config_map(obj, volume.config_map, "volume")
        for part in volume.projected.sources if volume.projected else ():
            yield from _config_map(obj, part.config_map, "projected volume")


def _config_map(obj: KubeObject, source: ConfigMapSource | None, note: str) -> Iterator[Reference]:
    if source is not None and source.name:
        yield Reference(
            RelationType.USES, "ConfigMap", obj.namespace, source.name, note, source.optional
        )


def secrets(obj: KubeObject) -> Iterator[Reference]:
    """Yield the Secrets the pods read, each with how."""
    spec = _spec_of(obj)
    for container in (*spec.init_containers, *spec.containers):
        for source in container.env_from:
            yield from _secret(obj, source.secret_ref, "envFrom")
        for variable in container.env:
            if variable.value_from is not None:
                yield from _secret(obj, variable.value_from.secret_key_ref, "env")
    for volume in spec.volumes:
        yield from _volume_secrets(obj, volume)
    for pull in spec.image_pull_secrets:
        if pull.name:
            # The kubelet pulls without it, and may succeed.
            yield Reference(
                RelationType.USES, "Secret", obj.namespace, pull.name, "image pull secret"
            )


def _volume_secrets(obj: KubeObject, volume: Volume) -> Iterator[Reference]:
    yield from _secret(obj, volume.secret, "volume")
    for part in volume.projected.sources if volume.projected else ():
        yield from _secret(obj, part.secret, "projected volume")


def _secret(obj: KubeObject, source: SecretSource | None, note: str) -> Iterator[Reference]:
    name = (source.secret_name or source.name) if source is not None else ""
    if source is not None and name:
        yield Reference(RelationType.USES, "Secret", obj.namespace, name, note, source.optional)
