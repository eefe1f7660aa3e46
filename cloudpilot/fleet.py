"""One question to many clusters: one merged table, and an entry for each that did not answer.

Partial failure is data here. What a single cluster answers, and whether it may be asked, is
decided by the catalog, which hands in how to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, create_model

from cloudpilot.cache.connection import ConnectionState
from cloudpilot.clusters import Clusters
from cloudpilot.errors import CloudPilotError, ClusterUnavailable, DeadlineExceeded
from cloudpilot.monitor.shapes import Fresh, Missing, Shape

EVERY = "*"
MOST_SECONDS = 10.0
"""For each cluster; a slow one is an error entry then, however long the caller would wait."""
_MOST_AT_ONCE = 32


def _split(value: Any) -> Any:
    """Accept `a,b` for `a` and `b`, as a URL or a command line has it."""
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        return value
    return [
        part.strip() if isinstance(part, str) else part
        for item in items
        for part in (item.split(",") if isinstance(item, str) else [item])
    ]


Selection = Annotated[
    list[
        Annotated[
            str, StringConstraints(pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?|\*)$", max_length=63)
        ]
    ],
    BeforeValidator(_split),
    Field(
        min_length=1, max_length=200, description="Names of clusters to ask at once; `*` for all"
    ),
]


class ClusterShare(Shape):
    """What one cluster contributed to a merged answer."""

    cluster: str
    as_of: datetime | None
    """The time its part is true for."""
    stale: bool
    missing: list[Missing]
    total: int
    """How many of its objects match."""
    counts: dict[str, int]
    """Further totals of its answer, such as `failing`; of its other lists, the lengths."""
    note: str | None
    """What its answer says of itself, such as why it is not whole."""


class ClusterProblem(Shape):
    """Why one cluster contributed nothing."""

    cluster: str
    type: str
    message: str
    hint: str


class Merged(Shape):
    """One table of many clusters' answers, in the order of their names. `items` has the rows."""

    total: int
    """How many match in all clusters that answered; `items` may hold fewer."""
    shown: int
    truncated: bool
    """Whether more follows."""
    next: str | None
    """Give this as `after` for the following page; null on the last."""
    clusters: list[ClusterShare]
    """Those that answered."""
    errors: list[ClusterProblem]
    """Those that did not: nothing is known of them here."""


class _OfCluster(Shape):
    cluster: str = Field(description="The cluster it is in.")


@cache
def merged_model(result: type[BaseModel]) -> type[Merged]:
    """Return the model of many clusters' answers of one type: `PodListAcrossClusters`.

    The rows of a list become the rows; any other answer is one row.
    """
    row = _row_model(result)
    made: type[Merged] = create_model(
        f"{result.__name__}AcrossClusters",
        __base__=Merged,
        __doc__=f"{result.__name__} of many clusters, as one table with a cluster column.",
        items=(list[row], ...),  # type: ignore[valid-type]
    )
    return made


@cache
def _row_model(result: type[BaseModel]) -> type[BaseModel]:
    row = _item_model(result) or result
    if "cluster" in row.model_fields:
        return row
    return create_model(f"{row.__name__}OfCluster", __base__=(row, _OfCluster), __doc__=row.__doc__)


def _item_model(result: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model of a list's items; None if the result is no list."""
    field = result.model_fields.get("items")
    if field is None or get_origin(field.annotation) is not list:
        return None
    (item,) = get_args(field.annotation)
    return item if isinstance(item, type) and issubclass(item, BaseModel) else None


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of the merged table is wanted.

    `after` names the cluster to go on in, then the key there: `prod/shop/api-0`, or `prod/`.
    """

    limit: int | None = None
    """None for an operation that has no limit."""
    after: str | None = None

    @property
    def start(self) -> str:
        """The first cluster of the page."""
        return (self.after or "").partition("/")[0]

    def wanted(self, cluster: str) -> dict[str, Any]:
        """Return the paging arguments for one cluster."""
        if self.limit is None:
            return {}
        if cluster < self.start:  # told on an earlier page; only its total is wanted again
            return {"limit": 1, "after": None}
        key = (self.after or "").partition("/")[2] if cluster == self.start else ""
        return {"limit": self.limit, "after": key or None}

    @classmethod
    def of(cls, params: BaseModel, result: type[BaseModel]) -> Page:
        """Read the page from an operation's arguments; those of a single answer do not page."""
        if _item_model(result) is None:
            return cls()
        return cls(getattr(params, "limit", None), getattr(params, "after", None))


Ask = Callable[[str, Mapping[str, Any]], Awaitable[BaseModel]]
"""Ask the cluster of this name, with these paging arguments instead of the caller's."""


class Fleet:
    """Asks the chosen clusters at once, each under its own deadline.

    Promises: a dead or slow cluster delays the others by nothing and the answer by at most its
    deadline; rows are sorted by cluster, then as the operation sorts them.
    """

    def __init__(self, clusters: Clusters, ask: Ask, *, seconds: float) -> None:
        self._clusters = clusters
        self._ask = ask
        self._seconds = min(seconds, MOST_SECONDS)
        self._gate = asyncio.Semaphore(_MOST_AT_ONCE)

    async def merge(self, selection: Iterable[str], result: type[BaseModel], page: Page) -> Merged:
        """Return the answers of the chosen clusters as one table.

        Raises:
            CloudPilotError: no cluster answered; the first one's error, all of them in `details`.
        """
        chosen = set(selection)
        if EVERY in chosen:
            chosen = (chosen - {EVERY}) | set(self._clusters.names())
        names = sorted(chosen)
        async with asyncio.TaskGroup() as group:
            tasks = {
                name: group.create_task(self._answer(name, page.wanted(name))) for name in names
            }
        answers = {name: task.result() for name, task in tasks.items()}
        table = _Table(result, page)
        for name in names:
            answer = answers[name]
            cut = table.cut(name, answer) if isinstance(answer, BaseModel) else None
            if cut is not None:  # only the operation knows the key its shorter page ends with
                answer = await self._answer(name, page.wanted(name) | {"limit": cut})
            table.add(name, answer)
        return table.merged()

    async def _answer(self, name: str, paging: Mapping[str, Any]) -> BaseModel | CloudPilotError:
        try:
            _refuse_unreachable(self._clusters, name)
            async with asyncio.timeout(self._seconds), self._gate:
                return await self._ask(name, paging)
        except TimeoutError:
            return DeadlineExceeded(
                f"{name} did not answer within {self._seconds:g} s", hint="ask that cluster alone"
            )
        except CloudPilotError as error:
            return error


def _refuse_unreachable(clusters: Clusters, name: str) -> None:
    connection = clusters.get(name).connection
    if connection.state is ConnectionState.UNREACHABLE:
        raise ClusterUnavailable(
            f"{name} is unreachable since {connection.since:%Y-%m-%d %H:%M:%S} UTC: "
            f"{connection.reason}",
            hint="ask that cluster alone for what was last known of it",
        )


class _Table:
    """Puts answers together, in the order they are added."""

    def __init__(self, result: type[BaseModel], page: Page) -> None:
        self._result = result
        self._page = page
        self._row = _row_model(result)
        self._rows: list[BaseModel] = []
        self._shares: list[ClusterShare] = []
        self._errors: list[tuple[str, CloudPilotError]] = []
        self._next: str | None = None
        self._truncated = False

    @property
    def _room(self) -> int | None:
        return None if self._page.limit is None else self._page.limit - len(self._rows)

    def cut(self, cluster: str, answer: BaseModel) -> int | None:
        """Return how many rows this cluster is to be asked for instead, if it must be fewer."""
        room, rows = self._room, self._rows_of(cluster, answer)
        return room if _pages(answer) and room and len(rows) > room else None

    def add(self, cluster: str, answer: BaseModel | CloudPilotError) -> None:
        """Take one cluster's answer."""
        if isinstance(answer, CloudPilotError):
            self._errors.append((cluster, answer))
            return
        self._shares.append(_share(cluster, answer, _item_model(self._result) is not None))
        rows = self._rows_of(cluster, answer)
        following = getattr(answer, "next", None) if rows else None
        taken = rows if self._room is None else rows[: self._room]
        self._rows += [self._in_cluster(cluster, row) for row in taken]
        if self._truncated:
            return
        if _pages(answer):
            self._truncated = len(taken) < len(rows) or following is not None
            if self._truncated:
                self._next = f"{cluster}/{following if taken else ''}"
        else:
            total, own = self._shares[-1].total, getattr(answer, "truncated", False)
            self._truncated = own or len(taken) < total

    def merged(self) -> Merged:
        """Return the table.

        Raises:
            CloudPilotError: it has errors only.
        """
        problems = [
            ClusterProblem(cluster=name, type=error.type, message=error.message, hint=error.hint)
            for name, error in self._errors
        ]
        if problems and not self._shares:
            raise _none_answered(self._errors, problems)
        return merged_model(self._result)(
            total=sum(share.total for share in self._shares),
            shown=len(self._rows),
            truncated=self._truncated,
            next=self._next,
            clusters=self._shares,
            errors=problems,
            items=self._rows,
        )

    def _in_cluster(self, cluster: str, row: BaseModel) -> BaseModel:
        if isinstance(row, self._row):
            return row
        return self._row.model_construct(**row.__dict__, cluster=cluster)

    def _rows_of(self, cluster: str, answer: BaseModel) -> Sequence[BaseModel]:
        if cluster < self._page.start:
            return ()
        if _item_model(self._result) is None:
            return (answer,)
        rows: Sequence[BaseModel] = answer.items  # type: ignore[attr-defined]
        return rows


def _pages(answer: BaseModel) -> bool:
    return "next" in type(answer).model_fields


def _share(cluster: str, answer: BaseModel, is_list: bool) -> ClusterShare:
    fresh = answer if isinstance(answer, Fresh) else None
    counts: dict[str, int] = {}
    if is_list:
        values = {name: getattr(answer, name) for name in type(answer).model_fields}
        counts = {
            name: len(value) if isinstance(value, list) else value
            for name, value in values.items()
            if type(value) in (int, list) and name not in ("shown", "items", "missing")
        }
    rows = len(answer.items) if is_list else 1  # type: ignore[attr-defined]
    return ClusterShare(
        cluster=cluster,
        as_of=fresh.as_of if fresh else None,
        stale=fresh.stale if fresh else False,
        missing=fresh.missing if fresh else [],
        total=counts.pop("total", rows),
        counts=counts,
        note=getattr(answer, "note", None),
    )


def _none_answered(
    errors: Sequence[tuple[str, CloudPilotError]], problems: Sequence[ClusterProblem]
) -> CloudPilotError:
    name, first = errors[0]
    if len(errors) > 1:
        first.message = f"none of {len(errors)} clusters answered; {name}: {first.message}"
    first.details = {**first.details, "errors": [problem.model_dump() for problem in problems]}
    return first
