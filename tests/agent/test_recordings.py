"""The recorded conversations, replayed with no server anywhere."""

from __future__ import annotations

import pytest

from cloudpilot.db.thread_records import StoredEvent
from cloudpilot.runtime import Runtime
from tests.agent.conversation import only, types
from tests.agent.recordings import FOLDER, KEY, SCENARIOS, converse, recorder

NOWHERE = "http://127.0.0.1:9/v1"


async def replay(runtime: Runtime, name: str) -> list[StoredEvent]:
    """Play a recording; a request that was not recorded fails."""
    with recorder("none").use_cassette(f"{name}.yaml") as cassette:
        events = await converse(runtime, NOWHERE)
        assert cassette.all_played
    return events


async def test_parallel_calls_replay(runtime: Runtime) -> None:
    events = await replay(runtime, "parallel_calls")
    assert {data["call_id"] for data in only(events, "tool_finished")} == {"call_a", "call_b"}
    assert only(events, "answer") == [{"text": "There is one book, book-0.", "complete": True}]
    assert only(events, "usage")[0]["output_tokens"] == 10


async def test_malformed_arguments_replay(runtime: Runtime) -> None:
    events = await replay(runtime, "malformed_arguments")
    assert [data["status"] for data in only(events, "tool_finished")] == ["error", "ok"]
    assert only(events, "answer")[0]["text"] == "There is one book."


async def test_a_cut_stream_replays(runtime: Runtime) -> None:
    events = await replay(runtime, "cut_stream")
    assert types(events) == ["run_started", "token", "answer", "error", "run_finished"]
    assert only(events, "answer") == [{"text": "I will look", "complete": False}]


async def test_a_refused_key_replays(runtime: Runtime) -> None:
    events = await replay(runtime, "refused_key")
    assert only(events, "error")[0]["message"] == "the model provider refused the key"


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_no_recording_holds_a_key_or_an_address(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert KEY not in text
    assert "authorization" not in text.lower()
    assert "127.0.0.1" not in text
