"""One turn of a conversation: from its request to the graph, from the graph to events.

Safe to repeat: a turn that a crash interrupted goes on from its last checkpoint.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from langchain.agents.middleware.model_call_limit import ModelCallLimitExceededError
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.errors import GraphRecursionError
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, StateSnapshot

from agent.budget import fence
from agent.checkpoints import prune
from agent.events import Answer, ApprovalNeeded, Event, Token, ToolFinished, ToolStarted, Usage
from agent.plan_book import UNDECIDED, Proposals, describe_outcome
from agent.runs import Emit, TurnEnd
from agent.seed import with_context
from agent.toolbelt import TurnContext
from cloudpilot.clusters import Clusters
from cloudpilot.context import Actor, ActorKind
from cloudpilot.db.thread_records import Run
from cloudpilot.db.threads import ThreadStore
from cloudpilot.errors import ModelUnavailable, NotFound, TooManyRequests

logger = logging.getLogger(__name__)

Graph = CompiledStateGraph[Any, TurnContext, Any, Any]


class Turns:
    """Plays the turns of all threads."""

    def __init__(
        self,
        graph: Graph,
        saver: AsyncSqliteSaver,
        threads: ThreadStore,
        proposals: Proposals,
        clusters: Clusters,
        *,
        steps: int,
        model: str,
    ) -> None:
        self._graph = graph
        self._saver = saver
        self._threads = threads
        self._proposals = proposals
        self._clusters = clusters
        self._steps = steps
        self._model = model

    async def play(self, run: Run, emit: Emit) -> TurnEnd:
        """Play a run to its end or to the next approval."""
        thread = await self._threads.find(run.thread_id)
        if thread is None:
            raise NotFound(f"there is no thread {run.thread_id!r}")
        actor = Actor(run.owner, ActorKind(run.payload.get("actor_kind", ActorKind.HUMAN)))
        context = TurnContext(actor, thread.id, run.id, thread.cluster, thread.namespace)
        config: RunnableConfig = {
            "configurable": {"thread_id": thread.id, "__pregel_strict_resume": True},
            "metadata": {"turn": run.id},
            "recursion_limit": self._steps,
        }
        telling = _Telling(emit, self._model, await self._told(run))
        try:
            state = await self._graph.aget_state(config)
            if _nothing_to_resume(run, state):
                return TurnEnd(waiting=bool(state.interrupts), events=[telling.usage()])
            await self._stream(run, context, config, telling, state)
            state = await self._graph.aget_state(config)
        except ModelUnavailable:
            telling.partial_answer()
            raise
        except ModelCallLimitExceededError:
            raise TooManyRequests(
                "the run has used all its model calls", hint="ask a narrower question"
            ) from None
        except GraphRecursionError:
            raise TooManyRequests(
                "the run has used all its steps", hint="ask a narrower question"
            ) from None
        finally:
            await prune(self._saver, thread.id)
        if state.interrupts:
            return TurnEnd(waiting=True, events=[telling.usage()])
        return TurnEnd(waiting=False, events=[Answer(text=_final_text(state)), telling.usage()])

    async def forget(self, thread_id: str) -> None:
        """Delete the checkpoints of a thread."""
        await self._saver.adelete_thread(thread_id)

    async def _stream(
        self,
        run: Run,
        context: TurnContext,
        config: RunnableConfig,
        telling: _Telling,
        state: StateSnapshot,
    ) -> None:
        async for part in self._graph.astream(
            await self._input(run, state, context),
            config,
            context=context,
            stream_mode=["messages", "updates", "custom"],
            version="v2",
            durability="sync",
        ):
            telling.hear(part)

    async def _input(self, run: Run, state: StateSnapshot, context: TurnContext) -> Any:
        """Return what to hand to the graph: never decided by `state.next`, which can lie."""
        if (interrupt_id := _interrupt_of(run, state)) is not None:
            return Command(resume={interrupt_id: run.payload["plan_id"]})
        if _is_own(run, state):
            return None
        text = with_context(
            run.payload["message"], self._clusters, context.cluster, context.namespace
        )
        return {"messages": [*await self._close_calls(state, context), HumanMessage(text)]}

    async def _close_calls(self, state: StateSnapshot, context: TurnContext) -> list[ToolMessage]:
        """Answer tool calls that an ended run left open: a provider refuses such a history."""
        closed = []
        for call in _open_calls(state):
            plan = await self._proposals.of_call(context.thread_id, call["id"] or "")
            outcome: dict[str, object] = {"says": "the run ended before this call did"}
            if plan is not None:
                outcome = describe_outcome(plan)
                if plan.state in UNDECIDED:
                    outcome["says"] = "the user moved on before the plan was decided"
            closed.append(
                ToolMessage(
                    fence(outcome, operation=call["name"]),
                    tool_call_id=call["id"],
                    name=call["name"],
                    status="error",
                )
            )
        return closed

    async def _told(self, run: Run) -> set[str]:
        """Return what earlier runs of this request have told of calls that will be repeated."""
        if run.payload.get("plan_id") is None and run.attempts <= 1:
            return set()
        types = ["tool_started", "tool_finished", "approval_required"]
        events = await self._threads.events(run.thread_id, types=types, limit=10_000)
        return {f"{event.type} {event.data['call_id']}" for event in events}


class _Telling:
    """Turns what the graph streams into events, each thing told once."""

    def __init__(self, emit: Emit, model: str, told: set[str]) -> None:
        self._emit = emit
        self._model = model
        self._told = told
        self._text = ""
        self._text_id: str | None = None
        self._input_tokens = self._output_tokens = self._model_calls = self._tool_calls = 0

    def hear(self, part: Any) -> None:
        """Take one part of the stream."""
        kind, data = part["type"], part["data"]
        if kind == "messages":
            self._hear_text(*data)
        elif kind == "custom" and isinstance(data, Event):
            self._tell(data)
        elif kind == "updates":
            self._count(data)

    def partial_answer(self) -> None:
        """Tell the text of an answer that was cut off, marked as such."""
        if self._text:
            self._emit(Answer(text=self._text, complete=False))

    def usage(self) -> Usage:
        """Return what the turn has cost so far."""
        return Usage(
            input_tokens=self._input_tokens,
            output_tokens=self._output_tokens,
            model_calls=self._model_calls,
            tool_calls=self._tool_calls,
            model=self._model,
        )

    def _hear_text(self, message: Any, metadata: dict[str, Any]) -> None:
        if not isinstance(message, AIMessageChunk) or metadata.get("langgraph_node") != "model":
            return
        if message.id != self._text_id:
            self._text_id, self._text = message.id, ""
        if text := str(message.text):
            self._text += text
            self._emit(Token(text=text, message_id=message.id or ""))

    def _tell(self, event: Event) -> None:
        if isinstance(event, ToolStarted | ToolFinished | ApprovalNeeded):
            key = f"{event.event} {event.call_id}"
            if key in self._told:
                return
            self._told.add(key)
            self._tool_calls += isinstance(event, ToolFinished)
        self._emit(event)

    def _count(self, updates: dict[str, Any]) -> None:
        update = updates.get("model")
        for message in (update or {}).get("messages", ()) if isinstance(update, dict) else ():
            if isinstance(message, AIMessage):
                self._model_calls += 1
                self._text = ""
                if used := message.usage_metadata:
                    self._input_tokens += used["input_tokens"]
                    self._output_tokens += used["output_tokens"]


def _interrupt_of(run: Run, state: StateSnapshot) -> str | None:
    """Return the id of the interrupt that waits for the run's plan."""
    plan_id = run.payload.get("plan_id")
    for waiting in state.interrupts:
        if plan_id is not None and waiting.value.get("plan_id") == plan_id:
            return waiting.id
    return None


def _is_own(run: Run, state: StateSnapshot) -> bool:
    """Say whether the latest checkpoint was written by an earlier attempt of this run."""
    return (state.metadata or {}).get("turn") == run.id


def _nothing_to_resume(run: Run, state: StateSnapshot) -> bool:
    """Say whether the plan's outcome was told already, by a run that came before."""
    if run.payload.get("plan_id") is None or _is_own(run, state):
        return False
    return _interrupt_of(run, state) is None and not _open_calls(state)


def _open_calls(state: StateSnapshot) -> list[ToolCall]:
    """Return the tool calls that have no result."""
    messages: Sequence[Any] = state.values.get("messages", ())
    answered = {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}
    calls = [c for m in messages if isinstance(m, AIMessage) for c in m.tool_calls]
    return [call for call in calls if call["id"] not in answered]


def _final_text(state: StateSnapshot) -> str:
    messages = state.values.get("messages", ())
    last = messages[-1] if messages else None
    return str(last.text) if isinstance(last, AIMessage) else ""
