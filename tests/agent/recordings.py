"""Conversations with a provider that are recorded once and replayed without one.

After a change of the system prompt or of what the model is told, record them anew:
`python -m tests.agent.recordings`. Only the scripted server is ever recorded.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vcr

from agent.llm import open_model
from cloudpilot.db.thread_records import StoredEvent
from cloudpilot.operation import Catalog
from cloudpilot.runtime import Runtime
from cloudpilot.settings import LLMSettings, quiet_tracing
from tests.agent.conftest import library
from tests.agent.conversation import ask, assistant_with
from tests.agent.doomed import settings_in
from tests.fakes.chat_model import Reply, ToolUse
from tests.fakes.openai_server import OpenAIServer

FOLDER = Path(__file__).parent / "cassettes"
KEY = "sk-never-to-be-recorded"
QUESTION = "which books are there?"

SCENARIOS: dict[str, Sequence[Reply | int]] = {
    "parallel_calls": [
        Reply(
            "Let me look.",
            [
                ToolUse("list_books", {"count": 1}, "call_a"),
                ToolUse("get_book", {"name": "book-0"}, "call_b"),
            ],
        ),
        Reply("There is one book, book-0."),
    ],
    "malformed_arguments": [
        Reply(calls=[ToolUse("list_books", "count=1", "call_a")]),
        Reply(calls=[ToolUse("list_books", {"count": 1}, "call_b")]),
        Reply("There is one book."),
    ],
    "cut_stream": [Reply("I will look", [ToolUse("get_book", {"name": "a"}, "call_a")], None)],
    "refused_key": [401],
}


def recorder(mode: str) -> Any:
    """Return a recorder that keeps no header of a request and matches by method and body."""
    return vcr.VCR(
        cassette_library_dir=str(FOLDER),
        record_mode=mode,
        match_on=["method", "body"],
        before_record_request=_without_headers,
        before_record_response=_without_date,
    )


async def converse(runtime: Runtime, url: str) -> list[StoredEvent]:
    """Ask the question through the real client."""
    settings = LLMSettings(
        provider="openai", api_key=KEY, base_url=url, model="scripted", max_retries=0
    )
    catalog = Catalog([library()], runtime.plans)
    async with assistant_with(runtime, open_model(settings), catalog) as assistant:
        return await ask(assistant, QUESTION)


def _without_headers(request: Any) -> Any:
    request.headers = {}
    request.uri = "http://model.test/v1/chat/completions"
    return request


def _without_date(response: Any) -> Any:
    kept = {"content-type", "transfer-encoding"}
    response["headers"] = {k: v for k, v in response["headers"].items() if k.lower() in kept}
    return response


async def record() -> None:
    """Record every scenario from the scripted server."""
    for name, replies in SCENARIOS.items():
        (FOLDER / f"{name}.yaml").unlink(missing_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            async with (
                Runtime.open(settings_in(Path(folder)), []) as runtime,
                OpenAIServer(replies).running() as server,
            ):
                with recorder("all").use_cassette(f"{name}.yaml"):
                    await converse(runtime, server.url)


if __name__ == "__main__":
    quiet_tracing()
    asyncio.run(record())
