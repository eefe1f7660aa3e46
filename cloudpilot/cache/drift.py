"""The drift check: whether the mirror still equals the server, though no event was seen to be lost.

Only names and resourceVersions are fetched. A difference counts once it can no longer be a change
that is still on its way.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import aclosing
from typing import Any

import msgspec

from cloudpilot.cache.pages import decode_json, pages
from cloudpilot.cache.reflector import Reflector, SyncStatus
from cloudpilot.cache.store import Key, Store, key_of
from cloudpilot.cache.versions import reaches
from cloudpilot.errors import CloudPilotError
from cloudpilot.kube.client import METADATA_LIST, KubeClient
from cloudpilot.kube.kinds import Kind
from cloudpilot.pace import Pace

logger = logging.getLogger(__name__)

_GRACE_SECONDS = 150.0
"""Longer than any bookmark is waited for, and than any stream lasts."""
_LOOK_SECONDS = 0.1
_MOST_NAMED = 3
_FROM_THE_PAST = "Too large resource version"


Difference = tuple[Key, str]
"""What differs and a version that only one side has."""


class _Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Object(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)


class DriftCheck:
    """Compares one store with the server every now and then; a difference is listed away.

    Args:
        client: The way to the cluster.
        kind: What the store holds.
        store: What is compared.
        reflector: Keeps the store current, and lists it again when it has drifted.
        interval_seconds: How often to compare; each kind at its own time within it.
    """

    def __init__(
        self,
        client: KubeClient,
        kind: Kind,
        store: Store[Any],
        reflector: Reflector[Any],
        interval_seconds: float,
    ) -> None:
        self._client = client
        self._kind = kind
        self._store = store
        self._reflector = reflector
        self._interval_seconds = interval_seconds
        self._touched: set[Key] | None = None
        self._incurable: set[Difference] = set()
        """Differences that were listed away once. If they are still there it is an object that
        cannot be read, and listing again would not help."""

    def touch(self, key: Key) -> None:
        """Note that an event of this object came; what it was when compared says nothing."""
        if self._touched is not None:
            self._touched.add(key)

    async def run(self) -> None:
        """Compare until cancelled."""
        await asyncio.sleep(self._interval_seconds * random.random())  # noqa: S311 - spreads kinds
        while True:
            await asyncio.sleep(self._interval_seconds)
            try:
                if self._reflector.state.status is SyncStatus.LIVE:
                    await self.check()
            except CloudPilotError as error:
                logger.debug("%s: not compared: %s", self._kind.name, error.message)
            except Exception:  # noqa: BLE001 - a surprise here must not end what it watches over
                logger.exception("%s: the comparison stumbled", self._kind.name)

    async def check(self) -> None:
        """Compare once; list again if something was missed.

        Raises:
            CloudPilotError: the server does not list it now.
        """
        version = self._reflector.version
        lists = self._reflector.stats.lists
        if version is None:
            return
        self._touched = set()
        try:
            listed, reached = await self._list(version)
            suspects = await self._differences(listed)
            await self._until_decided({key for key, _ in suspects}, reached)
            missed = {(key, seen) for key, seen in suspects if key not in self._touched}
        except CloudPilotError as error:
            if _FROM_THE_PAST not in error.message:
                raise
            self._drifted("the cluster counts from the past: was it restored from a backup?")
            return
        finally:
            self._touched = None
        self._reflector.stats.comparisons += 1
        live = self._reflector.state.status is SyncStatus.LIVE
        if missed and live and self._reflector.stats.lists == lists:
            self._incurable |= missed
            names = sorted({"/".join(filter(None, key)) for key, _ in missed})
            shown = ", ".join(names[:_MOST_NAMED])
            self._drifted(f"{len(names)} objects differ from the server's, such as {shown}")

    def _drifted(self, reason: str) -> None:
        self._reflector.stats.drifts += 1
        logger.warning("%s: drifted: %s", self._kind.name, reason)
        self._reflector.relist(reason)

    async def _list(self, version: str) -> tuple[dict[Key, str], str]:
        """Return the version of each object on the server, and which version that is the state of.

        At least as new as what we know: otherwise each later change would look like a difference.
        """
        found: dict[Key, str] = {}
        reached = version
        pace = Pace()
        async with aclosing(pages(self._client, self._kind, METADATA_LIST, version)) as listed:
            async for page in listed:
                reached = page.metadata.resource_version
                for raw in page.items or ():
                    meta = decode_json(raw, _Object).metadata
                    found[meta.namespace, meta.name] = meta.resource_version
                    await pace.breathe()
        return found, reached

    async def _differences(self, listed: dict[Key, str]) -> set[Difference]:
        """Return what only one side has, with the version it has there; empties `listed`."""
        found: set[Difference] = set()
        pace = Pace()
        for obj in tuple(self._store):
            key, held = key_of(obj), obj.metadata.resource_version
            seen = listed.pop(key, "")
            if seen != held:
                found |= {(key, held), (key, seen)}
            await pace.breathe()
        found.update(listed.items())
        self._incurable &= found
        return found - self._incurable

    async def _until_decided(self, suspects: set[Key], reached: str) -> None:
        """Wait until the watch told everything up to that version, or far too long."""
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline:
            version = self._reflector.version
            if version is None or reaches(version, reached) or suspects <= (self._touched or set()):
                return
            await asyncio.sleep(_LOOK_SECONDS)
