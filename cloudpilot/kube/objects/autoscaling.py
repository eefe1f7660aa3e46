"""What changes or guards the number of pods: autoscalers and disruption budgets."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Amount, Condition, KubeObject, Port, Projection
from cloudpilot.kube.objects.selector import LabelSelector


class ScaleTarget(Projection):
    """The workload that is scaled."""

    api_version: str = ""
    kind: str = ""
    name: str = ""


class MetricName(Projection):
    """The name of a metric that is not a resource."""

    name: str = ""


class MetricValue(Projection):
    """A wanted or a current value; one of three."""

    type: str = ""
    average_utilization: int | None = None
    average_value: Amount | None = None
    value: Amount | None = None


class MetricSource(Projection):
    """One metric: `target` of a spec, `current` of a status."""

    name: str = ""
    """The resource: cpu, memory."""
    container: str = ""
    metric: MetricName | None = None
    described_object: ScaleTarget | None = None
    target: MetricValue | None = None
    current: MetricValue | None = None


class Metric(Projection):
    """One metric of the kind that `type` says."""

    type: str = ""
    resource: MetricSource | None = None
    container_resource: MetricSource | None = None
    pods: MetricSource | None = None
    object: MetricSource | None = None
    external: MetricSource | None = None


class HorizontalPodAutoscalerSpec(Projection):
    """What is scaled, by what, within which bounds."""

    scale_target_ref: ScaleTarget = msgspec.field(default_factory=ScaleTarget)
    min_replicas: int = 1
    max_replicas: int = 0
    metrics: tuple[Metric, ...] = ()


class HorizontalPodAutoscalerStatus(Projection):
    """How many replicas there are and should be, and why it cannot scale."""

    current_replicas: int = 0
    desired_replicas: int = 0
    last_scale_time: str | None = None
    current_metrics: tuple[Metric, ...] | None = ()
    """The server writes null for none."""
    conditions: tuple[Condition, ...] | None = ()


class HorizontalPodAutoscaler(KubeObject):
    """autoscaling/v2 HorizontalPodAutoscaler."""

    spec: HorizontalPodAutoscalerSpec = msgspec.field(default_factory=HorizontalPodAutoscalerSpec)
    status: HorizontalPodAutoscalerStatus = msgspec.field(
        default_factory=HorizontalPodAutoscalerStatus
    )


class PodDisruptionBudgetSpec(Projection):
    """How many of which pods must stay."""

    selector: LabelSelector | None = None
    min_available: Port | None = None
    max_unavailable: Port | None = None


class PodDisruptionBudgetStatus(Projection):
    """How many may be evicted now."""

    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    disruptions_allowed: int = 0
    conditions: tuple[Condition, ...] = ()


class PodDisruptionBudget(KubeObject):
    """policy/v1 PodDisruptionBudget."""

    spec: PodDisruptionBudgetSpec = msgspec.field(default_factory=PodDisruptionBudgetSpec)
    status: PodDisruptionBudgetStatus = msgspec.field(default_factory=PodDisruptionBudgetStatus)
