"""Reads the end of a failing pod's log while the pod is still there: afterwards nobody can.

Best effort, and never a burden: few at a time, few a minute, and a pod that is gone, or whose log
may not be read, is left with the reason.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from urllib.parse import quote

from cloudpilot.errors import CloudPilotError
from cloudpilot.journal.pod_changes import restarts
from cloudpilot.journal.pods import FailingPod, Tail, failing_container
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.redact import mask_text

logger = logging.getLogger(__name__)

_LINES = 100
_BYTES = 64 * 1024
_AT_ONCE = 2
_MOST_WAITING = 200
_MOST_KEPT = 200
_NEVER_RAN = Tail(note="no container of it ever ran")
_SWITCHED_OFF = Tail(note="reading logs is switched off")


class LogTails:
    """Fetches the tails of failing pods, each once a restart."""

    def __init__(self, client: KubeClient, per_minute: int) -> None:
        self._client = client
        self._per_minute = per_minute
        self._waiting: dict[str, FailingPod] = {}
        self._fetched: dict[str, tuple[int, FailingPod]] = {}
        self._starts: deque[float] = deque()
        self._wanted = asyncio.Condition()

    async def want(self, failing: FailingPod) -> None:
        """Ask for a pod's tail, unless it is there already."""
        pod = failing.pod
        uid = pod.metadata.uid
        if not self._per_minute or failing_container(pod) is None:
            failing.tail = _NEVER_RAN if self._per_minute else _SWITCHED_OFF
            return
        if uid in self._fetched and self._fetched[uid][0] == restarts(pod):
            return
        async with self._wanted:
            self._waiting[uid] = failing
            if len(self._waiting) > _MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]
            self._wanted.notify()

    def forget(self, uid: str) -> None:
        """Let go of a pod that is gone."""
        self._fetched.pop(uid, None)
        self._waiting.pop(uid, None)

    async def run(self) -> None:
        """Fetch what is wanted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            async with self._wanted:
                await self._wanted.wait_for(lambda: self._waiting)
            await self._turn()
            if not self._waiting:
                continue
            uid, failing = self._waiting.popitem()  # the newest: the old ones wait longer to go
            self._remember(uid, failing)
            try:
                failing.tail = await self._fetch(failing)
            except Exception:  # noqa: BLE001 - best effort: no fault of it may stop the mirror
                logger.exception("the log of %s could not be read", failing.pod.name)

    def _remember(self, uid: str, failing: FailingPod) -> None:
        self._fetched.pop(uid, None)
        self._fetched[uid] = (restarts(failing.pod), failing)
        if len(self._fetched) > _MOST_KEPT:
            _, oldest = self._fetched.pop(next(iter(self._fetched)))
            oldest.tail = Tail(note="the log was not kept: too many pods fail")

    async def _turn(self) -> None:
        """Wait until one more may be fetched this minute."""
        loop = asyncio.get_running_loop()
        while self._starts and len(self._starts) >= self._per_minute:
            wait = self._starts[0] + 60.0 - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            self._starts.popleft()
        self._starts.append(loop.time())

    async def _fetch(self, failing: FailingPod) -> Tail:
        found = failing_container(failing.pod)
        if found is None:
            return _NEVER_RAN
        container, restarted = found
        note = ""
        # What a container that was restarted said before it died is the better story.
        for previous in (True, False) if restarted else (False,):
            try:
                return Tail(container, await self._read(failing.pod, container, previous), "")
            except CloudPilotError as error:
                note = f"the log could not be read: {error.message}"
        if failing.tail.text is not None:
            return failing.tail
        return Tail(container, note=mask_text(note))

    async def _read(self, pod: Pod, container: str, previous: bool) -> str:
        path = f"/api/v1/namespaces/{quote(pod.namespace)}/pods/{quote(pod.name)}/log"
        query: dict[str, str | int] = {
            "container": container,
            "tailLines": _LINES,
            "limitBytes": _BYTES,
        }
        if previous:
            query["previous"] = "true"
        answer = await self._client.request(
            "GET", path, query=query, accept="application/json, */*"
        )
        return mask_text(answer.body[-_BYTES:].decode("utf-8", "replace"))
