"""The model that needs no model: rules instead of a network, behind the same interface.

It reads the question, calls the same tools through the same graph, and answers from their results
alone. Its first sentence says what it is.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from agent.offline_question import read_question
from agent.offline_rules import next_step
from agent.offline_step import Call

NOTICE = "No language model is configured, so this answer is rule-based."
NOTICE_CHINESE = "未配置语言模型，以下回答由规则生成。"


class OfflineModel(BaseChatModel):
    """A chat model made of rules. Keeps nothing between calls."""

    @property
    def _llm_type(self) -> str:
        return "offline"

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: str | dict[str, str] | bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Accept tools; the rules know which operations they call."""
        names = [tool.name for tool in tools if isinstance(tool, BaseTool)]
        return self.bind(tool_names=names, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        whole: AIMessageChunk | None = None
        for chunk in _chunks(messages):
            whole = chunk if whole is None else whole + chunk
        message = (
            AIMessage(**whole.model_dump(exclude={"type", "tool_call_chunks"}))
            if whole
            else AIMessage("")
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in _chunks(messages):
            generation = ChatGenerationChunk(message=chunk)
            if run_manager is not None:
                await run_manager.on_llm_new_token(str(chunk.text), chunk=generation)
            yield generation


def _chunks(messages: Sequence[BaseMessage]) -> Iterator[AIMessageChunk]:
    question = read_question(messages)
    step = next_step(question)
    message_id = f"offline-{uuid.uuid4().hex}"
    if isinstance(step, str):
        notice = NOTICE_CHINESE if question.chinese else NOTICE
        for word in re.findall(r"\s*\S+", f"{notice}\n\n{step}"):
            yield AIMessageChunk(content=word, id=message_id)
    else:
        for index, call in enumerate(step):
            yield _call_chunk(message_id, index, call)
    yield AIMessageChunk(
        content="",
        id=message_id,
        response_metadata={"finish_reason": "stop" if isinstance(step, str) else "tool_calls"},
        usage_metadata={"input_tokens": 0, "output_tokens": 0, "total_tokens": 0},
        chunk_position="last",
    )


def _call_chunk(message_id: str, index: int, call: Call) -> AIMessageChunk:
    return AIMessageChunk(
        content="",
        id=message_id,
        tool_call_chunks=[
            tool_call_chunk(
                name=call.name,
                args=json.dumps(call.arguments),
                id=f"call_{uuid.uuid4().hex}",
                index=index,
            )
        ],
    )
