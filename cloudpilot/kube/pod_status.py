"""What state a pod is in, in the words of `kubectl get pods`, and why it does not work. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cloudpilot.kube.objects.meta import Condition
from cloudpilot.kube.objects.pod import Container, ContainerStatus, Pod, Terminated
from cloudpilot.kube.quantity import cpu_millicores, memory_bytes
from cloudpilot.kube.timestamps import parse_time

_EXIT_CODES = {
    1: "the program ended with an error",
    126: "the command cannot be executed",
    127: "the command was not found",
    134: "the program aborted",
    137: "killed (SIGKILL)",
    139: "segmentation fault",
    143: "terminated (SIGTERM)",
}
RECENT = timedelta(minutes=10)
"""How long a crash is held against a pod that runs again: client-go's longest crash back-off
is five minutes, so a pod in a crash loop never looks healthy in between."""
_STARTING = frozenset({"ContainerCreating", "PodInitializing"})


@dataclass(frozen=True, slots=True)
class PodSummary:
    """One pod in a line."""

    status: str
    """The STATUS column of `kubectl get pods`."""
    ready: int
    containers: int
    restarts: int
    failing: bool
    """Whether somebody should look at it."""
    reason: str
    """Machine-readable: OOMKilled, ImagePullBackOff, Unschedulable, ...; empty if it works."""
    message: str
    """One sentence that says why it does not work; empty if it does."""


def summarize(pod: Pod, now: datetime | None = None) -> PodSummary:
    """Summarize a pod from its own status.

    Args:
        pod: The pod.
        now: With a time, a pod that runs but crashed shortly before counts as failing too:
            between two crashes a crash loop looks like health.
    """
    sidecars = {c.name for c in pod.spec.init_containers if c.restart_policy == "Always"}
    main = pod.status.container_statuses
    helpers = [c for c in pod.status.init_container_statuses if c.name in sidecars]
    counted = [*main, *helpers]
    status = _status(pod, sidecars)
    restarting = pod.status.init_container_statuses if _initializing(pod, sidecars) else counted
    reason, message = _why(pod, status)
    if not reason and now is not None:
        reason, message = _crashed_lately(pod, now)
    return PodSummary(
        status=status,
        ready=sum(c.ready for c in counted),
        containers=len(pod.spec.containers) + len(sidecars),
        restarts=sum(c.restart_count for c in restarting),
        failing=bool(reason),
        reason=reason,
        message=message,
    )


def _status(pod: Pod, sidecars: set[str]) -> str:
    if pod.metadata.deletion_timestamp and pod.status.reason == "NodeLost":
        return "Unknown"
    if pod.metadata.deletion_timestamp and pod.status.phase not in ("Succeeded", "Failed"):
        return "Terminating"
    gated = _condition(pod, "PodScheduled")
    if gated and gated.reason == "SchedulingGated":
        return "SchedulingGated"
    beginning = _init_status(pod, sidecars)
    if _initializing(pod, sidecars):
        return beginning
    return _container_status(pod) or beginning or pod.status.reason or pod.status.phase


def _initializing(pod: Pod, sidecars: set[str]) -> bool:
    """Whether the init containers are still at it; a sidecar that fails later does not count."""
    done = _condition(pod, "Initialized")
    return bool(_init_status(pod, sidecars)) and not (done and done.status == "True")


def _init_status(pod: Pod, sidecars: set[str]) -> str:
    """Return `Init:...` while an init container has not done its work."""
    total = len(pod.spec.init_containers)
    for done, container in enumerate(pod.status.init_container_statuses):
        state = container.state
        if state.terminated and state.terminated.exit_code == 0:
            continue
        if container.name in sidecars and container.started:
            continue
        if state.terminated:
            return f"Init:{_ended(container)}"
        if state.waiting and state.waiting.reason not in ("", "PodInitializing"):
            return f"Init:{state.waiting.reason}"
        return f"Init:{done}/{total}"
    return ""


def _container_status(pod: Pod) -> str:
    status = ""
    running = False
    for container in reversed(pod.status.container_statuses):
        state = container.state
        if state.waiting and state.waiting.reason:
            status = state.waiting.reason
        elif state.terminated:
            status = _ended(container)
        elif container.ready and state.running:
            running = True
    if status == "Completed" and running:
        ready = _condition(pod, "Ready")
        return "Running" if ready and ready.status == "True" else "NotReady"
    return status


def _ended(container: ContainerStatus) -> str:
    ended = container.state.terminated
    if ended is None:
        return ""
    if ended.reason:
        return ended.reason
    return f"Signal:{ended.signal}" if ended.signal else f"ExitCode:{ended.exit_code}"


def _why(pod: Pod, status: str) -> tuple[str, str]:
    """Return reason and sentence of a pod that does not work; empty strings for one that does."""
    if pod.metadata.deletion_timestamp or pod.status.phase == "Succeeded":
        return "", ""
    if pod.status.phase == "Failed":
        cause = _worst_container(pod)
        if cause:
            return cause
        reason = pod.status.reason or "Failed"
        return reason, pod.status.message or f"the pod failed ({reason})"
    scheduled = _condition(pod, "PodScheduled")
    if scheduled and scheduled.status == "False":
        return scheduled.reason or "Unschedulable", scheduled.message or "it is not scheduled"
    cause = _worst_container(pod)
    if cause:
        return cause
    if status == "Pending" and not pod.spec.node_name:
        return "Pending", "no scheduler has placed it yet"
    return _not_ready(pod)


def _worst_container(pod: Pod) -> tuple[str, str] | None:
    for container in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        cause = _container_cause(pod, container)
        if cause:
            return cause
    return None


def _container_cause(pod: Pod, container: ContainerStatus) -> tuple[str, str] | None:
    waiting, ended = container.state.waiting, container.state.terminated
    last = container.last_state.terminated
    where = f"container {container.name!r}"
    if ended and ended.exit_code != 0:
        reason = ended.reason or "Error"
        return reason, f"{where} {_describe_end(pod, container.name, ended)}"
    if waiting and waiting.reason and waiting.reason not in _STARTING:
        if waiting.reason == "CrashLoopBackOff" and last:
            reason = last.reason if last.reason not in ("", "Error", "Completed") else ""
            ending = _describe_end(pod, container.name, last)
            return (
                reason or "CrashLoopBackOff",
                f"{where} {ending}; restarted {container.restart_count} times",
            )
        tail = f": {waiting.message}" if waiting.message else ""
        if "Image" in waiting.reason:
            image = _image(pod, container.name)
            # The kubelet repeats the image in each layer of its message; the last says why.
            cause = waiting.message.rpartition(": ")[2]
            tail = f": {cause}" if cause and image not in cause else ""
            return waiting.reason, f"{where} cannot get its image {image!r}{tail}"
        return waiting.reason, f"{where} is waiting{tail or f' ({waiting.reason})'}"
    return None


def _describe_end(pod: Pod, name: str, ended: Terminated) -> str:
    code = ended.exit_code
    if ended.reason == "OOMKilled":
        limit = _memory_limit(pod, name)
        over = f" over its memory limit of {limit}" if limit else ""
        return f"was killed{over} (OOMKilled, exit code {code})"
    said = ended.message.strip()
    meaning = _EXIT_CODES.get(code, "")
    if code == 0:
        return "ends by itself (exit code 0) although it should keep running"
    text = f"ended with exit code {code}"
    if meaning:
        text += f", {meaning}"
    return f"{text}: {said}" if said else text


def _not_ready(pod: Pod) -> tuple[str, str]:
    ready = _condition(pod, "Ready")
    if pod.status.phase != "Running" or ready is None or ready.status == "True":
        return "", ""
    waiting = [c.name for c in pod.status.container_statuses if c.state.running and not c.ready]
    if not waiting:
        return "", ""
    names = ", ".join(repr(name) for name in waiting)
    return "NotReady", f"{names} runs but is not ready: {ready.message or 'its probe fails'}"


def last_crash(container: ContainerStatus) -> Terminated | None:
    """Return how a container that runs again ended before, if that was a crash."""
    last = container.last_state.terminated
    return last if last and last.exit_code != 0 and container.state.running else None


def _crashed_lately(pod: Pod, now: datetime) -> tuple[str, str]:
    if pod.metadata.deletion_timestamp:
        return "", ""
    for container in pod.status.container_statuses:
        last = last_crash(container)
        when = parse_time(last.finished_at) if last else None
        if last is None or when is None or now - when > RECENT:
            continue
        ending = _describe_end(pod, container.name, last)
        minutes = int((now - when).total_seconds() // 60)
        ago = f"{minutes} min ago" if minutes else "less than a minute ago"
        return (
            last.reason if last.reason not in ("", "Error") else "Crashed",
            f"container {container.name!r} {ending} {ago}; restarted "
            f"{container.restart_count} times, runs again",
        )
    return "", ""


def _condition(pod: Pod, kind: str) -> Condition | None:
    return next((c for c in pod.status.conditions if c.type == kind), None)


def _container(pod: Pod, name: str) -> Container | None:
    every = (*pod.spec.containers, *pod.spec.init_containers)
    return next((c for c in every if c.name == name), None)


def _image(pod: Pod, name: str) -> str:
    container = _container(pod, name)
    return container.image if container else ""


def _memory_limit(pod: Pod, name: str) -> str:
    container = _container(pod, name)
    return str(container.resources.limits.get("memory", "")) if container else ""


@dataclass(frozen=True, slots=True)
class PodResources:
    """What the scheduler reckons a pod needs, and what it may use."""

    cpu_requests: int = 0
    """Millicores."""
    cpu_limits: int = 0
    memory_requests: int = 0
    """Bytes."""
    memory_limits: int = 0


def resources_of(pod: Pod) -> PodResources:
    """Return what a pod counts for: nothing once it has ended.

    Containers run together and add up; init containers run before them one by one, so the largest
    counts; sidecars run beside both; overhead comes on top; pod-level values win.
    """
    if pod.status.phase in ("Succeeded", "Failed"):
        return PodResources()
    return PodResources(
        cpu_requests=_total(pod, "requests", "cpu"),
        cpu_limits=_total(pod, "limits", "cpu"),
        memory_requests=_total(pod, "requests", "memory"),
        memory_limits=_total(pod, "limits", "memory"),
    )


def _total(pod: Pod, side: str, resource: str) -> int:
    parse = cpu_millicores if resource == "cpu" else memory_bytes
    overhead = parse(pod.spec.overhead.get(resource))
    if pod.spec.resources is not None and resource in getattr(pod.spec.resources, side):
        return parse(getattr(pod.spec.resources, side)[resource]) + overhead
    together = sum(parse(getattr(c.resources, side).get(resource)) for c in pod.spec.containers)
    sidecars = peak = 0
    for container in pod.spec.init_containers:
        amount = parse(getattr(container.resources, side).get(resource))
        if container.restart_policy == "Always":
            sidecars += amount
            peak = max(peak, sidecars)
        else:
            peak = max(peak, sidecars + amount)
    total = max(together + sidecars, peak)
    return total + overhead if total or side == "requests" else 0
