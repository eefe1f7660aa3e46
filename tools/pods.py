"""Pods: which there are, which fail and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from cloudpilot.arguments import (
    After,
    AnyNamespace,
    Limit,
    Name,
    Namespace,
    every_namespace,
    no_such,
    page,
)
from cloudpilot.context import CallContext
from cloudpilot.kube.objects.event import Event
from cloudpilot.kube.objects.pod import Container, ContainerState, ContainerStatus, Pod
from cloudpilot.kube.pod_status import PodSummary
from cloudpilot.kube.timestamps import parse_time
from cloudpilot.monitor.shapes import Fresh, Shape
from cloudpilot.operation import Toolset

toolset = Toolset("pods")

_MOST_EVENTS = 20


class PodRow(Shape):
    """One pod in a line."""

    namespace: str
    name: str
    status: str
    """The STATUS column of `kubectl get pods`."""
    ready: str
    """Ready containers of all, `1/2`."""
    restarts: int
    node: str | None
    created: datetime | None
    reason: str | None
    """Why it does not work, in one word: OOMKilled, ImagePullBackOff, Unschedulable, ..."""
    message: str | None
    """Why it does not work, in one sentence."""


class PodList(Fresh):
    """Pods of a namespace or of the whole cluster."""

    namespace: str
    """`*` for all."""
    total: int
    """How many match; `items` may hold fewer."""
    failing: int
    """How many of those somebody should look at."""
    shown: int
    next: str | None
    """Give this as `after` for the following page; null on the last."""
    items: list[PodRow]


class ContainerDetail(Shape):
    """One container of a pod."""

    name: str
    image: str
    init: bool
    ready: bool
    restarts: int
    state: str
    last_state: str | None
    """How it ended the last time."""
    requests: dict[str, str]
    limits: dict[str, str]


class EventRow(Shape):
    """One event about an object."""

    type: str
    reason: str
    message: str
    count: int
    last_seen: datetime | None


class PodAnswer(Fresh):
    """One pod with its containers and recent events."""

    pod: PodRow
    owner: str | None
    """Kind and name of the controller that made it."""
    labels: dict[str, str]
    conditions: dict[str, str]
    """Condition type to `True`, or to its status with the reason."""
    containers: list[ContainerDetail]
    events: list[EventRow]
    """Newest first, at most 20."""


@toolset.operation(
    "GET /pods",
    reads=("Pod", "Namespace", "Node"),
    example={"namespace": "shop", "failing": True},
)
async def list_pods(
    ctx: CallContext,
    namespace: AnyNamespace | None = None,
    failing: Annotated[
        bool, Field(description="Only pods that do not work, each with the reason")
    ] = False,
    node: Annotated[Name | None, Field(description="Only pods on this node")] = None,
    limit: Limit = 100,
    after: After | None = None,
) -> PodList:
    """List pods with status, restarts and, where one does not work, why.

    Use when someone asks which pods fail, crash, restart or wait, and why; or how many pods there
    are. Not for the details of one pod: get that pod.
    """
    monitor, cache = ctx.cluster.monitor, ctx.cluster.cache
    monitor.require("Pod")
    where = every_namespace(namespace)
    if where is not None and cache["Namespace"].state.known:
        _check_namespace(ctx, where)
    now = datetime.now(UTC)
    found = cache["Pod"].list(where)
    failures = monitor.failing_pods(where)
    if node is not None:
        found = [pod for pod in found if pod.spec.node_name == node]
        failures = sum(monitor.summary(pod, now).failing for pod in found)
    if failing:
        found = [pod for pod in found if monitor.summary(pod, now).failing]
    if node is not None and not found:
        _check_node(ctx, node)
    keys = (f"{pod.namespace}/{pod.name}" for pod in found)
    shown, following = page(found, keys, limit, after)
    return PodList(
        **dict(monitor.freshness("Pod")),
        namespace=where or "*",
        total=len(found),
        failing=failures,
        shown=len(shown),
        next=following,
        items=[_row(pod, monitor.summary(pod, now)) for pod in shown],
    )


@toolset.operation(
    "GET /namespaces/{namespace}/pods/{name}",
    reads=("Pod", "Event"),
    example={"namespace": "payments", "name": "ledger-0"},
)
async def get_pod(ctx: CallContext, namespace: Namespace, name: Name) -> PodAnswer:
    """Show one pod: status and why, containers with images, limits and last state, events.

    Use when someone asks what is wrong with one pod, or what happened to it.
    """
    monitor, cache = ctx.cluster.monitor, ctx.cluster.cache
    pod = cache["Pod"].get(namespace, name)
    if pod is None:
        monitor.require("Pod")
        known = (f"{p.namespace}/{p.name}" for p in cache["Pod"].list())
        raise no_such("pod", f"{namespace}/{name}", known)
    owner = next((o for o in pod.metadata.owner_references if o.controller), None)
    return PodAnswer(
        **dict(monitor.freshness("Pod", "Event")),
        pod=_row(pod, monitor.summary(pod, datetime.now(UTC))),
        owner=f"{owner.kind} {owner.name}" if owner else None,
        labels=pod.metadata.labels,
        conditions={
            c.type: c.status if c.status == "True" else f"{c.status} {c.reason}".strip()
            for c in pod.status.conditions
        },
        containers=list(_containers(pod)),
        events=_events(cache["Event"].list(namespace), pod),
    )


def _check_namespace(ctx: CallContext, namespace: str) -> None:
    monitor = ctx.cluster.monitor
    if monitor.namespace(namespace) is None:
        raise no_such("namespace", namespace, (item.name for item in monitor.namespaces()))


def _check_node(ctx: CallContext, node: str) -> None:
    """Tell an empty node from none; pods may outlive their node, so they are looked for first."""
    nodes = ctx.cluster.cache["Node"]
    if nodes.state.known and nodes.get("", node) is None:
        raise no_such("node", node, (item.name for item in nodes.list()))


def _row(pod: Pod, summary: PodSummary) -> PodRow:
    return PodRow(
        namespace=pod.namespace,
        name=pod.name,
        status=summary.status,
        ready=f"{summary.ready}/{summary.containers}",
        restarts=summary.restarts,
        node=pod.spec.node_name or None,
        created=parse_time(pod.metadata.creation_timestamp),
        reason=summary.reason or None,
        message=summary.message or None,
    )


def _containers(pod: Pod) -> Iterator[ContainerDetail]:
    status = pod.status
    parts = (
        (True, pod.spec.init_containers, status.init_container_statuses),
        (False, pod.spec.containers, status.container_statuses),
    )
    for init, wanted, seen in parts:
        by_name = {item.name: item for item in seen}
        for container in wanted:
            yield _container(container, by_name.get(container.name), init)


def _container(wanted: Container, seen: ContainerStatus | None, init: bool) -> ContainerDetail:
    resources = wanted.resources
    last = _state(seen.last_state) if seen else None
    return ContainerDetail(
        name=wanted.name,
        image=wanted.image,
        init=init,
        ready=bool(seen and seen.ready),
        restarts=seen.restart_count if seen else 0,
        state=(_state(seen.state) if seen else None) or "not started",
        last_state=last,
        requests={key: str(value) for key, value in resources.requests.items()},
        limits={key: str(value) for key, value in resources.limits.items()},
    )


def _state(state: ContainerState) -> str | None:
    if state.waiting:
        return ": ".join(part for part in (state.waiting.reason, state.waiting.message) if part)
    if state.terminated:
        ended = state.terminated
        when = f" at {ended.finished_at}" if ended.finished_at else ""
        said = f": {ended.message.strip()}" if ended.message else ""
        return f"{ended.reason or 'Terminated'} (exit code {ended.exit_code}){when}{said}"
    if state.running:
        return f"running since {state.running.started_at}"
    return None


def _events(events: Sequence[Event], pod: Pod) -> list[EventRow]:
    mine = [
        event
        for event in events
        if event.involved_object.kind == "Pod"
        and event.involved_object.name == pod.name
        and event.involved_object.uid in ("", pod.metadata.uid)
    ]
    mine.sort(key=lambda event: event.last_seen, reverse=True)
    return [
        EventRow(
            type=event.type,
            reason=event.reason,
            message=event.message,
            count=event.times,
            last_seen=parse_time(event.last_seen),
        )
        for event in mine[:_MOST_EVENTS]
    ]
