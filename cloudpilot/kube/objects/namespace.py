"""Namespaces, and the bounds set to what lives in them."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Amounts, Condition, KubeObject, Projection


class NamespaceSpec(Projection):
    """Who has to agree before it may go."""

    finalizers: tuple[str, ...] = ()


class NamespaceStatus(Projection):
    """Active or Terminating, and what keeps it from ending."""

    phase: str = "Active"
    conditions: tuple[Condition, ...] = ()


class Namespace(KubeObject):
    """v1 Namespace."""

    spec: NamespaceSpec = msgspec.field(default_factory=NamespaceSpec)
    status: NamespaceStatus = msgspec.field(default_factory=NamespaceStatus)


class ResourceQuotaSpec(Projection):
    """What counts against it."""

    scopes: tuple[str, ...] = ()


class ResourceQuotaStatus(Projection):
    """How much is allowed and how much is used."""

    hard: Amounts = {}
    used: Amounts = {}


class ResourceQuota(KubeObject):
    """v1 ResourceQuota."""

    spec: ResourceQuotaSpec = msgspec.field(default_factory=ResourceQuotaSpec)
    status: ResourceQuotaStatus = msgspec.field(default_factory=ResourceQuotaStatus)


class LimitRangeItem(Projection):
    """The bounds and defaults of one type: Container, Pod or PersistentVolumeClaim."""

    type: str = ""
    max: Amounts = {}
    min: Amounts = {}
    default: Amounts = {}
    default_request: Amounts = {}
    max_limit_request_ratio: Amounts = {}


class LimitRangeSpec(Projection):
    """All bounds."""

    limits: tuple[LimitRangeItem, ...] | None = ()


class LimitRange(KubeObject):
    """v1 LimitRange."""

    spec: LimitRangeSpec = msgspec.field(default_factory=LimitRangeSpec)
