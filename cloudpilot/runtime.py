"""Opens everything CloudPilot needs, in order, and closes it in reverse."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from cloudpilot.clusters import Clusters, ClusterSource
from cloudpilot.context import Actor, CallContext, Door, Origin
from cloudpilot.db.audit import AuditLog
from cloudpilot.db.clusters import ClusterRepository
from cloudpilot.db.journal import JournalRepository
from cloudpilot.db.samples import SampleRepository
from cloudpilot.db.sealing import Sealer
from cloudpilot.db.session import Database
from cloudpilot.errors import SettingsError
from cloudpilot.journal.journal import Journals, system_clock
from cloudpilot.kube import access as kube_access
from cloudpilot.operation import Catalog, Toolset
from cloudpilot.plans.planner import Plans
from cloudpilot.settings import Mode, Settings
from cloudpilot.usage.history import UsageHistory

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What every door works with."""

    settings: Settings
    database: Database
    clusters: Clusters
    plans: Plans
    catalog: Catalog

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        toolsets: Iterable[Toolset],
        clock: Callable[[], datetime] = system_clock,
    ) -> AsyncIterator[Runtime]:
        """Open the database, connect the clusters, reconcile plans a crash interrupted.

        Raises:
            SettingsError: the configuration cannot be used.
            DatabaseUnavailable: the database cannot be opened.
        """
        async with AsyncExitStack() as stack:
            sealer = Sealer.from_file(settings.database.key_file)
            database = await stack.enter_async_context(Database.open(settings.database.url))
            clusters = Clusters(
                settings.kubernetes,
                ClusterRepository(database, sealer),
                UsageHistory(SampleRepository(database), settings.samples, clock),
                Journals(JournalRepository(database), settings.journal, clock),
                allow_loopback=_allow_loopback(settings),
            )
            stack.push_async_callback(clusters.close)
            await _attach_local(settings, clusters)
            if settings.mode is Mode.SERVER:
                await clusters.open_stored()
            audit = AuditLog(database)
            plans = Plans(database, clusters, audit, settings.agent)
            stack.push_async_callback(plans.close)
            tending = asyncio.create_task(plans.run(), name="tend plans")
            stack.push_async_callback(_cancel, tending)
            catalog = Catalog(toolsets, plans, audit)
            yield cls(settings, database, clusters, plans, catalog)

    def context(
        self,
        actor: Actor,
        door: Door,
        *,
        cluster: str | None = None,
        namespace: str | None = None,
        origin: Origin | None = None,
        request_id: str = "",
    ) -> CallContext:
        """Build the context of one call."""
        extra = {"request_id": request_id} if request_id else {}
        return CallContext(
            actor=actor,
            door=door,
            clusters=self.clusters,
            cluster_name=cluster,
            namespace=namespace,
            deadline_seconds=self.settings.agent.tool_seconds,
            origin=origin or Origin(),
            **extra,
        )


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


async def _attach_local(settings: Settings, clusters: Clusters) -> None:
    """Connect the cluster of instant mode; in server mode only if the settings name one."""
    wanted = settings.kubernetes
    named = wanted.api_server is not None or wanted.in_cluster is True
    if settings.mode is Mode.SERVER and not named:
        return
    try:
        access = await kube_access.instant(wanted)
    except SettingsError as error:
        if named or not settings.demo.enabled:
            raise
        logger.warning("only the simulated cluster is connected: %s", error.message)
        return
    logger.info("connecting to %s", access.source)
    clusters.attach("local", access, ClusterSource.INSTANT, access.source)


def _allow_loopback(settings: Settings) -> bool:
    if settings.kubernetes.allow_loopback is not None:
        return settings.kubernetes.allow_loopback
    host = settings.server.host
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
