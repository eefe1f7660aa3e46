"""Nodes."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import Amounts, Condition, KubeObject, Projection


class NodeSystemInfo(Projection):
    """What the kubelet says about its machine."""

    kubelet_version: str = ""
    container_runtime_version: str = ""
    os_image: str = ""
    operating_system: str = ""
    architecture: str = ""
    kernel_version: str = ""


class NodeAddress(Projection):
    """One address, of type InternalIP, Hostname, ..."""

    type: str = ""
    address: str = ""


class NodeStatus(Projection):
    """A node's health and size."""

    conditions: tuple[Condition, ...] = ()
    capacity: Amounts = {}
    allocatable: Amounts = {}
    node_info: NodeSystemInfo = msgspec.field(default_factory=NodeSystemInfo)
    addresses: tuple[NodeAddress, ...] = ()


class Taint(Projection):
    """A taint of a node."""

    key: str = ""
    effect: str = ""
    value: str = ""


class NodeSpec(Projection):
    """Whether pods may be scheduled on it."""

    unschedulable: bool = False
    taints: tuple[Taint, ...] = ()


class Node(KubeObject):
    """v1 Node."""

    spec: NodeSpec = msgspec.field(default_factory=NodeSpec)
    status: NodeStatus = msgspec.field(default_factory=NodeStatus)
