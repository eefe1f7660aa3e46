"""What decides where pods may run. Preferences are left out: they never keep a pod from running."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import KubeObject, Projection
from cloudpilot.kube.objects.selector import LabelSelector, Requirement


class NodeSelectorTerm(Projection):
    """Requirements that one node must fulfil together."""

    match_expressions: tuple[Requirement, ...] = ()
    """On the node's labels."""
    match_fields: tuple[Requirement, ...] = ()
    """On its name."""


class NodeSelector(Projection):
    """One of the terms must hold."""

    node_selector_terms: tuple[NodeSelectorTerm, ...] = ()


class NodeAffinity(Projection):
    """The nodes a pod insists on."""

    required: NodeSelector | None = msgspec.field(
        default=None, name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class PodAffinityTerm(Projection):
    """The pods that must (not) run in the same topology."""

    label_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    namespaces: tuple[str, ...] = ()
    topology_key: str = ""


class PodAffinity(Projection):
    """The neighbours a pod insists on, or refuses."""

    required: tuple[PodAffinityTerm, ...] = msgspec.field(
        default=(), name="requiredDuringSchedulingIgnoredDuringExecution"
    )


class Affinity(Projection):
    """Everything a pod insists on."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class Toleration(Projection):
    """A taint that a pod bears."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class TopologySpreadConstraint(Projection):
    """How evenly pods must be spread."""

    max_skew: int = 1
    topology_key: str = ""
    when_unsatisfiable: str = "DoNotSchedule"
    label_selector: LabelSelector | None = None


class PriorityClass(KubeObject):
    """scheduling.k8s.io/v1 PriorityClass."""

    value: int = 0
    global_default: bool = False
    preemption_policy: str = "PreemptLowerPriority"
