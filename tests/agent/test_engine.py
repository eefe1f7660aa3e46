"""The heavy half of the agent: opened by the first turn, once, and by nothing else."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from pydantic import SecretStr

from agent.assistant import Assistant
from cloudpilot.clusters import Cluster
from cloudpilot.errors import SettingsError
from cloudpilot.runtime import Runtime
from cloudpilot.settings import LLMSettings, Settings
from tests.agent.conversation import ME, ask, assistant_with, only, script
from tests.fakes.chat_model import Reply
from tests.processes import ROOT, SECONDS, environment


def heavy_modules(code: str) -> str:
    """Run code in a process of its own; return which packages of LangChain it has loaded."""
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys\nprint([m for m in sys.modules if m.startswith('lang')])",
        ],
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    return ended.stdout.strip()


def test_the_http_door_imports_no_langchain():
    assert heavy_modules("import agent.assistant, api.app, cloudpilot.runtime, tools") == "[]"


async def test_many_first_messages_open_it_once(runtime: Runtime, cluster: Cluster):
    replies = [Reply("yes") for _ in range(4)]
    async with assistant_with(runtime, script(*replies)) as assistant:
        assistant.prepare()
        told = await asyncio.gather(*(ask(assistant, f"question {n}") for n in range(4)))
    assert [only(events, "answer")[0]["text"] for events in told] == ["yes"] * 4


async def test_who_gives_up_while_it_opens_leaves_it_to_the_others(
    runtime: Runtime, cluster: Cluster
):
    async with assistant_with(runtime, script(Reply("yes"), Reply("yes"))) as assistant:
        first = await assistant.start("never mind", actor=ME)
        await assistant.cancel(first.run_id, ME)
        answers = only(await ask(assistant, "still there?"), "answer")
    assert [answer["text"] for answer in answers] == ["yes"]


async def test_a_thread_of_an_earlier_process_is_deleted_without_a_message(runtime: Runtime):
    async with assistant_with(runtime, script(Reply("yes"))) as assistant:
        started = await assistant.start("hello", actor=ME)
        async for _ in assistant.stream(started.thread_id, run_id=started.run_id):
            pass
    async with assistant_with(runtime, script()) as assistant:
        await assistant.delete(started.thread_id, ME)
        assert await assistant.threads(ME) == ([], 0)


@pytest.mark.parametrize(
    "llm",
    [
        LLMSettings(provider="openai"),
        LLMSettings(base_url="http://models.example.com/v1", api_key=SecretStr("k")),
    ],
)
async def test_settings_that_cannot_work_are_refused_at_the_start(
    runtime: Runtime, settings: Settings, llm: LLMSettings
):
    wrong = settings.model_copy(update={"llm": llm})
    parts = (runtime.catalog, runtime.clusters, runtime.database, runtime.plans)
    with pytest.raises(SettingsError):
        async with Assistant.open(wrong, *parts):
            pass
