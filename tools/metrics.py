"""Usage: what nodes, namespaces and workloads use now, and what they used before."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from cloudpilot.arguments import AnyNamespace, Limit, every_namespace, no_such
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.context import CallContext
from cloudpilot.errors import InvalidArguments, NotFound
from cloudpilot.moments import parse_duration, parse_moment
from cloudpilot.monitor.shapes import Fresh, Shape
from cloudpilot.operation import Toolset
from cloudpilot.usage.points import Point, gaps_between, join, widen
from cloudpilot.usage.sample import Sample, Scope
from cloudpilot.usage.shapes import (
    ClaimRow,
    Subject,
    UsageRow,
    claim_rows,
    past_subjects,
    select,
    size_of,
    subject_of,
    usage_known,
    usage_row,
)

toolset = Toolset("metrics")

_READS = ("Node", "Namespace", "Pod", "ReplicaSet", "Job", "PersistentVolumeClaim")
_KIND_OF = {Scope.NODE: "Node", Scope.NAMESPACE: "Namespace", Scope.WORKLOAD: "Pod"}
_BEHIND = (SyncStatus.UNREACHABLE, SyncStatus.SYNCING)
_STEPS = (1, 5, 15, 30, 60, 120, 360, 720, 1440)
"""Minutes between points, of which one is chosen."""
_QUARTER = 15
_USUAL_POINTS, _MOST_POINTS = 100, 500
_MOST_CLAIMS, _MOST_GAPS = 50, 20
_OLD = timedelta(minutes=3)

_Scope = Annotated[
    Literal["node", "namespace", "workload"],
    Field(description="Of what: nodes, namespaces, or workloads (Deployments, StatefulSets, ...)"),
]
_Name = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Za-z]+/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253),
    Field(description="Its name; a workload's may have its kind before it: `deployment/cart`"),
]
_Time = Annotated[
    str,
    StringConstraints(max_length=40),
    Field(description="`30m`, `2h` or `7d` ago, or a time such as 2026-01-31T12:00:00Z"),
]
_SortBy = Annotated[
    Literal["cpu", "memory", "pods", "restarts", "storage"],
    Field(description="The largest first, as `kubectl top --sort-by`; without usage by requests"),
]
FigureName = Annotated[
    Literal[
        "cpu_usage_millicores",
        "cpu_requests_millicores",
        "cpu_limits_millicores",
        "cpu_allocatable_millicores",
        "memory_usage_bytes",
        "memory_requests_bytes",
        "memory_limits_bytes",
        "memory_allocatable_bytes",
        "pods",
        "pods_measured",
        "pods_allocatable",
        "restarts",
        "ephemeral_storage_capacity_bytes",
        "ephemeral_storage_allocatable_bytes",
        "claims",
        "claims_pending",
        "storage_requests_bytes",
        "storage_capacity_bytes",
    ],
    Field(description="Which figure"),
]


class UsageList(Fresh):
    """Usage now, the largest first."""

    scope: str
    usage_known: bool
    """Whether the cluster's metrics API told what is used; if not, `missing` says why."""
    samples_since: datetime | None
    """Since when there is a history; null if there is none."""
    total: int
    shown: int
    items: list[UsageRow]
    claims: list[ClaimRow] | None
    """PersistentVolumeClaims of the one namespace asked for, at most 50."""


class UsagePoint(Shape):
    """What a figure was in some time."""

    time: datetime
    """When that time begins."""
    mean: float
    min: int | None
    """Null where it was not kept: longer ago than a day only mean and maximum are."""
    max: int
    samples: int
    """Of how many minutes it is made; the others are missing."""


class UsageGap(Shape):
    """A time without samples."""

    since: datetime
    until: datetime


class UsageHistoryAnswer(Fresh, Subject):
    """How one figure went. Minutes without a sample are left out, never filled in."""

    scope: str
    field: str
    since: datetime
    until: datetime
    step_seconds: int
    """How much time a point stands for: more than asked for where only 15 minutes were kept or
    there would be more than 500 points."""
    samples_since: datetime | None
    """Since when there is a history of this cluster; null if there is none."""
    summary: UsagePoint | None
    """All of it in one point; null if nothing is known."""
    gaps: list[UsageGap]
    """The longest times without samples since there is a history, at most 20."""
    points: list[UsagePoint]


@toolset.operation("GET /usage", reads=_READS, example={"scope": "workload", "namespace": "shop"})
async def get_usage(
    ctx: CallContext,
    scope: _Scope = "node",
    namespace: AnyNamespace | None = None,
    name: _Name | None = None,
    sort_by: _SortBy = "cpu",
    limit: Limit = 20,
) -> UsageList:
    """Show CPU and memory usage, requests, limits and room now, the largest first (`kubectl top`).

    Use when someone asks what uses most CPU or memory, how full nodes are, or whether requests fit
    what is used. Not for how it went over time: get the usage history.
    """
    sampler, which = ctx.cluster.sampler, Scope(scope)
    where = _where(which, namespace)
    sample = await sampler.current()
    figures = sample.figures[which]
    wanted = select(sample, which, where, name)
    if not wanted and (name or where or not figures):
        ctx.cluster.monitor.require(_KIND_OF[which])
        if name or where:
            raise _no_such(sample, which, where, name)
    wanted.sort(key=lambda subject: size_of(figures[subject], sort_by), reverse=True)
    one = wanted[0] if which is Scope.NAMESPACE and (name or where) else None
    return UsageList(
        **_freshness(ctx, sample),
        scope=scope,
        usage_known=usage_known(sample, which),
        samples_since=await sampler.oldest(),
        total=len(wanted),
        shown=min(limit, len(wanted)),
        items=[usage_row(which, subject, figures[subject]) for subject in wanted[:limit]],
        claims=claim_rows(ctx.cluster.cache, one, _MOST_CLAIMS) if one else None,
    )


@toolset.operation(
    "GET /usage/history",
    reads=_READS,
    example={"scope": "workload", "namespace": "shop", "name": "cart", "since": "1h"},
)
async def get_usage_history(
    ctx: CallContext,
    scope: _Scope,
    name: _Name,
    namespace: AnyNamespace | None = None,
    field: FigureName = "memory_usage_bytes",
    since: _Time = "1h",
    until: Annotated[_Time | None, Field(description="The end; nothing means now")] = None,
    step: Annotated[
        str | None, Field(description="Time between points: `5m`, `1h`; nothing chooses it")
    ] = None,
) -> UsageHistoryAnswer:
    """Show how CPU, memory, pods or restarts of one node, namespace or workload went over time.

    Use when someone asks whether usage grows, leaks or peaks, or how it was before an incident.
    Every minute of the last day is kept, and each 15 minutes of the last 30 days.
    Not for what is used now: get the usage.
    """
    sampler, which = ctx.cluster.sampler, Scope(scope)
    where, now = _where(which, namespace), sampler.history.clock()
    start = parse_moment("since", since, now)
    end = min(parse_moment("until", until, now), now) if until else now
    if start >= end:
        raise InvalidArguments.field("since", "is not before the end")
    sample = await sampler.current()
    kept = await sampler.oldest()
    begin = max(start, min(kept or start, end))
    minutes = _step_minutes(end - begin, step)
    subject, points = "", list[Point]()
    for subject in _subjects(sample, which, where, name):
        points = await sampler.series((which, subject), field, begin, end, fine=minutes < _QUARTER)
        if points:
            break
    if not points and subject not in sample.figures[which]:
        raise _no_such(sample, which, where, name)
    step_seconds = max([minutes * 60, *(point.seconds for point in points)])
    gaps = sorted(gaps_between(points, begin, end), key=lambda gap: gap.since - gap.until)
    return UsageHistoryAnswer(
        **_freshness(ctx, sample),
        **dict(subject_of(which, subject)),
        scope=scope,
        field=field,
        since=start,
        until=end,
        step_seconds=step_seconds,
        samples_since=kept,
        summary=_point(join(points, points[0].time, step_seconds)) if points else None,
        gaps=[UsageGap(since=gap.since, until=gap.until) for gap in gaps[:_MOST_GAPS]],
        points=[_point(point) for point in widen(points, step_seconds)],
    )


def _where(scope: Scope, namespace: str | None) -> str | None:
    where = every_namespace(namespace)
    if where is not None and scope is Scope.NODE:
        raise InvalidArguments.field("namespace", "nodes are in none")
    return where


def _freshness(ctx: CallContext, sample: Sample) -> dict[str, Any]:
    old = ctx.cluster.sampler.history.clock() - sample.at >= _OLD
    return {
        "cluster": ctx.cluster.name,
        "as_of": sample.at,
        "stale": old or any(missing.status in _BEHIND for missing in sample.missing),
        "missing": list(sample.missing),
    }


def _subjects(sample: Sample, scope: Scope, namespace: str | None, name: str) -> list[str]:
    """Return the subject that is meant; several that may have been if it is not there now."""
    found = select(sample, scope, namespace, name)
    if len(found) > 1:
        near = ", ".join(found[:5])
        raise InvalidArguments.field(
            "name", "means several", hint=f"give namespace and kind of one: {near}"
        )
    found = found or past_subjects(scope, namespace, name)
    if not found:
        raise _no_such(sample, scope, namespace, name)
    return found


def _no_such(sample: Sample, scope: Scope, namespace: str | None, name: str | None) -> NotFound:
    known = [subject_of(scope, subject).name for subject in sample.figures[scope]]
    if name is None:
        return no_such("namespace", namespace or "", known)
    where = f" in {namespace}" if namespace and scope is Scope.WORKLOAD else ""
    return no_such(scope, name.rpartition("/")[2], known, where=where)


def _step_minutes(span: timedelta, step: str | None) -> int:
    """Return the minutes between points: as asked for, but never for more points than allowed."""
    minutes = span.total_seconds() / 60
    most = _USUAL_POINTS
    if step is not None:
        minutes_wanted = parse_duration("step", step).total_seconds() / 60
        if minutes_wanted < 1:
            raise InvalidArguments.field("step", "is less than a minute")
        if minutes / minutes_wanted <= _MOST_POINTS:
            return math.ceil(minutes_wanted)
        most = _MOST_POINTS
    return next((found for found in _STEPS if minutes / found <= most), _STEPS[-1])


def _point(point: Point) -> UsagePoint:
    return UsagePoint(
        time=point.time,
        mean=round(point.mean, 1),
        min=point.minimum,
        max=point.maximum,
        samples=point.samples,
    )
