"""Volumes, claims on them, and the classes they are made by."""

from __future__ import annotations

import msgspec

from cloudpilot.kube.objects.meta import (
    Amounts,
    Condition,
    KubeObject,
    Metadata,
    ObjectReference,
    Projection,
)
from cloudpilot.kube.objects.scheduling import NodeSelector


class VolumeNodeAffinity(Projection):
    """The nodes a volume can be reached from."""

    required: NodeSelector | None = None


class PersistentVolumeSpec(Projection):
    """What a volume offers, and to whom."""

    capacity: Amounts = {}
    access_modes: tuple[str, ...] = ()
    storage_class_name: str = ""
    claim_ref: ObjectReference | None = None
    persistent_volume_reclaim_policy: str = ""
    volume_mode: str = "Filesystem"
    node_affinity: VolumeNodeAffinity | None = None


class PersistentVolumeStatus(Projection):
    """Whether it is taken."""

    phase: str = ""
    reason: str = ""
    message: str = ""


class PersistentVolume(KubeObject):
    """v1 PersistentVolume."""

    spec: PersistentVolumeSpec = msgspec.field(default_factory=PersistentVolumeSpec)
    status: PersistentVolumeStatus = msgspec.field(default_factory=PersistentVolumeStatus)


class ClaimResources(Projection):
    """How much is wanted."""

    requests: Amounts = {}


class PersistentVolumeClaimSpec(Projection):
    """What is wanted, and what was given."""

    storage_class_name: str | None = None
    """None asks for the default class, the empty one for a volume without a class."""
    volume_name: str = ""
    access_modes: tuple[str, ...] = ()
    resources: ClaimResources = msgspec.field(default_factory=ClaimResources)
    volume_mode: str = "Filesystem"


class PersistentVolumeClaimStatus(Projection):
    """Whether it is bound, and how much it got."""

    phase: str = ""
    capacity: Amounts = {}
    access_modes: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()


class PersistentVolumeClaim(KubeObject):
    """v1 PersistentVolumeClaim."""

    spec: PersistentVolumeClaimSpec = msgspec.field(default_factory=PersistentVolumeClaimSpec)
    status: PersistentVolumeClaimStatus = msgspec.field(default_factory=PersistentVolumeClaimStatus)


class TopologyRequirement(Projection):
    """Values a node's label must have."""

    key: str = ""
    values: tuple[str, ...] = ()


class TopologyTerm(Projection):
    """Labels a node must have together."""

    match_label_expressions: tuple[TopologyRequirement, ...] = ()


class DefaultStorageClass(Projection):
    """The annotation that makes a class the default."""

    is_default: str = msgspec.field(default="", name="storageclass.kubernetes.io/is-default-class")


class StorageClassMetadata(Metadata, kw_only=True):
    """Metadata that says whether this is the default."""

    annotations: DefaultStorageClass = msgspec.field(default_factory=DefaultStorageClass)


class StorageClass(KubeObject, kw_only=True):
    """storage.k8s.io/v1 StorageClass; its parameters are left out, they may name credentials."""

    metadata: StorageClassMetadata
    provisioner: str = ""
    reclaim_policy: str = "Delete"
    volume_binding_mode: str = "Immediate"
    allow_volume_expansion: bool = False
    allowed_topologies: tuple[TopologyTerm, ...] = ()
