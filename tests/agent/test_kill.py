"""`kill -9` in the middle of a run: the next start goes on where it was."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from agent.assistant import Started, open_assistant
from cloudpilot.db.thread_records import RunStatus
from cloudpilot.operation import Catalog
from cloudpilot.runtime import Runtime
from tests.agent.conversation import ME, SECONDS, assistant_with, only, read, script
from tests.agent.doomed import POINTS, counting, settings_in
from tests.fakes.chat_model import Reply, ToolUse

ROOT = Path(__file__).parents[2]


async def live_and_die(folder: Path, point: str) -> Started:
    """Start the doomed process and kill it when it is there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.agent.doomed",
        str(folder),
        point,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            lines: list[str] = []
            while "here" not in lines or len(lines) < 2:
                line = (await process.stdout.readline()).decode().strip()
                assert line, "the process ended early"
                lines.append(line)
    finally:
        process.kill()
        await process.wait()
    thread_id, run_id = next(line for line in lines if line != "here").split()
    return Started(thread_id, run_id)


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_run_goes_on_after_the_next_start(tmp_path: Path, point: str) -> None:
    started = await live_and_die(tmp_path, point)
    final = Reply("It is counted.")
    model = script(final)
    if point == "first words":
        model = script(Reply("Let me count.", [ToolUse("count", {}, "call_1")]), final)
    async with Runtime.open(settings_in(tmp_path), []) as runtime:
        catalog = Catalog([counting(tmp_path, stand_still=False)], runtime.plans)
        async with assistant_with(runtime, model, catalog) as assistant:
            events = await read(assistant, started)
            async with asyncio.timeout(SECONDS):
                resumed = [e async for e in assistant.stream(started.thread_id, 1)]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert resumed == events[1:]
    assert [data["attempt"] for data in only(events, "run_started")] == [1, 2]
    assert [data["text"] for data in only(events, "answer")] == ["It is counted."]
    assert len(only(events, "tool_started")) == len(only(events, "tool_finished")) == 1
    executions = 2 if point == "in a tool" else 1
    assert len((tmp_path / "executions").read_text()) == executions


async def test_a_command_beside_a_server_leaves_its_runs_alone(tmp_path: Path) -> None:
    started = await live_and_die(tmp_path, POINTS[0])
    async with (
        Runtime.open(settings_in(tmp_path), []) as runtime,
        open_assistant(runtime, recover=False) as beside,
    ):
        run = await beside.run(started.run_id, ME)
        assert (run.status, run.attempts) == (RunStatus.RUNNING, 1)
