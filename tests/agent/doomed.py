"""A process that asks a question and stands still at a given point, to be killed there.

`python -m tests.agent.doomed FOLDER POINT`; prints the ids of thread and run, then `here`.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from cloudpilot.context import CallContext
from cloudpilot.monitor.shapes import Shape
from cloudpilot.operation import Catalog, Scope, Toolset
from cloudpilot.runtime import Runtime
from cloudpilot.settings import Settings, load_settings, quiet_tracing
from tests.fakes.chat_model import Reply, ScriptedModel, ToolUse

POINTS = ("first words", "in a tool", "last words")


class Done(Shape):
    """What the tool came back with."""

    executions: int


def settings_in(folder: Path) -> Settings:
    """Return settings with every file in a folder."""
    return load_settings(
        overrides={
            "database.url": f"sqlite:///{folder}/cloudpilot.db",
            "database.key_file": str(folder / "cloudpilot.key"),
        },
        environ={},
    )


def counting(folder: Path, *, stand_still: bool) -> Toolset:
    """Return a tool that counts its executions in a file, and may never come back."""
    toolset = Toolset("counting", Scope.SERVER)

    @toolset.operation("GET /count")
    async def count(ctx: CallContext) -> Done:
        """Count."""
        with (folder / "executions").open("a") as file:
            file.write("x")
        if stand_still:
            print("here", flush=True)
            await asyncio.Event().wait()
        return Done(executions=len((folder / "executions").read_text()))

    return toolset


def script_until(point: str) -> list[Reply]:
    """Return the model's replies up to the point where it stands still."""
    hold = asyncio.Event()
    first = Reply("Let me count.", [ToolUse("count", {}, "call_1")])
    if point == "first words":
        return [Reply("Let me", hold=hold)]
    return [first, Reply("It is", hold=hold)]


async def main(folder: Path, point: str) -> None:
    """Play until the point."""
    from tests.agent.conversation import ME, assistant_with

    async with Runtime.open(settings_in(folder), []) as runtime:
        catalog = Catalog([counting(folder, stand_still=point == "in a tool")], runtime.plans)
        model = ScriptedModel(replies=script_until(point))
        async with assistant_with(runtime, model, catalog) as assistant:
            started = await assistant.start("count", actor=ME)
            print(started.thread_id, started.run_id, flush=True)
            word = {"first words": "Let", "last words": "It"}.get(point)
            async for event in assistant.stream(started.thread_id):
                if event.type == "token" and word and event.data["text"].startswith(word):
                    print("here", flush=True)


if __name__ == "__main__":
    quiet_tracing()
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
