"""Workloads: what makes pods and keeps them running."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Condition, KubeObject, Metadata, Port, Projection
from cloudpilot.kube.objects.pod import PodSpec
from cloudpilot.kube.objects.selector import LabelSelector


class TemplateMetadata(Projection):
    """The labels every pod of a template gets."""

    labels: dict[str, str] = {}


class PodTemplate(Projection):
    """What the pods of a workload look like."""

    metadata: TemplateMetadata = msgspec.field(default_factory=TemplateMetadata)
    spec: PodSpec = msgspec.field(default_factory=PodSpec)


class RollingUpdate(Projection):
    """How many pods may be missing or too many meanwhile, and which are kept back."""

    max_unavailable: Port | None = None
    max_surge: Port | None = None
    partition: int = 0


class UpdateStrategy(Projection):
    """How old pods are replaced by new ones: RollingUpdate, Recreate or OnDelete."""

    type: str = ""
    rolling_update: RollingUpdate | None = None


class DeploymentSpec(Projection):
    """How many pods are wanted, and which."""

    replicas: int = 1
    paused: bool = False
    selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    template: PodTemplate = msgspec.field(default_factory=PodTemplate)
    strategy: UpdateStrategy = msgspec.field(default_factory=UpdateStrategy)
    min_ready_seconds: int = 0
    progress_deadline_seconds: int = 600


class DeploymentStatus(Projection):
    """How many there are."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class Deployment(KubeObject):
    """apps/v1 Deployment."""

    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)


class Revision(Projection):
    """The one annotation that tells which rollout an object belongs to."""

    revision: str = msgspec.field(default="", name="deployment.kubernetes.io/revision")


class RevisionMetadata(Metadata, kw_only=True):
    """Metadata with the number of the rollout."""

    annotations: Revision = msgspec.field(default_factory=Revision)


class ImageContainer(Projection):
    """A container, no more than its image."""

    name: str = ""
    image: str = ""


class ImagesSpec(Projection):
    """The images of a template: enough to tell one rollout from another."""

    containers: tuple[ImageContainer, ...] = ()
    init_containers: tuple[ImageContainer, ...] = ()


class ImagesTemplate(Projection):
    """A template, no more than its images."""

    spec: ImagesSpec = msgspec.field(default_factory=ImagesSpec)


class ReplicaSetSpec(Projection):
    """How many pods of one rollout are wanted.

    A cluster keeps ten old rollouts of each Deployment, so the template is cut to its images.
    """

    replicas: int = 1
    template: ImagesTemplate = msgspec.field(default_factory=ImagesTemplate)


class ReplicaSetStatus(Projection):
    """How many there are, and why there are not more."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    conditions: tuple[Condition, ...] = ()


class ReplicaSet(KubeObject, kw_only=True):
    """apps/v1 ReplicaSet."""

    metadata: RevisionMetadata
    spec: ReplicaSetSpec = msgspec.field(default_factory=ReplicaSetSpec)
    status: ReplicaSetStatus = msgspec.field(default_factory=ReplicaSetStatus)


class ClaimTemplateMetadata(Projection):
    """The name a claim begins with."""

    name: str = ""


class ClaimTemplateSpec(Projection):
    """The class of the volume that is claimed; None for the default one."""

    storage_class_name: str | None = None


class ClaimTemplate(Projection):
    """A claim that every pod of a StatefulSet gets."""

    metadata: ClaimTemplateMetadata = msgspec.field(default_factory=ClaimTemplateMetadata)
    spec: ClaimTemplateSpec = msgspec.field(default_factory=ClaimTemplateSpec)


class StatefulSetSpec(Projection):
    """How many pods are wanted, which, and what each of them claims."""

    replicas: int = 1
    selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    template: PodTemplate = msgspec.field(default_factory=PodTemplate)
    service_name: str = ""
    pod_management_policy: str = "OrderedReady"
    update_strategy: UpdateStrategy = msgspec.field(default_factory=UpdateStrategy)
    volume_claim_templates: tuple[ClaimTemplate, ...] = ()


class StatefulSetStatus(Projection):
    """How many there are, and of which revision."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    current_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    conditions: tuple[Condition, ...] = ()


class StatefulSet(KubeObject):
    """apps/v1 StatefulSet."""

    spec: StatefulSetSpec = msgspec.field(default_factory=StatefulSetSpec)
    status: StatefulSetStatus = msgspec.field(default_factory=StatefulSetStatus)


class DaemonSetSpec(Projection):
    """Which pod each node gets."""

    selector: LabelSelector = msgspec.field(default_factory=LabelSelector)
    template: PodTemplate = msgspec.field(default_factory=PodTemplate)
    update_strategy: UpdateStrategy = msgspec.field(default_factory=UpdateStrategy)


class DaemonSetStatus(Projection):
    """How many nodes should have it and do."""

    observed_generation: int = 0
    desired_number_scheduled: int = 0
    current_number_scheduled: int = 0
    updated_number_scheduled: int = 0
    number_ready: int = 0
    number_available: int = 0
    number_unavailable: int = 0
    number_misscheduled: int = 0
    conditions: tuple[Condition, ...] = ()


class DaemonSet(KubeObject):
    """apps/v1 DaemonSet."""

    spec: DaemonSetSpec = msgspec.field(default_factory=DaemonSetSpec)
    status: DaemonSetStatus = msgspec.field(default_factory=DaemonSetStatus)
