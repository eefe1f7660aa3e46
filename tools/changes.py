"""What changed in a cluster, and how it was before: answers of the journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, Any

from msgspec.structs import replace
from pydantic import BeforeValidator, Field, StringConstraints

from cloudpilot.arguments import AnyNamespace, Limit, every_namespace, no_such
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.context import CallContext
from cloudpilot.db.journal_records import Entry, EntryQuery, Occurrence, Period
from cloudpilot.errors import DatabaseUnavailable, InvalidArguments
from cloudpilot.journal.changes import IGNORED
from cloudpilot.journal.coverage import gaps
from cloudpilot.journal.journal import Journal
from cloudpilot.journal.past import past_of
from cloudpilot.journal.shapes import ChangeRow, CoverageGap, LastSeen, PastEvent, rows_of
from cloudpilot.kube.kinds import ALWAYS, KINDS, Kind, find_kind
from cloudpilot.moments import parse_moment
from cloudpilot.monitor.shapes import Fresh
from cloudpilot.operation import Toolset

toolset = Toolset("changes")

_READS = tuple(kind for kind in ALWAYS if kind not in IGNORED)
_MOST_READ, _MOST_ROWS = 5_000, 20
_MOST_EVENTS, _MOST_GAPS, _MOST_FIELDS, _MOST_PODS = 50, 20, 200, 3
_AROUND = timedelta(minutes=30)

_Moment = Annotated[
    str,
    StringConstraints(max_length=40),
    Field(description="`30m`, `2h` or `7d` ago, or a time such as 2026-01-31T12:00:00Z"),
]
_Object = Annotated[
    str,
    StringConstraints(
        pattern=r"^([A-Za-z][A-Za-z0-9.]*/)?[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$", max_length=320
    ),
    Field(description="One object: `deployment/cart`, or only its name: `cart`"),
]
_Kinds = Annotated[
    list[Annotated[str, StringConstraints(max_length=80)]],
    BeforeValidator(lambda value: value.split(",") if isinstance(value, str) else value),
    Field(max_length=40, description="Only these kinds of objects: `Deployment`, `pods`, `vs`"),
]


class ChangeList(Fresh):
    """What changed, newest first, and what of the time was watched at all."""

    since: datetime
    until: datetime
    watched_since: datetime | None
    """When the journal begins; nothing is known of the time before."""
    gaps: list[CoverageGap]
    """When nobody watched: what changed then may be missing, or known only by its result."""
    note: str | None
    """Why more is missing, if it is."""
    total: int
    """How many there are of those that were looked at."""
    truncated: bool
    """Whether there are more than `items` holds: ask about a shorter time, or one namespace."""
    items: list[ChangeRow]
    events: list[PastEvent]
    """Warnings and telling Events of the same time and objects, at most 50."""


class PastObject(Fresh):
    """An object as it was at a time, as far as that is known."""

    kind: str
    namespace: str | None
    name: str
    time: datetime
    existed: str
    """`yes`, `no` or `unknown`."""
    certain: bool
    """Whether it was watched ever since, so that no change can be missing here."""
    watched_since: datetime | None
    fields: dict[str, str]
    """Its fields as they were then: spec, labels, conditions; secrets masked."""
    before: list[ChangeRow]
    """Its last changes until then and those of what it controls, newest first."""
    after: list[ChangeRow]
    """What changed of it since then, newest first."""
    events: list[PastEvent]
    """Events of half an hour before and after."""
    pods: list[LastSeen]
    """Pods of it, or itself, that went away while they failed, within half an hour of then."""


@toolset.operation("GET /changes", reads=_READS, example={"since": "1h", "namespace": "shop"})
async def list_changes(
    ctx: CallContext,
    since: _Moment = "1h",
    until: _Moment | None = None,
    namespace: AnyNamespace | None = None,
    object: _Object | None = None,  # noqa: A002 - the word people use
    kinds: _Kinds | None = None,
    limit: Limit = 100,
) -> ChangeList:
    """List what changed: which object, field, old and new value, when and by whom; pods that died.

    Use when someone asks what changed, who changed it, what happened before or since a problem, or
    why something that worked fails now. With an object, the changes of what it controls come too:
    the pods that failed after a Deployment's rollout. Not for how an object is now: get it; not for
    how it was at one time: describe it at that time.
    """
    journal = ctx.cluster.journal
    begin, end = _span(journal, since, until)
    kind, name = _split(object)
    wanted = tuple(dict.fromkeys(_kind(text, "kinds").name for text in kinds or ()))
    query = EntryQuery(
        since=begin,
        until=end,
        namespace=every_namespace(namespace),
        kinds=wanted,
        kind=kind.name if kind else None,
        name=name,
        limit=_MOST_READ,
    )
    entries, events, note = await _found(journal, query)
    if name is not None and not entries:
        await _check_exists(ctx, journal, query, kind)
    relevant = wanted or ((kind.name, "Pod") if kind else _READS)
    rows = rows_of(entries)
    periods = await _periods(journal)
    return ChangeList(
        **_freshness(ctx, relevant),
        since=begin,
        until=end,
        watched_since=_watched_since(periods, relevant),
        gaps=_gaps(ctx, periods, begin, end, relevant),
        note=note,
        total=len(rows),
        truncated=len(rows) > limit or len(entries) == _MOST_READ,
        items=rows[:limit],
        events=[PastEvent.of(item) for item in events],
    )


@toolset.operation(
    "GET /describe-at",
    reads=_READS,
    example={"object": "deployment/storefront", "namespace": "shop", "time": "30m"},
)
async def describe_at(
    ctx: CallContext,
    object: _Object,  # noqa: A002 - the word people use
    time: _Moment,
    namespace: AnyNamespace | None = None,
) -> PastObject:
    """Show one object as it was at a time: whether it existed, its fields, conditions, Events.

    Use when someone asks how something was configured or how it did before a change, before it was
    deleted or during an incident, and for the last words of pods that are gone: the end of their
    log. Not for what changed over a time: list the changes.
    """
    journal = ctx.cluster.journal
    moment = _moment(journal, "time", time)
    kind, where, name = await _resolve(ctx, journal, object, every_namespace(namespace))
    about = EntryQuery(kind=kind.name, namespace=where, name=name, limit=_MOST_ROWS)
    current = ctx.cluster.cache[kind.name].get(where, name)
    past = await past_of(journal, kind, about, current, moment)
    before = await journal.entries(replace(about, until=moment, limit=10 * _MOST_ROWS))
    around = replace(about, since=moment - _AROUND, until=moment + _AROUND)
    events = await journal.occurrences(around)
    pods = await journal.last_states(replace(around, limit=_MOST_PODS))
    return PastObject(
        **_freshness(ctx, (kind.name,)),
        kind=kind.name,
        namespace=where or None,
        name=name,
        time=moment,
        existed="yes" if past.fields is not None else "no" if past.certain else "unknown",
        certain=past.certain,
        watched_since=_watched_since(past.periods, (kind.name,)),
        fields=dict(islice((past.fields or {}).items(), _MOST_FIELDS)),
        before=rows_of(before)[:_MOST_ROWS],
        after=rows_of(past.later)[:_MOST_ROWS],
        events=[PastEvent.of(item) for item in events],
        pods=[LastSeen.of(pod) for pod in pods],
    )


async def _found(
    journal: Journal, query: EntryQuery
) -> tuple[list[Entry], list[Occurrence], str | None]:
    lost = journal.stats.dropped
    note = f"{lost} changes were lost: there were too many at once" if lost else None
    try:
        events = await journal.occurrences(replace(query, limit=_MOST_EVENTS))
        return await journal.entries(query), events, note
    except DatabaseUnavailable as error:
        reason = f"only what is in memory is known: {error.message}"
        return journal.recent(query), [], reason


async def _periods(journal: Journal) -> list[Period]:
    try:
        return await journal.periods()
    except DatabaseUnavailable:
        return []


def _span(journal: Journal, since: str, until: str | None) -> tuple[datetime, datetime]:
    begin = _moment(journal, "since", since)
    end = _moment(journal, "until", until) if until else journal.clock()
    if begin >= end:
        raise InvalidArguments.field(
            "since", "is not before `until`", hint="write since=2h and until=1h, or two times"
        )
    return begin, end


def _moment(journal: Journal, field: str, text: str) -> datetime:
    now = journal.clock()
    moment = parse_moment(field, text, now)
    if moment > now:
        raise InvalidArguments.field(field, "lies in the future", hint="the journal knows the past")
    return moment


def _split(text: str | None) -> tuple[Kind | None, str | None]:
    if text is None:
        return None, None
    kind, slash, name = text.rpartition("/")
    return (_kind(kind, "object") if slash else None), name


def _kind(text: str, field: str) -> Kind:
    kind = find_kind(text.strip())
    if kind is None:
        raise InvalidArguments.field(
            field, f"{text!r} is no kind CloudPilot knows", hint="write it as kubectl does"
        )
    return kind


async def _check_exists(
    ctx: CallContext, journal: Journal, query: EntryQuery, kind: Kind | None
) -> None:
    """Refuse an object that neither is there nor ever changed.

    Raises:
        NotFound: naming the nearest ones.
    """
    name = query.name or ""
    if any(True for _ in _present(ctx, kind, query.namespace, name)):
        return
    ever = EntryQuery(kind=query.kind, name=name, namespace=query.namespace, limit=1)
    found, _, _ = await _found(journal, ever)
    if not found:
        raise no_such(kind.kind.lower() if kind else "object", name, _names(ctx, kind))


async def _resolve(
    ctx: CallContext, journal: Journal, text: str, namespace: str | None
) -> tuple[Kind, str, str]:
    """Find which object is meant, among those that are there and those that were.

    Raises:
        NotFound: none.
        InvalidArguments: several.
    """
    kind, name = _split(text)
    name = name or ""
    if kind is not None:
        await ctx.cluster.cache.wait_settled(5.0, (kind.name,))
    places = {(found.name, where) for found, where in _present(ctx, kind, namespace, name)}
    if not places:
        query = EntryQuery(
            kind=kind.name if kind else None, name=name, namespace=namespace, owned=False
        )
        places = {(entry.kind, entry.namespace) for entry in await journal.entries(query)}
    if not places:
        raise no_such(kind.kind.lower() if kind else "object", name, _names(ctx, kind))
    if len(places) > 1:
        several = ", ".join(sorted(f"{k.lower()}/{name} in {n or '-'}" for k, n in places))
        raise InvalidArguments.field(
            "object", f"could be one of several: {several}", hint="name its kind and namespace"
        )
    ((found_kind, where),) = places
    return KINDS[found_kind], where, name


def _present(
    ctx: CallContext, kind: Kind | None, namespace: str | None, name: str
) -> Iterable[tuple[Kind, str]]:
    """Yield kind and namespace of each object of that name that is there now."""
    cache = ctx.cluster.cache
    for kind_name in (kind.name,) if kind else tuple(cache):
        if kind is None and kind_name in IGNORED:
            continue
        for obj in cache[kind_name].list(namespace):
            if obj.name == name:
                yield KINDS[kind_name], obj.namespace


def _names(ctx: CallContext, kind: Kind | None) -> Iterable[str]:
    for kind_name in (
        (kind.name,) if kind else ("Deployment", "StatefulSet", "DaemonSet", "Service")
    ):
        yield from (obj.name for obj in ctx.cluster.cache[kind_name].list())


def _freshness(ctx: CallContext, kinds: Sequence[str]) -> dict[str, Any]:
    for kind in kinds:
        ctx.cluster.cache[kind]  # noqa: B018 - reading a kind starts it
    return dict(ctx.cluster.monitor.freshness(*kinds))


def _watched_since(periods: Iterable[Period], kinds: Sequence[str]) -> datetime | None:
    return min((period.since for period in periods if period.kind in kinds), default=None)


def _gaps(
    ctx: CallContext,
    periods: Sequence[Period],
    since: datetime,
    until: datetime,
    kinds: Sequence[str],
) -> list[CoverageGap]:
    """Return when nobody watched; a kind that may not be read is in `missing` already."""
    states = ctx.cluster.cache.states()
    readable = [kind for kind in kinds if states[kind].status is not SyncStatus.FORBIDDEN]
    return [
        CoverageGap(since=gap.since, until=gap.until, kinds=list(gap.kinds))
        for gap in gaps(periods, since, until, readable)[:_MOST_GAPS]
    ]
