"""The heavy half of the agent, opened when it is first needed: model, graph and checkpoints.

LangChain and LangGraph cost a second and some 50 MB to import, a provider's client as much again.
The imports are done in a thread, so that other requests are served meanwhile.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from agent.plan_book import Proposals
from agent.provider import model_name, provider_of
from agent.runs import Emit, TurnEnd
from cloudpilot.clusters import Clusters
from cloudpilot.db.thread_records import Run
from cloudpilot.db.threads import ThreadStore
from cloudpilot.operation import Catalog
from cloudpilot.settings import Settings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

    from agent.turn import Turns


class Engine:
    """Plays turns. Promises that it is opened once, however many ask for it at the same time."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        clusters: Clusters,
        threads: ThreadStore,
        proposals: Proposals,
        model: BaseChatModel | None = None,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._clusters = clusters
        self._threads = threads
        self._proposals = proposals
        self._model = model
        self._stack = AsyncExitStack()
        self._opening: asyncio.Task[Turns] | None = None

    async def play(self, run: Run, emit: Emit) -> TurnEnd:
        """Play a run to its end or to the next approval."""
        return await (await self._turns()).play(run, emit)

    async def forget(self, thread_id: str) -> None:
        """Delete what a thread's turns have left behind."""
        await (await self._turns()).forget(thread_id)

    def prepare(self) -> None:
        """Begin to open, without waiting, where messages are to be expected.

        That is in the demo and where a model is configured; elsewhere the first message waits. A
        failure is told to the first who asks.
        """
        if self._settings.demo.enabled or provider_of(self._settings.llm) != "offline":
            self._opened()

    async def aclose(self) -> None:
        """Close what was opened."""
        if self._opening is not None:
            await asyncio.wait([self._opening])
        await self._stack.aclose()

    async def _turns(self) -> Turns:
        # Whoever is cancelled while waiting leaves it to the others.
        return await asyncio.shield(self._opened())

    def _opened(self) -> asyncio.Task[Turns]:
        task = self._opening
        if task is None or (task.done() and task.exception()):
            task = self._opening = asyncio.create_task(self._open(), name="open the agent")
        return task

    async def _open(self) -> Turns:
        await asyncio.to_thread(_import_all)
        from agent.checkpoints import open_checkpoints
        from agent.graph import build_graph, recursion_limit
        from agent.llm import close_model, open_model
        from agent.toolbelt import Toolbelt
        from agent.turn import Turns

        settings = self._settings
        async with AsyncExitStack() as stack:
            given = self._model
            model = given if given else await asyncio.to_thread(open_model, settings.llm)
            stack.push_async_callback(close_model, model)
            saver = await stack.enter_async_context(open_checkpoints(settings.database))
            toolbelt = Toolbelt(self._catalog, self._clusters, self._proposals, settings.agent)
            graph = await asyncio.to_thread(
                build_graph, model, toolbelt, self._proposals, saver, settings
            )
            turns = Turns(
                graph,
                saver,
                self._threads,
                self._proposals,
                self._clusters,
                steps=recursion_limit(settings),
                model=model_name(settings.llm),
            )
            self._stack.push_async_exit(stack.pop_all())
        return turns


def _import_all() -> None:
    import agent.checkpoints
    import agent.graph
    import agent.llm
    import agent.turn  # noqa: F401 - loaded, so that importing from them is quick
