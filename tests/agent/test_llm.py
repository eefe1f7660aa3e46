"""The configured model: which one, where from, and what its failures are called."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from agent.llm import open_model
from agent.offline import OfflineModel
from agent.provider import model_name, provider_of
from cloudpilot.db.thread_records import StoredEvent
from cloudpilot.errors import SettingsError
from cloudpilot.operation import Catalog
from cloudpilot.runtime import Runtime
from cloudpilot.settings import LLMSettings
from tests.agent.conversation import ask, assistant_with, only, types
from tests.fakes.chat_model import Reply, ToolUse
from tests.fakes.openai_server import OpenAIServer

KEY = "sk-test-key"


@asynccontextmanager
async def server(replies: Sequence[Reply | int]) -> AsyncIterator[OpenAIServer]:
    """Run a scripted provider."""
    async with OpenAIServer(replies).running() as running:
        yield running


async def converse(
    runtime: Runtime, books: Catalog, url: str, max_retries: int = 0
) -> list[StoredEvent]:
    """Ask through the real client."""
    settings = LLMSettings(
        provider="openai", api_key=KEY, base_url=url, model="scripted", max_retries=max_retries
    )
    async with assistant_with(runtime, open_model(settings), books) as assistant:
        return await ask(assistant, "which books are there?")


async def test_a_conversation_over_http_streams_and_calls_tools(
    runtime: Runtime, books: Catalog
) -> None:
    calls = [
        ToolUse("list_books", {"count": 1}, "call_a"),
        ToolUse("get_book", {"name": "book-0"}, "call_b"),
    ]
    async with server([Reply("Let me look.", calls), Reply("There is one book.")]) as provider:
        events = await converse(runtime, books, provider.url)
    assert only(events, "answer") == [{"text": "There is one book.", "complete": True}]
    assert {data["call_id"] for data in only(events, "tool_finished")} == {"call_a", "call_b"}
    assert only(events, "usage")[0]["input_tokens"] == 20
    assert provider.keys == [f"Bearer {KEY}"] * 2
    first, second = provider.requests
    assert first["stream_options"] == {"include_usage": True}
    assert [tool["function"]["name"] for tool in first["tools"]] == ["get_book", "list_books"]
    assert [message["role"] for message in second["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
    ]


async def test_malformed_arguments_over_http_are_corrected(
    runtime: Runtime, books: Catalog
) -> None:
    bad = ToolUse("list_books", "count=1", "call_a")
    good = ToolUse("list_books", {"count": 1}, "call_b")
    async with server([Reply(calls=[bad]), Reply(calls=[good]), Reply("One.")]) as provider:
        events = await converse(runtime, books, provider.url)
    assert [data["status"] for data in only(events, "tool_finished")] == ["error", "ok"]
    sent = provider.requests[1]["messages"]
    assert json.loads(sent[2]["tool_calls"][0]["function"]["arguments"])
    assert "not a JSON object" in sent[3]["content"]


async def test_a_cut_stream_over_http_runs_no_half_tool_call(
    runtime: Runtime, books: Catalog
) -> None:
    cut = Reply("I will look", [ToolUse("get_book", {"name": "a"})], finish=None)
    async with server([cut]) as provider:
        events = await converse(runtime, books, provider.url)
    assert types(events) == ["run_started", "token", "answer", "error", "run_finished"]
    assert only(events, "answer") == [{"text": "I will look", "complete": False}]
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "the model provider refused the key"),
        (403, "the key may not use this model"),
        (404, "the provider does not know this model"),
        (429, "the model provider's rate limit is reached"),
        (500, "the model provider has an internal failure"),
    ],
)
async def test_a_status_is_told_in_our_words(
    runtime: Runtime, books: Catalog, status: int, message: str
) -> None:
    async with server([status]) as provider:
        events = await converse(runtime, books, provider.url)
    failure = only(events, "error")[0]
    assert (failure["type"], failure["message"]) == ("ModelUnavailable", message)
    assert "sk-" not in json.dumps([event.data for event in events])


async def test_a_passing_failure_is_tried_again(runtime: Runtime, books: Catalog) -> None:
    async with server([500, 429, Reply("Here I am.")]) as provider:
        events = await converse(runtime, books, provider.url, max_retries=2)
    assert only(events, "answer")[0]["text"] == "Here I am."


async def test_an_unreachable_provider_is_told(runtime: Runtime, books: Catalog) -> None:
    events = await converse(runtime, books, "http://127.0.0.1:9/v1")
    assert only(events, "error")[0]["message"] == "the model provider cannot be reached"


@pytest.mark.parametrize(
    ("settings", "provider"),
    [
        (LLMSettings(), "offline"),
        (LLMSettings(api_key=KEY), "openai"),
        (LLMSettings(base_url="http://localhost:11434/v1"), "openai"),
        (LLMSettings(provider="offline", api_key=KEY), "offline"),
    ],
)
def test_the_provider_follows_from_what_is_set(settings: LLMSettings, provider: str) -> None:
    assert provider_of(settings) == provider
    assert isinstance(open_model(settings), OfflineModel) == (provider == "offline")
    assert model_name(settings) == ("offline" if provider == "offline" else "gpt-5-mini")


@pytest.mark.parametrize(
    "url",
    ["http://example.com/v1", "ftp://localhost", "http://127.0.0.1.example.com", "https://", "x"],
)
def test_an_address_that_could_leak_the_key_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="base_url"):
        open_model(LLMSettings(api_key=KEY, base_url=url))


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "http://[::1]:8080/v1"])
def test_https_and_loopback_are_accepted(url: str) -> None:
    assert open_model(LLMSettings(api_key=KEY, base_url=url)) is not None


def test_openai_without_a_key_or_address_is_refused() -> None:
    with pytest.raises(SettingsError, match="api_key"):
        open_model(LLMSettings(provider="openai"))
