"""Namespaces."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import KubeObject, Projection


class NamespaceStatus(Projection):
    """Active or Terminating."""

    phase: str = "Active"


class Namespace(KubeObject):
    """v1 Namespace."""

    status: NamespaceStatus = msgspec.field(default_factory=NamespaceStatus)
