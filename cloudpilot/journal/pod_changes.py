"""What a pod's new status means: restarts, failures, readiness lost and found. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from cloudpilot.db.journal_records import Entry, What
from cloudpilot.journal.facts import entry_about, shown
from cloudpilot.kube.differences import Item, show_steps
from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects.pod import ContainerStatus, Pod, Terminated
from cloudpilot.kube.pod_status import PodSummary, summarize
from cloudpilot.kube.redact import mask_text
from cloudpilot.kube.timestamps import parse_time

POD = KINDS["Pod"]
_STARTING = frozenset({"NotReady", "Pending", "SchedulingGated"})
"""Reasons that every pod may have for a moment while it starts."""


def pod_is_quiet(old: Pod, new: Pod) -> bool:
    """Tell whether nothing but the heartbeat of a pod differs."""
    return (
        old.status == new.status
        and old.spec == new.spec
        and old.metadata.deletion_timestamp == new.metadata.deletion_timestamp
    )


def pod_changes(old: Pod, new: Pod, now: datetime) -> Iterator[Entry]:
    """Yield restarts, a new failure, a change of readiness."""
    yield from _restarts(old, new, now)
    before, after = failure(old), failure(new)
    if after is not None and (before is None or before.reason != after.reason):
        yield failing_entry(new, after, _ended(new, now), before.reason if before else None)
    yield from _readiness(old, new, now)


def failure(pod: Pod) -> PodSummary | None:
    """Return how a pod fails; None for one that works, starts or is told to stop."""
    summary = summarize(pod)
    if not summary.failing or summary.reason in _STARTING:
        return None
    return summary


def failing_entry(
    pod: Pod, summary: PodSummary, time: datetime, before: str | None = None
) -> Entry:
    """Tell how a pod fails."""
    return entry_about(
        POD,
        pod,
        What.POD_FAILING,
        time,
        before=before,
        after=summary.reason,
        reason=summary.reason,
        exit_code=exit_code(pod),
        message=_text(summary.message),
    )


def exit_code(pod: Pod) -> int | None:
    """Return how the first container that did not end well ended."""
    for container in statuses(pod):
        for ended in (container.state.terminated, container.last_state.terminated):
            if ended is not None and ended.exit_code != 0:
                return ended.exit_code
    return None


def restarts(pod: Pod) -> int:
    """Return how often containers of a pod were restarted."""
    return sum(container.restart_count for container in statuses(pod))


def statuses(pod: Pod) -> tuple[ContainerStatus, ...]:
    """Return every container's status."""
    return (*pod.status.init_container_statuses, *pod.status.container_statuses)


def _ended(pod: Pod, now: datetime) -> datetime:
    """Return when a container of a pod ended last; now if none did."""
    states = [state for c in statuses(pod) for state in (c.state, c.last_state)]
    ends = [parse_time(state.terminated.finished_at) for state in states if state.terminated]
    return min(now, max((end for end in ends if end is not None), default=now))


def _restarts(old: Pod, new: Pod, now: datetime) -> Iterator[Entry]:
    counts = {container.name: container.restart_count for container in statuses(old)}
    for container in statuses(new):
        before = counts.get(container.name, 0)
        if container.restart_count <= before:
            continue
        ended = container.last_state.terminated or Terminated()
        finished = parse_time(ended.finished_at)
        field = ("status", "containerStatuses", Item(container.name), "restartCount")
        yield entry_about(
            POD,
            new,
            What.RESTART,
            min(finished, now) if finished else now,
            field=show_steps(field),
            before=str(before),
            after=str(container.restart_count),
            reason=ended.reason,
            exit_code=ended.exit_code if container.last_state.terminated else None,
            message=_text(ended.message.strip()),
        )


def _readiness(old: Pod, new: Pod, now: datetime) -> Iterator[Entry]:
    """Tell of running pods whose probe began to fail, and of pods that became ready.

    Every pod becomes ready once: who keeps entries knows whether it had been ready before.
    """
    was, ready = _ready(old), _ready(new)
    if was is ready or new.metadata.deletion_timestamp:
        return
    if not ready and (new.status.phase != "Running" or summarize(new).reason != "NotReady"):
        return
    yield entry_about(
        POD,
        new,
        What.READINESS,
        now,
        field="status.conditions.Ready",
        before=str(was),
        after=str(ready),
        reason="" if ready else "NotReady",
        message="" if ready else _text(summarize(new).message),
    )


def _ready(pod: Pod) -> bool:
    return any(c.type == "Ready" and c.status == "True" for c in pod.status.conditions)


def _text(message: str) -> str:
    return shown(mask_text(message)) or ""
