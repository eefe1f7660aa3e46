"""Pods that fail: told once, not at each turn of a crash loop, and remembered when they go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from cloudpilot.cache.delta import Delta
from cloudpilot.db.journal_records import Entry, LastState, What
from cloudpilot.journal.pod_changes import failing_entry, failure, restarts, statuses
from cloudpilot.kube.objects.pod import Pod
from cloudpilot.kube.timestamps import parse_time

_HEALED = timedelta(minutes=10)
"""How long a pod must have been well before its next failure is news; longer than the longest
pause between two restarts."""
_SAME = {"CrashLoopBackOff": "crash", "Error": "crash", "Crashed": "crash", "Completed": "crash"}
_MOST_PODS = 2_000


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a container's log, or why there is none."""

    container: str = ""
    text: str | None = None
    note: str = "there was no time to read the log"


@dataclass(slots=True)
class FailingPod:
    """A pod that failed at least once."""

    pod: Pod
    owner: tuple[str, str]
    reasons: set[str] = field(default_factory=set)
    """Which failures were told already."""
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    healed: datetime | None = None
    """When it became ready after its last failure."""
    tail: Tail = Tail()

    def is_well(self, now: datetime) -> bool:
        """Say whether it has recovered: between two crashes a crash loop looks like health."""
        if not self.reason or self.healed is None:
            return not self.reason
        return not restarts(self.pod) or now - self.healed > _HEALED


class FailingPods:
    """All pods of a cluster that failed and are not gone yet, the oldest forgotten first."""

    def __init__(self) -> None:
        self._pods: dict[str, FailingPod] = {}
        self.gone: list[LastState] = []
        """Those that went away since somebody took them out of here."""

    def get(self, uid: str) -> FailingPod | None:
        """Return a failing pod."""
        return self._pods.get(uid)

    def first_seen(self, pod: Pod, owner: tuple[str, str], now: datetime) -> Entry | None:
        """Take note of a pod that failed before anybody watched; return how it does."""
        summary = failure(pod)
        if summary is None:
            return None
        entry = failing_entry(pod, summary, _since(pod, now))
        known = self._note(pod, owner)
        known.reasons.add(_sort(entry.reason))
        known.reason, known.message, known.exit_code = entry.reason, entry.message, entry.exit_code
        return entry

    def follow(self, delta: Delta, entries: Iterable[Entry], owner: tuple[str, str]) -> list[Entry]:
        """Follow a pod's change; return those of its entries that are news."""
        pod: Pod = delta.new or delta.old
        known = self._pods.get(pod.metadata.uid)
        if known is not None and delta.new is not None:
            known.pod = pod
        told = [entry for entry in entries if self._is_news(entry, pod, owner)]
        if delta.new is None and delta.old is not None:
            return list(self._part(delta.old, told))
        return told

    def _is_news(self, entry: Entry, pod: Pod, owner: tuple[str, str]) -> bool:
        known = self._pods.get(entry.uid)
        if entry.what is What.POD_FAILING:
            known = self._note(pod, owner)
            if known.healed is not None and entry.time - known.healed > _HEALED:
                known.reasons.clear()
            known.healed = None
            known.reason, known.message = entry.reason, entry.message
            known.exit_code = entry.exit_code
            sort = _sort(entry.reason)
            news = sort not in known.reasons
            known.reasons.add(sort)
            return news
        if entry.what is What.RESTART and entry.exit_code:
            known = self._note(pod, owner)
            if not known.reason:
                known.reason, known.message = entry.reason or "Error", entry.message
                known.exit_code = entry.exit_code
        elif entry.what is What.READINESS and entry.after == "False":
            self._note(pod, owner).reasons.add("NotReady")
        elif entry.what is What.READINESS:
            if known is None:
                return False
            known.healed = entry.time
            # A container that was restarted becomes ready at each turn.
            return "NotReady" in known.reasons or not restarts(pod)
        return True

    def _part(self, pod: Pod, entries: list[Entry]) -> Iterator[Entry]:
        """Let a pod go; if it failed to the end, its deletion says how."""
        known = self._pods.pop(pod.metadata.uid, None)
        for entry in entries:
            if entry.what is not What.DELETED or known is None or known.is_well(entry.time):
                yield entry
                continue
            self.gone.append(_last_state(known, entry.time))
            yield msgspec.structs.replace(
                entry, reason=known.reason, message=known.message, exit_code=known.exit_code
            )

    def _note(self, pod: Pod, owner: tuple[str, str]) -> FailingPod:
        known = self._pods.get(pod.metadata.uid)
        if known is None:
            known = self._pods[pod.metadata.uid] = FailingPod(pod, owner)
            if len(self._pods) > _MOST_PODS:
                del self._pods[next(iter(self._pods))]
        return known


def failing_container(pod: Pod) -> tuple[str, bool] | None:
    """Return the container whose log tells most, and whether that of its run before does.

    None if no container of the pod ever ran.
    """
    ran = [c for c in statuses(pod) if not c.state.waiting or c.restart_count]
    if not ran:
        return None
    worst = max(ran, key=lambda c: (c.restart_count, not c.ready))
    return worst.name, worst.restart_count > 0


def _last_state(known: FailingPod, gone: datetime) -> LastState:
    pod = known.pod
    return LastState(
        kind="Pod",
        namespace=pod.namespace,
        name=pod.name,
        uid=pod.metadata.uid,
        owner_kind=known.owner[0],
        owner_name=known.owner[1],
        gone=gone,
        node=pod.spec.node_name,
        reason=known.reason,
        message=known.message,
        exit_code=known.exit_code,
        restarts=restarts(pod),
        container=known.tail.container,
        log=known.tail.text,
        log_note=known.tail.note,
    )


def _sort(reason: str) -> str:
    return "image" if "Image" in reason else _SAME.get(reason, reason)


def _since(pod: Pod, now: datetime) -> datetime:
    """Return since when a pod is as it is: its last turn of readiness."""
    turned = [c.last_transition_time for c in pod.status.conditions if c.type == "Ready"]
    return parse_time(next(iter(turned), None) or pod.metadata.creation_timestamp) or now
