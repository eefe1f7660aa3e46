"""The clusters CloudPilot is connected to: each with its client, mirror and monitor."""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import logging
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path

from cloudpilot.cache.connection import Connection, ConnectionState
from cloudpilot.cache.mirror import Mirror
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.db.clusters import ClusterRepository, StoredCluster
from cloudpilot.errors import (
    CloudPilotError,
    ClusterUnavailable,
    Conflict,
    InvalidArguments,
    NotFound,
)
from cloudpilot.journal.journal import Journal, Journals
from cloudpilot.kube import access as kube_access
from cloudpilot.kube.access import Access
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kubeconfig import Credentials
from cloudpilot.monitor.monitor import ClusterMonitor
from cloudpilot.settings import KubernetesSettings
from cloudpilot.usage.history import UsageHistory
from cloudpilot.usage.sampler import Sampler

logger = logging.getLogger(__name__)


class ClusterSource(StrEnum):
    """Where a cluster came from; only registered ones can be changed."""

    REGISTERED = "registered"
    INSTANT = "instant"
    SIMULATED = "simulated"


class Cluster:
    """One connected cluster. Its mirror fills in the background; a dead one costs nobody else."""

    def __init__(
        self,
        name: str,
        access: Access,
        source: ClusterSource,
        settings: KubernetesSettings,
        *,
        description: str = "",
        expected_uid: str | None = None,
        history: UsageHistory | None = None,
        journals: Journals | None = None,
    ) -> None:
        self.name = name
        self.source = source
        self.description = description
        self.client = _client(access, settings)
        self.cache = Mirror(
            self.client,
            poll_seconds=settings.poll_seconds,
            idle_seconds=settings.idle_kind_seconds,
            drift_seconds=settings.drift_seconds,
        )
        self.monitor = ClusterMonitor(name, self.cache)
        self._sampler = (
            Sampler(self.records_name, self.cache, self.client, history) if history else None
        )
        self._journal = journals.of(name, self.client) if journals else None
        if self._journal is not None:
            self._journal.attach(self.cache)
        self._expected_uid = expected_uid
        self._uid: str | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def server(self) -> str:
        """The API server's address."""
        return str(self.client.access.configuration.host)

    @property
    def records_name(self) -> str:
        """What its records are kept under.

        A registered cluster is known to be the same; behind the name of another one may be a
        different cluster at the next start, so that its address must be the same too.
        """
        if self.source is ClusterSource.REGISTERED:
            return self.name
        return f"{self.name}@{hashlib.sha256(self.server.encode()).hexdigest()[:12]}"

    @property
    def connection(self) -> Connection:
        """Whether it answers and whether what is known of it is current, since when and why."""
        return self.cache.connection

    @property
    def status(self) -> str:
        """`connecting`, `ready`, `degraded` (a kind is missing or behind) or `unreachable`."""
        state = self.connection.state
        if state in (ConnectionState.CONNECTING, ConnectionState.UNREACHABLE):
            return state.value
        whole = all(
            kind.status in (SyncStatus.LIVE, SyncStatus.NOT_INSTALLED, SyncStatus.SYNCING)
            for kind in self.cache.states().values()
        )
        return "ready" if whole and state is ConnectionState.SYNCED else "degraded"

    @property
    def sampler(self) -> Sampler:
        """What it uses, now and before.

        Raises:
            Conflict: it was connected without a database.
        """
        if self._sampler is None:
            raise Conflict(f"no samples of {self.name!r} are kept")
        return self._sampler

    @property
    def journal(self) -> Journal:
        """What changed in it, and when.

        Raises:
            Conflict: it was connected without a database.
        """
        if self._journal is None:
            raise Conflict(f"no journal of {self.name!r} is kept")
        return self._journal

    async def uid(self) -> str:
        """Return the UID of kube-system, the cluster's identity, as the cluster has it now.

        Raises:
            Conflict: it is not the cluster that was registered under this name.
        """
        found = await self.client.kube_system_uid()
        known = self._expected_uid or self._uid
        if known and found != known:
            raise Conflict(
                f"the server of {self.name!r} is another cluster than before",
                hint="remove it and register it anew if that is wanted",
                details={"expected_uid": known, "found_uid": found},
            )
        self._uid = found
        return found

    def start(self) -> None:
        """Begin to mirror."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"cluster {self.name}")

    async def close(self) -> None:
        """Stop mirroring and close every connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.client.close()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.cache.run(), name=f"mirror {self.name}")
            if self._sampler is not None:
                group.create_task(self._sampler.run(), name=f"sampler {self.name}")
            if self._journal is not None:
                group.create_task(self._journal.run(), name=f"journal {self.name}")


@dataclass(frozen=True, slots=True)
class Registration:
    """What a human hands in to register or change a cluster; already checked."""

    name: str
    description: str
    credentials: Credentials


class Clusters:
    """All connected clusters by name."""

    def __init__(
        self,
        settings: KubernetesSettings,
        repository: ClusterRepository,
        history: UsageHistory,
        journals: Journals,
        *,
        allow_loopback: bool,
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._history = history
        self._journals = journals
        self._clusters: dict[str, Cluster] = {}
        self._lock = asyncio.Lock()
        self._files = tempfile.TemporaryDirectory(prefix="cloudpilot-")
        self.allow_loopback = allow_loopback

    def names(self) -> Sequence[str]:
        """Return every name, sorted."""
        return sorted(self._clusters)

    def all(self) -> Sequence[Cluster]:
        """Return every cluster, sorted by name."""
        return [self._clusters[name] for name in self.names()]

    def get(self, name: str) -> Cluster:
        """Return one cluster.

        Raises:
            NotFound: there is none of that name.
        """
        if cluster := self._clusters.get(name):
            return cluster
        near = difflib.get_close_matches(name, self._clusters, n=1)
        known = ", ".join(self.names()) or "none"
        hint = f"did you mean {near[0]}?" if near else f"clusters: {known}"
        raise NotFound(f"there is no cluster {name!r}", hint=hint)

    def attach(
        self, name: str, access: Access, source: ClusterSource, description: str = ""
    ) -> Cluster:
        """Connect a cluster that is not stored: the instant or the simulated one."""
        if name in self._clusters:
            raise Conflict(f"there is a cluster {name!r} already")
        cluster = Cluster(
            name,
            access,
            source,
            self._settings,
            description=description,
            history=self._history,
            journals=self._journals,
        )
        self._clusters[name] = cluster
        cluster.start()
        return cluster

    async def open_stored(self) -> None:
        """Connect every registered cluster."""
        for stored in await self._repository.list():
            self._connect(stored)

    async def register(self, registration: Registration) -> Cluster:
        """Check that the cluster answers, store it, connect it.

        Raises:
            Conflict: the name is taken.
            ClusterUnavailable: it does not answer.
            ClusterForbidden: it does not accept the credential.
        """
        async with self._lock:
            if registration.name in self._clusters:
                raise Conflict(f"there is a cluster {registration.name!r} already")
            stored = await self._probe(registration)
            await self._repository.add(stored)
            return self._connect(stored)

    async def change(self, registration: Registration) -> Cluster:
        """Replace a registered cluster's description and credential, and connect it anew."""
        async with self._lock:
            old = self._registered(registration.name)
            stored = await self._probe(registration)
            await self._repository.update(stored)
            del self._clusters[old.name]
            await old.close()
            return self._connect(stored)

    async def remove(self, name: str) -> None:
        """Forget a registered cluster and close its connections."""
        async with self._lock:
            cluster = self._registered(name)
            await self._repository.remove(name)
            del self._clusters[name]
            await cluster.close()
            await self._history.forget(cluster.records_name)
            await self._journals.forget(name)

    async def stored(self, name: str) -> StoredCluster:
        """Return the stored form of a registered cluster."""
        self._registered(name)
        found = [item for item in await self._repository.list() if item.name == name]
        if not found:
            raise NotFound(f"there is no registered cluster {name!r}")
        return found[0]

    async def close(self) -> None:
        """Close every cluster."""
        await asyncio.gather(*(cluster.close() for cluster in self._clusters.values()))
        self._clusters.clear()
        self._files.cleanup()

    def _registered(self, name: str) -> Cluster:
        cluster = self.get(name)
        if cluster.source is not ClusterSource.REGISTERED:
            raise InvalidArguments.field(
                "cluster", f"{name!r} is the {cluster.source.value} cluster and cannot be changed"
            )
        return cluster

    async def _probe(self, registration: Registration) -> StoredCluster:
        """Ask the cluster for its identity; nothing of its answer is shown."""
        probe = _client(self._access(registration.name, registration.credentials), self._settings)
        try:
            uid = await probe.kube_system_uid()
        except (KeyError, TypeError):
            raise ClusterUnavailable("the server does not answer like Kubernetes") from None
        except NotFound:
            raise ClusterUnavailable("the server is no Kubernetes API server") from None
        except CloudPilotError as error:
            error.hint = error.hint or "check address, certificate authority and token"
            raise
        finally:
            await probe.close()
        return StoredCluster(
            name=registration.name,
            description=registration.description,
            uid=uid,
            **asdict(registration.credentials),
        )

    def _connect(self, stored: StoredCluster) -> Cluster:
        cluster = Cluster(
            stored.name,
            self._access(stored.name, credentials_of(stored)),
            ClusterSource.REGISTERED,
            self._settings,
            description=stored.description,
            expected_uid=stored.uid,
            history=self._history,
            journals=self._journals,
        )
        self._clusters[stored.name] = cluster
        cluster.start()
        return cluster

    def _access(self, name: str, credentials: Credentials) -> Access:
        folder = Path(tempfile.mkdtemp(dir=self._files.name, prefix=f"{name}-"))
        return kube_access.registered(credentials, folder, allow_loopback=self.allow_loopback)


def _client(access: Access, settings: KubernetesSettings) -> KubeClient:
    return KubeClient(
        access,
        connect_seconds=settings.connect_seconds,
        read_seconds=settings.read_seconds,
        requests_per_second=settings.requests_per_second,
        request_burst=settings.request_burst,
    )


def credentials_of(stored: StoredCluster) -> Credentials:
    """Return the credentials of a stored cluster."""
    return Credentials(**{field.name: getattr(stored, field.name) for field in fields(Credentials)})
