"""What every object has: metadata, owners, conditions, references to others.

Fields have defaults, so that an object that lacks a part is still read; sequences are tuples,
which share one empty value and cost the garbage collector nothing.
"""

from __future__ import annotations

import msgspec

Amount = str | int | float
Amounts = dict[str, Amount]
Port = int | str
"""A number, or the name of a container's port."""


class Projection(msgspec.Struct, rename="camel", gc=False):
    """What all projections share: camelCase in the API, no cyclic garbage."""


class OwnerReference(Projection):
    """Who made this object."""

    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    api_version: str = ""


class Metadata(Projection):
    """The metadata every object has; of annotations only those a kind names are kept."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()


class KubeObject(Projection):
    """An object of the mirror."""

    metadata: Metadata
    body: bytes = msgspec.field(default=b"", name="body (ours)")
    """All of the object but metadata and status, as JSON; only for kinds that keep it. The name
    in JSON is one that no object has."""

    @property
    def name(self) -> str:
        """The object's name."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The object's namespace; empty for a cluster-scoped one."""
        return self.metadata.namespace


class Condition(Projection):
    """A condition of a status."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class ObjectReference(Projection):
    """What an event is about."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""
    field_path: str = ""


class NameReference(Projection):
    """An object of a known kind in the same namespace."""

    name: str = ""


class Address(Projection):
    """Where a load balancer or a gateway is reached."""

    ip: str = ""
    hostname: str = ""


class LoadBalancerStatus(Projection):
    """What a load balancer gave."""

    ingress: tuple[Address, ...] = ()
