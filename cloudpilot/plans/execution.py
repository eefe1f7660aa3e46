"""One attempt to carry out one plan: re-read, one write, read back. Touches no database.

Every failure of the cluster ends in a verdict. How far the attempt got decides which: before the
write nothing happened, after it the object tells, in between nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cloudpilot.clusters import Clusters
from cloudpilot.errors import CloudPilotError, ClusterConflict, ClusterUnavailable
from cloudpilot.kube.client import KubeClient
from cloudpilot.plans.diff import clean, field_hash, show_path
from cloudpilot.plans.plan import FieldDiff, PlanState
from cloudpilot.plans.record import Record
from cloudpilot.plans.stale import fresh_diff, staleness
from cloudpilot.plans.write import Write, marker_of

_TRIES = 3
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an execution."""

    state: PlanState
    outcome: str
    fresh_diff: list[FieldDiff] = field(default_factory=list)


class _Phase(Enum):
    """How far an execution got; decides what a deadline means."""

    READING = 1
    SENT = 2
    ANSWERED = 3


class Execution:
    """One attempt to carry out one plan; `run` is called once."""

    def __init__(
        self,
        record: Record,
        clusters: Clusters,
        verify_seconds: float,
        crashpoint: Callable[[str], None],
    ) -> None:
        self._record = record
        self._clusters = clusters
        self._verify_seconds = verify_seconds
        self._crashpoint = crashpoint
        self._write = write_of(record)
        self._phase = _Phase.READING

    async def run(self, deadline_seconds: float) -> Verdict:
        """Return what became of it; every failure of the cluster is a verdict."""
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._apply(self._clusters.get(self._record.cluster).client)
        except TimeoutError:
            return self._interrupted("the deadline passed")
        except CloudPilotError as error:
            return self._interrupted(error.message)

    def _interrupted(self, why: str) -> Verdict:
        if self._phase is _Phase.READING:
            return Verdict(PlanState.FAILED, f"nothing was written: {why}")
        if self._phase is _Phase.SENT:
            return Verdict(PlanState.UNKNOWN, f"the write was sent, its answer is lost: {why}")
        return Verdict(PlanState.UNHEALTHY, f"written, but it could not be read back: {why}")

    async def _apply(self, client: KubeClient) -> Verdict:
        if await client.kube_system_uid() != self._record.cluster_uid:
            return Verdict(PlanState.STALE, f"{self._record.cluster} is another cluster by now")
        for _ in range(_TRIES):
            live = await self._write.read(client)
            if why := staleness(self._record, live):
                fresh = fresh_diff(self._record, live)
                return Verdict(PlanState.STALE, f"nothing was written: {why}", fresh)
            self._crashpoint("before_write")
            if await self._send(client, live):
                self._crashpoint("after_write")
                return await self._verify(client)
        return Verdict(
            PlanState.FAILED, "nothing was written: the object changed during each of three tries"
        )

    async def _send(self, client: KubeClient, live: dict[str, Any] | None) -> bool:
        """Send the write; False if the server says that the object changed, so nothing is done."""
        self._phase = _Phase.SENT
        try:
            await self._write.send(client, live)
        except ClusterConflict:
            self._phase = _Phase.READING
            return False
        except ClusterUnavailable as error:
            if error.details.get("status") == _TOO_MANY_REQUESTS:
                self._phase = _Phase.READING
            raise
        except CloudPilotError:
            self._phase = _Phase.READING
            raise
        self._phase = _Phase.ANSWERED
        return True

    async def _verify(self, client: KubeClient) -> Verdict:
        clock = asyncio.get_running_loop().time
        end = clock() + self._verify_seconds
        while True:
            verdict = verdict_of(self._record, await self._write.read(client))
            if verdict.state is PlanState.SUCCEEDED or clock() >= end:
                return verdict
            await asyncio.sleep(0.2)


def write_of(record: Record) -> Write:
    """Return the request that a record stands for."""
    return Write(
        plan_id=record.id,
        verb=record.verb,
        kind=record.kind,
        namespace=record.namespace,
        name=record.name,
        body=record.body,
    )


def is_written(record: Record, live: dict[str, Any] | None) -> bool:
    """Tell from the object whether this plan's write was done."""
    if record.verb == "delete":
        return (
            live is None
            or live["metadata"]["uid"] != record.object_uid
            or bool(live["metadata"].get("deletionTimestamp"))
        )
    return marker_of(live) == record.id


def verdict_of(record: Record, live: dict[str, Any] | None) -> Verdict:
    """Judge an object after its write was done."""
    what = f"{record.kind} {record.name}"
    if record.verb == "delete":
        if live is None or live["metadata"]["uid"] != record.object_uid:
            return Verdict(PlanState.SUCCEEDED, f"{what} is deleted")
        holders = ", ".join(live["metadata"].get("finalizers") or []) or "nothing known"
        return Verdict(
            PlanState.UNHEALTHY, f"the deletion is accepted, but {what} is held by: {holders}"
        )
    if live is None:
        return Verdict(PlanState.UNHEALTHY, f"{what} was written, but is gone again")
    now = clean(live)
    other = [
        show_path(item.path) for item in record.touched if field_hash(now, item.path) != item.after
    ]
    if other:
        return Verdict(
            PlanState.UNHEALTHY, f"{what} was written, but is not as planned: {', '.join(other)}"
        )
    return Verdict(PlanState.SUCCEEDED, f"{what} is {record.verb}d as planned")
