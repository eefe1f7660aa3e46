"""Asks the assistant and follows its answer on the terminal, approvals included."""

from __future__ import annotations

import argparse
import asyncio
import sys

from agent.assistant import Assistant, Started
from cloudpilot.context import LOCAL_HUMAN
from cloudpilot.db.thread_records import StoredEvent
from cloudpilot.errors import CloudPilotError
from cloudpilot.plans.plan import Plan
from cloudpilot.runtime import Runtime
from integrations.terminal import output
from integrations.terminal.arguments import program


async def ask(runtime: Runtime, assistant: Assistant, arguments: argparse.Namespace) -> int:
    """Ask, print the answer as it comes, and let the person decide what it wants to write."""
    started = await assistant.start(
        arguments.question,
        actor=LOCAL_HUMAN,
        thread_id=arguments.thread,
        cluster=arguments.cluster,
        namespace=arguments.namespace,
    )
    try:
        return await _follow(runtime, assistant, started, program(arguments))
    except asyncio.CancelledError:
        await assistant.cancel(started.run_id, LOCAL_HUMAN)
        raise


async def _follow(runtime: Runtime, assistant: Assistant, started: Started, again: str) -> int:
    screen = _Screen()
    events = assistant.stream(started.thread_id, run_id=started.run_id)
    waiting = True
    while waiting:
        waiting = False
        async for event in events:
            screen.show(event)
            if event.type == "run_finished":
                waiting = event.data["status"] == "waiting"
                if waiting:
                    # A decided plan goes on in a new run of the same thread.
                    events = assistant.stream(started.thread_id, event.seq)
                    break
        if waiting and screen.proposed and not await _decide(runtime, screen.proposed, again):
            break
    output.note(f"thread: {started.thread_id}")
    return output.EXIT_FAILED if screen.failed else output.EXIT_OK


async def _decide(runtime: Runtime, proposed: list[Plan], again: str) -> bool:
    """Have the person decide each plan; False if one stays open."""
    if not sys.stdin.isatty():
        for plan in proposed:
            output.show_how_to_decide(plan, again)
        return False
    while proposed:
        plan = proposed.pop(0)
        wanted = plan.confirmation or "yes"
        given = await _prompt(f"approve? type {wanted}: ")
        try:
            if given == wanted:
                done = await runtime.plans.approve(
                    plan.id, plan.digest, LOCAL_HUMAN, plan.confirmation
                )
            else:
                done = await runtime.plans.deny(plan.id, LOCAL_HUMAN)
            output.line(f"{done.state.value}: {done.outcome or ''}")
        except CloudPilotError as error:
            output.fail(error)
            return False
    return True


async def _prompt(text: str) -> str:
    """Ask for a line; waiting for it leaves Ctrl-C working, which a thread in `input` does not."""
    output.write(text)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(sys.stdin, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(sys.stdin)
    return sys.stdin.readline().strip()


class _Screen:
    """Shows events: the answer on standard output, what happens meanwhile on standard error."""

    def __init__(self) -> None:
        self.failed = False
        self.proposed: list[Plan] = []
        self._text = ""
        self._message_id = ""

    def show(self, event: StoredEvent) -> None:
        data = event.data
        match event.type:
            case "token":
                if self._message_id not in ("", data["message_id"]):
                    self._end_text()
                self._message_id = data["message_id"]
                self._text += data["text"]
                output.write(data["text"])
            case "tool_started":
                self._end_text()
                values = ", ".join(f"{name}={value}" for name, value in data["arguments"].items())
                output.note(f"· {data['name']}({values})")
            case "approval_required":
                self._end_text()
                self.proposed.append(Plan.model_validate(data["plan"]))
                output.show_plan(self.proposed[-1])
            case "answer":
                if data["text"].strip() != self._text.strip():
                    self._end_text()
                    output.write(data["text"])
                    self._text = data["text"]
                self._end_text()
            case "error":
                self._end_text()
                self.failed = True
                output.note(f"error: {data['message']}")
                if data.get("hint"):
                    output.note(f"hint: {data['hint']}")

    def _end_text(self) -> None:
        if self._text and not self._text.endswith("\n"):
            output.line()
        self._text = self._message_id = ""
