"""The connection to one cluster: whether it answers and whether the mirror is current.

The heartbeat finds a dead cluster even when its connections only fell silent: whoever hears nothing
asks. What the kinds say of themselves makes the rest of the picture; nothing here reads objects.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cloudpilot.cache.reflector import SyncState, SyncStatus
from cloudpilot.errors import ClusterUnavailable
from cloudpilot.kube.breaker import Breaker

logger = logging.getLogger(__name__)

_MOST_NAMED = 3


class ConnectionState(StrEnum):
    """How a cluster stands as a whole."""

    CONNECTING = "connecting"
    """The first sync is under way."""
    SYNCED = "synced"
    STALE = "stale"
    """It answers, and at least one kind is behind."""
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Connection:
    """The state of a cluster at one moment."""

    state: ConnectionState
    since: datetime
    """When it entered this state."""
    reason: str = ""
    """Why it is not synced."""


def assess(
    settled: Mapping[str, SyncState], lost: str, *, connecting: bool
) -> tuple[ConnectionState, str]:
    """Judge a cluster by its kinds that were listed, or whose absence is explained.

    Args:
        settled: The states of these kinds.
        lost: Why the cluster does not answer; empty if it does.
        connecting: Whether a kind that is mirrored from the start is not settled yet.
    """
    if lost:
        return ConnectionState.UNREACHABLE, lost
    readable = [
        (name, state)
        for name, state in settled.items()
        if state.status not in (SyncStatus.NOT_INSTALLED, SyncStatus.FORBIDDEN)
    ]
    behind = [
        (name, state)
        for name, state in readable
        if state.status in (SyncStatus.UNREACHABLE, SyncStatus.SYNCING)
    ]
    down = [state for _, state in behind if state.status is SyncStatus.UNREACHABLE]
    if down and len(down) == len(readable):
        return ConnectionState.UNREACHABLE, down[0].reason
    if connecting:
        return ConnectionState.CONNECTING, ""
    if behind:
        return ConnectionState.STALE, _named(behind)
    forbidden = [state for state in settled.values() if state.status is SyncStatus.FORBIDDEN]
    if forbidden and not readable:
        return ConnectionState.STALE, forbidden[0].reason
    return ConnectionState.SYNCED, ""


def _named(kinds: list[tuple[str, SyncState]]) -> str:
    names = ", ".join(name for name, _ in kinds[:_MOST_NAMED])
    more = f" and {len(kinds) - _MOST_NAMED} more" if len(kinds) > _MOST_NAMED else ""
    reason = next((state.reason for _, state in kinds if state.reason), "")
    return f"{names}{more}: {reason}" if reason else f"{names}{more}"


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How patient a heartbeat is. The defaults lose a silent cluster after 11 seconds at most."""

    silence_seconds: float = 4.0
    """Without a byte, before somebody asks."""
    probe_seconds: float = 3.0
    """For an answer."""
    second_try_seconds: float = 0.5
    """Between two probes, before the second failure decides."""
    retry_seconds: float = 5.0
    """Between the probes of a lost cluster, more or less."""


class Probed(Protocol):
    """What a heartbeat needs of a client."""

    breaker: Breaker
    last_received: float

    async def probe(self, seconds: float) -> None:
        """Ask whether the cluster answers."""


class Heartbeat:
    """Notices that a cluster went away and that it came back.

    Promises: a cluster that sends nothing any more is lost within 15 seconds, however its
    connections died; while it is lost it is asked every few seconds. A refusal (401, 403) is an
    answer, a server error is none; a probe that times out while others receive means nothing.

    Args:
        client: Whom to ask, and when it last received anything.
        suspects: Tells whether the kinds find nobody, so that asking need not wait for silence.
        lost: Called when the cluster is lost.
        found: Called when it answers again.
        rhythm: How patient it is.
    """

    def __init__(
        self,
        client: Probed,
        *,
        suspects: Callable[[], bool],
        lost: Callable[[], None],
        found: Callable[[], None],
        rhythm: Rhythm = Rhythm(),
    ) -> None:
        self._client = client
        self._suspects = suspects
        self._lost = lost
        self._found = found
        self._rhythm = rhythm
        self.failure = ""
        """Why the cluster is lost; empty while it answers."""

    async def run(self) -> None:
        """Watch over the cluster until cancelled."""
        while True:
            await self._until_lost()
            await self._until_found()

    async def _until_lost(self) -> None:
        while True:
            await self._until_doubtful()
            if not await self._probe():
                continue
            await asyncio.sleep(self._rhythm.second_try_seconds)
            failure = await self._probe()
            if failure:
                break
        self._open(failure)
        self._lost()

    async def _until_doubtful(self) -> None:
        """Wait until nothing was received for a while, or somebody finds nobody."""
        while True:
            left = self._client.last_received + self._rhythm.silence_seconds - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, 1.0))
            if self._client.breaker.is_open or self._suspects():
                return

    async def _until_found(self) -> None:
        while True:
            jitter = random.uniform(0.8, 1.2)  # noqa: S311 - spreads probes, no secret
            await asyncio.sleep(self._rhythm.retry_seconds * jitter)
            failure = await self._probe()
            if not failure:
                break
            self._open(failure)
        self.failure = ""
        self._found()

    async def _probe(self) -> str:
        """Ask once; return why that failed."""
        heard = self._client.last_received
        try:
            await self._client.probe(self._rhythm.probe_seconds)
        except ClusterUnavailable as error:
            answered = "status" in error.details
            slow = not answered and self._client.last_received > heard
            return "" if slow else error.message
        except Exception as error:  # noqa: BLE001 - watching over a cluster outlives any surprise
            logger.exception("a probe stumbled")
            return type(error).__name__
        return ""

    def _open(self, failure: str) -> None:
        self.failure = failure
        self._client.breaker.trip(failure, 2 * self._rhythm.retry_seconds)
