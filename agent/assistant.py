"""The one way into conversations, for every door: start, stream, cancel, read, delete.

Each thread belongs to the actor who began it; for anybody else it does not exist.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.engine import Engine
from agent.plan_book import UNDECIDED, PlanBook, Proposals
from agent.provider import check_provider
from agent.runs import Runs
from cloudpilot.clusters import Clusters
from cloudpilot.context import Actor
from cloudpilot.db.session import Database
from cloudpilot.db.thread_records import NewRun, Run, RunStatus, StoredEvent, Thread
from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import InvalidArguments, NotFound, ThreadBusy
from cloudpilot.operation import Catalog
from cloudpilot.plans.plan import Plan
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

logger = logging.getLogger(__name__)

LONGEST_MESSAGE = 16_000
_LONGEST_TITLE = 80


@dataclass(frozen=True, slots=True)
class Started:
    """Where the events of a message will be found."""

    thread_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, as people read it."""

    role: str
    """`user` or `assistant`."""
    text: str
    run_id: str
    status: RunStatus
    """Of its run; an assistant's text may be partial where the run failed."""
    plan_ids: list[str] = field(default_factory=list)
    """Plans that this message proposed."""


class Assistant:
    """Conversations about clusters. Does not approve anything: that is done with the plans."""

    def __init__(
        self,
        threads: ThreadStore,
        runs: Runs,
        clusters: Clusters,
        plans: PlanBook,
        engine: Engine,
    ) -> None:
        self._threads = threads
        self._runs = runs
        self._clusters = clusters
        self._plans = plans
        self._engine = engine

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        catalog: Catalog,
        clusters: Clusters,
        database: Database,
        plans: PlanBook,
        *,
        model: BaseChatModel | None = None,
        recover: bool = True,
    ) -> AsyncIterator[Assistant]:
        """Go on with interrupted runs and hear of decided plans.

        The model and the graph are opened by the first turn: a service that is asked nothing in
        words does not pay for them.

        Args:
            settings: The whole configuration.
            catalog: Every operation.
            clusters: Every cluster.
            database: Where threads and events are kept.
            plans: Where proposed changes are kept.
            model: Takes the place of the configured language model.
            recover: Whether runs without an end are ours to go on with. Not so for a command
                beside a server, whose runs are alive.

        Raises:
            SettingsError: the model's configuration cannot be used.
        """
        if model is None:
            check_provider(settings.llm)
        threads = ThreadStore(database)
        engine = Engine(settings, catalog, clusters, threads, Proposals(plans, threads), model)
        runs = Runs(threads, engine.play, deadline_seconds=settings.agent.run_seconds)
        assistant = cls(threads, runs, clusters, plans, engine)
        plans.on_decided(assistant.plan_decided)
        try:
            if recover:
                await runs.recover()
                await assistant.resume_decided()
            yield assistant
        finally:
            await runs.aclose()
            await engine.aclose()

    @property
    def running(self) -> int:
        """How many conversations are being answered."""
        return self._runs.running

    def prepare(self) -> None:
        """Begin to open what a first message that is to be expected would wait for."""
        self._engine.prepare()

    async def start(
        self,
        message: str,
        *,
        actor: Actor,
        thread_id: str | None = None,
        cluster: str | None = None,
        namespace: str | None = None,
    ) -> Started:
        """Begin a run on a new or a known thread.

        Args:
            message: What the user says.
            actor: Who.
            thread_id: None begins a new thread.
            cluster: The cluster in view; None keeps the thread's.
            namespace: The namespace in view; None keeps the thread's.

        Raises:
            InvalidArguments: the message is empty or too long.
            NotFound: there is no such thread or cluster.
            ThreadBusy: a run is in progress or an approval is pending.
        """
        _check_message(message)
        if cluster is not None and cluster not in self._clusters.names():
            known = ", ".join(self._clusters.names()) or "none"
            raise NotFound(f"there is no cluster {cluster!r}", hint=f"registered are: {known}")
        if thread_id is None:
            title = " ".join(message.split())[:_LONGEST_TITLE]
            thread = await self._threads.create(
                uuid.uuid4().hex, actor.name, title, cluster, namespace
            )
        else:
            thread = await self.thread(thread_id, actor)
        run = NewRun(
            id=uuid.uuid4().hex,
            thread_id=thread.id,
            owner=actor.name,
            payload={"message": message, "actor_kind": actor.kind.value},
        )
        if thread_id is not None:
            await self._refuse_busy(thread.id)
            same_cluster = cluster is None or cluster == thread.cluster
            kept = thread.namespace if same_cluster else None
            await self._threads.look_at(thread.id, cluster or thread.cluster, namespace or kept)
        await self._runs.submit(run)
        return Started(thread.id, run.id)

    def stream(
        self, thread_id: str, after: int = 0, *, run_id: str | None = None
    ) -> AsyncIterator[StoredEvent]:
        """Yield a thread's events with a number over `after`; see `Runs.events`."""
        return self._runs.events(thread_id, after, run_id=run_id)

    async def cancel(self, run_id: str, actor: Actor) -> RunStatus:
        """Stop a run and whatever waits on its thread.

        Raises:
            NotFound: there is no such run.
        """
        await self._runs.cancel((await self.run(run_id, actor)).id)
        return await self._runs.status(run_id)

    async def run(self, run_id: str, actor: Actor) -> Run:
        """Return a run.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        run = await self._threads.run(run_id)
        if run is None or run.owner != actor.name:
            raise NotFound(f"there is no run {run_id!r}", hint="list the threads first")
        return run

    async def thread(self, thread_id: str, actor: Actor) -> Thread:
        """Return a thread.

        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        thread = await self._threads.find(thread_id)
        if thread is None or thread.owner != actor.name:
            raise NotFound(f"there is no thread {thread_id!r}", hint="list the threads first")
        return thread

    async def threads(
        self, actor: Actor, *, limit: int = 50, offset: int = 0
    ) -> tuple[list[Thread], int]:
        """Return the actor's threads, the last used first, and how many there are."""
        found = await self._threads.owned(actor.name, limit=limit, offset=offset)
        return found, await self._threads.count(actor.name)

    async def runs(self, thread_id: str, actor: Actor) -> list[Run]:
        """Return a thread's runs, the oldest first."""
        return await self._threads.runs((await self.thread(thread_id, actor)).id)

    async def messages(self, thread_id: str, actor: Actor) -> list[Message]:
        """Return the conversation as people read it."""
        runs = await self.runs(thread_id, actor)
        types = ["answer", "approval_required", "error"]
        told = await self._threads.events(thread_id, types=types, limit=100_000)
        messages: list[Message] = []
        for run in runs:
            if (question := run.payload.get("message")) is not None:
                messages.append(Message("user", question, run.id, run.status))
            mine = [event for event in told if event.run_id == run.id]
            text = "\n\n".join(
                event.data["text"] if event.type == "answer" else event.data["message"]
                for event in mine
                if event.type != "approval_required"
            )
            plans = [e.data["plan"]["id"] for e in mine if e.type == "approval_required"]
            if text or plans:
                messages.append(Message("assistant", text, run.id, run.status, plans))
        return messages

    async def delete(self, thread_id: str, actor: Actor) -> None:
        """Stop what runs on a thread and forget it. Plans and the audit stay."""
        thread = await self.thread(thread_id, actor)
        for run in await self._threads.active(thread.id):
            await self._runs.cancel(run.id)
        await self._threads.delete(thread.id)
        await self._engine.forget(thread.id)

    async def plan_decided(self, plan: Plan) -> None:
        """Go on with the conversation that waits for this plan; once, however often it is told."""
        if plan.thread_id is None or plan.state in UNDECIDED or self._runs.closing:
            return  # what is decided during a stop is caught up with by the next start
        runs = await self._threads.active(plan.thread_id)
        if not runs:
            return
        payload: dict[str, Any] = {
            "plan_id": plan.id,
            "actor_kind": runs[-1].payload.get("actor_kind", "human"),
        }
        new = NewRun(f"resume-{plan.id}", plan.thread_id, runs[-1].owner, payload, resumes=True)
        await self._runs.submit(new)

    async def resume_decided(self) -> None:
        """Catch up with plans that were decided while nobody listened."""
        for thread_id in {run.thread_id for run in await self._threads.active()}:
            await self._resume_decided(thread_id)

    async def _resume_decided(self, thread_id: str) -> bool:
        resumed = False
        for plan_id in await self._threads.waiting_plans(thread_id):
            try:
                plan = await self._plans.get(plan_id)
            except NotFound:
                logger.warning("plan %s, for which thread %s waits, is gone", plan_id, thread_id)
                continue
            if plan.state not in UNDECIDED:
                await self.plan_decided(plan)
                resumed = True
        return resumed

    async def _refuse_busy(self, thread_id: str) -> None:
        active = await self._threads.active(thread_id)
        if active and await self._resume_decided(thread_id):
            raise ThreadBusy(
                "the thread is going on after a decision on its plan", hint="try again in a moment"
            )


def open_assistant(runtime: Runtime, *, recover: bool) -> AbstractAsyncContextManager[Assistant]:
    """Open the assistant over everything that is open; see `Assistant.open`."""
    return Assistant.open(
        runtime.settings,
        runtime.catalog,
        runtime.clusters,
        runtime.database,
        runtime.plans,
        recover=recover,
    )


def _check_message(message: str) -> None:
    if not message.strip():
        raise InvalidArguments.field("message", "is empty")
    if len(message) > LONGEST_MESSAGE:
        raise InvalidArguments.field(
            "message", f"is longer than {LONGEST_MESSAGE} characters ({len(message)})"
        )
    if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in message):
        raise InvalidArguments.field("message", "holds a character that is no text")
