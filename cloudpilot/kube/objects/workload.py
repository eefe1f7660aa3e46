"""Workloads: what makes pods."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Condition, KubeObject, Projection


class DeploymentSpec(Projection):
    """How many pods are wanted."""

    replicas: int = 1
    paused: bool = False


class DeploymentStatus(Projection):
    """How many there are."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    available_replicas: int = 0
    conditions: list[Condition] = []


class Deployment(KubeObject):
    """apps/v1 Deployment."""

    spec: DeploymentSpec = msgspec.field(default_factory=DeploymentSpec)
    status: DeploymentStatus = msgspec.field(default_factory=DeploymentStatus)
