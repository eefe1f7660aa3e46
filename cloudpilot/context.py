"""What an operation is handed: who asks, through which door, about which cluster, until when."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from enum import StrEnum

from cloudpilot.clusters import Cluster, Clusters
from cloudpilot.errors import InvalidArguments


class Door(StrEnum):
    """Where a call came in."""

    REST = "rest"
    CHAT = "chat"
    CLI = "cli"


class ActorKind(StrEnum):
    """Only a human may approve a plan."""

    HUMAN = "human"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is calling, as authenticated; never taken from a request's body."""

    name: str
    kind: ActorKind = ActorKind.HUMAN


LOCAL_HUMAN = Actor("local")
"""Who holds the server's token or its terminal: one person until there are accounts."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The place in a conversation a call comes from; empty outside one.

    `call_id` is the model's tool-call id: the same call proposes the same plan, however often a
    crash makes the graph repeat it.
    """

    thread_id: str | None = None
    run_id: str | None = None
    call_id: str | None = None
    taint: tuple[str, ...] = ()
    """Objects whose untrusted text the run has read before this call."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """Everything a call needs beside its arguments."""

    actor: Actor
    door: Door
    clusters: Clusters
    cluster_name: str | None = None
    namespace: str | None = None
    """The namespace the caller is looking at: a default, never a restriction."""
    deadline_seconds: float = 30.0
    origin: Origin = Origin()
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def cluster(self) -> Cluster:
        """The cluster this call is about.

        Raises:
            InvalidArguments: none was named and there is not exactly one.
            NotFound: there is none of that name.
            ClusterUnavailable: it is registered but cannot be opened.
        """
        if self.cluster_name:
            return self.clusters.get(self.cluster_name)
        names = self.clusters.names()
        if len(names) == 1:
            return self.clusters.get(names[0])
        known = ", ".join(names) or "none is registered"
        raise InvalidArguments.field("cluster", f"name one of: {known}")
