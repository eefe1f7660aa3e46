"""Istio's kinds."""

from __future__ import annotations

from typing import Any

import msgspec

from cloudpilot.kube.objects.meta import KubeObject, Projection


class GatewaySpec(Projection):
    """The gateway pods it configures and the servers it opens on them."""

    selector: dict[str, str] = {}
    servers: list[dict[str, Any]] = []


class Gateway(KubeObject):
    """networking.istio.io Gateway, not that of the Gateway API."""

    spec: GatewaySpec = msgspec.field(default_factory=GatewaySpec)
