"""A conversation as its client sees it: questions in, events out."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from cloudpilot.context import Actor
from cloudpilot.db.thread_records import RunStatus
from cloudpilot.errors import InvalidArguments, NotFound, ThreadBusy
from cloudpilot.operation import Catalog
from cloudpilot.runtime import Runtime
from tests.agent.conversation import (
    ME,
    ask,
    assistant_with,
    only,
    read,
    read_thread,
    script,
    types,
    wait_for,
)
from tests.fakes.chat_model import Reply, ToolUse


async def test_a_question_is_answered_after_a_tool_call(runtime: Runtime, books: Catalog) -> None:
    model = script(
        Reply("Let me look.", [ToolUse("list_books", {"count": 3}, "call_1")]),
        Reply("There are three books."),
    )
    async with assistant_with(runtime, model, books) as assistant:
        events = await ask(assistant, "how many books are there?")
    assert types(events) == [
        "run_started",
        "token",
        "tool_started",
        "tool_finished",
        "token",
        "answer",
        "usage",
        "run_finished",
    ]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert only(events, "run_started") == [
        {"attempt": 1, "message": "how many books are there?", "plan_id": None}
    ]
    assert only(events, "tool_started")[0]["arguments"] == {"count": 3}
    assert only(events, "answer") == [{"text": "There are three books.", "complete": True}]
    assert only(events, "usage")[0] == {
        "input_tokens": 20,
        "output_tokens": 10,
        "model_calls": 2,
        "tool_calls": 1,
        "model": "offline",
    }
    assert only(events, "run_finished") == [{"status": "finished"}]


async def test_tokens_of_the_answer_make_up_its_text(runtime: Runtime, books: Catalog) -> None:
    async with assistant_with(runtime, script(Reply("one two  three\nfour")), books) as assistant:
        events = await ask(assistant, "count")
    assert "".join(data["text"] for data in only(events, "token")) == "one two  three\nfour"


async def test_the_stream_resumes_exactly_at_every_event(runtime: Runtime, books: Catalog) -> None:
    model = script(
        Reply("First.", [ToolUse("list_books"), ToolUse("get_book", {"name": "a"})]),
        Reply("Then a longer answer in many words."),
    )
    async with assistant_with(runtime, model, books) as assistant:
        started = await assistant.start("go", actor=ME)
        whole = await read(assistant, started)
        for position in range(len(whole) + 1):
            again = await read(assistant, started, after=position)
            assert again == whole[position:]


async def test_two_clients_see_the_same_live_stream(runtime: Runtime, books: Catalog) -> None:
    hold = asyncio.Event()
    async with assistant_with(runtime, script(Reply("slow answer", hold=hold)), books) as assistant:
        started = await assistant.start("go", actor=ME)
        await wait_for(assistant, started, "token")
        reading = [asyncio.create_task(read(assistant, started, after)) for after in (0, 1)]
        hold.set()
        first, second = await asyncio.gather(*reading)
    assert first[1:] == second
    assert only(first, "answer")[0]["text"] == "slow answer"


async def test_a_client_that_leaves_does_not_stop_the_run(runtime: Runtime, books: Catalog) -> None:
    hold = asyncio.Event()
    async with assistant_with(runtime, script(Reply("slow answer", hold=hold)), books) as assistant:
        started = await assistant.start("go", actor=ME)
        leaving = asyncio.create_task(read(assistant, started))
        await wait_for(assistant, started, "token")
        leaving.cancel()
        hold.set()
        assert types(await read(assistant, started))[-1] == "run_finished"


async def test_a_thread_remembers_and_its_model_sees_the_history(
    runtime: Runtime, books: Catalog
) -> None:
    model = script(Reply("One."), Reply("Two."))
    async with assistant_with(runtime, model, books) as assistant:
        started = await assistant.start("first question", actor=ME)
        first = await read(assistant, started)
        second = await ask(assistant, "second question", thread_id=started.thread_id)
        messages = await assistant.messages(started.thread_id, ME)
    assert second[0].seq == len(first) + 1
    assert [(message.role, message.text) for message in messages] == [
        ("user", "first question"),
        ("assistant", "One."),
        ("user", "second question"),
        ("assistant", "Two."),
    ]
    kinds = [type(message) for message in model.seen[1]]
    assert kinds == [SystemMessage, HumanMessage, AIMessage, HumanMessage]
    assert str(model.seen[1][-1].text).endswith("second question")


async def test_a_second_message_while_one_runs_is_refused(runtime: Runtime, books: Catalog) -> None:
    hold = asyncio.Event()
    model = script(Reply("slow answer", hold=hold), Reply("next"))
    async with assistant_with(runtime, model, books) as assistant:
        started = await assistant.start("go", actor=ME)
        results = await asyncio.gather(
            *(assistant.start("too", actor=ME, thread_id=started.thread_id) for _ in range(5)),
            return_exceptions=True,
        )
        assert all(isinstance(result, ThreadBusy) for result in results)
        hold.set()
        await read(assistant, started)
        events = await ask(assistant, "now", thread_id=started.thread_id)
    assert only(events, "answer")[0]["text"] == "next"


async def test_of_many_simultaneous_messages_one_runs(runtime: Runtime, books: Catalog) -> None:
    hold = asyncio.Event()
    model = script(Reply("hello"), Reply("slow answer", hold=hold))
    async with assistant_with(runtime, model, books) as assistant:
        first = await assistant.start("go", actor=ME)
        await read(assistant, first)
        results = await asyncio.gather(
            *(assistant.start("go", actor=ME, thread_id=first.thread_id) for _ in range(20)),
            return_exceptions=True,
        )
        hold.set()
        await read_thread(assistant, first.thread_id)
    assert sum(not isinstance(result, ThreadBusy) for result in results) == 1


async def test_cancel_ends_the_run_and_the_thread_goes_on(runtime: Runtime, books: Catalog) -> None:
    model = script(Reply("never ending", hold=asyncio.Event()), Reply("fine"))
    async with assistant_with(runtime, model, books) as assistant:
        started = await assistant.start("go", actor=ME)
        await wait_for(assistant, started, "token")
        assert await assistant.cancel(started.run_id, ME) is RunStatus.CANCELLED
        events = await read(assistant, started)
        assert types(events) == ["run_started", "token", "run_finished"]
        assert only(events, "run_finished") == [{"status": "cancelled"}]
        assert await assistant.cancel(started.run_id, ME) is RunStatus.CANCELLED
        assert await read(assistant, started) == events
        after = await ask(assistant, "again", thread_id=started.thread_id)
    assert only(after, "answer")[0]["text"] == "fine"


async def test_cancelled_tool_calls_are_closed_for_the_next_turn(
    runtime: Runtime, books: Catalog
) -> None:
    model = script(
        Reply(calls=[ToolUse("list_books", {}, "call_a")]),
        Reply("thinking about it", hold=asyncio.Event()),
        Reply("fine"),
    )
    async with assistant_with(runtime, model, books) as assistant:
        started = await assistant.start("go", actor=ME)
        await wait_for(assistant, started, "token")
        await assistant.cancel(started.run_id, ME)
        await ask(assistant, "again", thread_id=started.thread_id)
    last = model.seen[-1]
    called = {c["id"] for m in last if isinstance(m, AIMessage) for c in m.tool_calls}
    assert called == {m.tool_call_id for m in last if isinstance(m, ToolMessage)}


async def test_somebody_elses_thread_does_not_exist(runtime: Runtime, books: Catalog) -> None:
    stranger = Actor("stranger")
    async with assistant_with(runtime, script(Reply("hello")), books) as assistant:
        started = await assistant.start("go", actor=ME)
        await read(assistant, started)
        for attempt in (
            assistant.thread(started.thread_id, stranger),
            assistant.messages(started.thread_id, stranger),
            assistant.delete(started.thread_id, stranger),
            assistant.cancel(started.run_id, stranger),
            assistant.run(started.run_id, stranger),
            assistant.start("hi", actor=stranger, thread_id=started.thread_id),
        ):
            with pytest.raises(NotFound):
                await attempt
        assert await assistant.threads(stranger) == ([], 0)
        mine, total = await assistant.threads(ME)
    assert ([thread.title for thread in mine], total) == (["go"], 1)


async def test_a_deleted_thread_is_gone_even_while_it_runs(
    runtime: Runtime, books: Catalog
) -> None:
    model = script(Reply("never ending", hold=asyncio.Event()))
    async with assistant_with(runtime, model, books) as assistant:
        started = await assistant.start("go", actor=ME)
        await wait_for(assistant, started, "token")
        await assistant.delete(started.thread_id, ME)
        with pytest.raises(NotFound):
            await assistant.thread(started.thread_id, ME)
        assert await read_thread(assistant, started.thread_id) == []


@pytest.mark.parametrize("message", ["", "  \n", "x" * 16_001, "a\ud800b", "a\0b"])
async def test_a_message_that_is_no_text_is_refused(
    runtime: Runtime, books: Catalog, message: str
) -> None:
    async with assistant_with(runtime, script(Reply("hello")), books) as assistant:
        with pytest.raises(InvalidArguments):
            await assistant.start(message, actor=ME)
        assert await assistant.threads(ME) == ([], 0)


async def test_an_unknown_cluster_is_refused_before_anything_runs(
    runtime: Runtime, books: Catalog
) -> None:
    async with assistant_with(runtime, script(Reply("hello")), books) as assistant:
        with pytest.raises(NotFound):
            await assistant.start("go", actor=ME, cluster="nowhere")
        assert await assistant.threads(ME) == ([], 0)


async def test_threads_survive_a_new_assistant(runtime: Runtime, books: Catalog) -> None:
    async with assistant_with(runtime, script(Reply("One.")), books) as assistant:
        started = await assistant.start("first", actor=ME)
        before = await read(assistant, started)
    model = script(Reply("Two."))
    async with assistant_with(runtime, model, books) as assistant:
        assert await read(assistant, started) == before
        await ask(assistant, "second", thread_id=started.thread_id)
    assert [type(message) for message in model.seen[0]][1:] == [
        HumanMessage,
        AIMessage,
        HumanMessage,
    ]
