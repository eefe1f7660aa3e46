"""A chat model that follows a script: what a test wants a model to say, and what it was sent."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field


@dataclass(frozen=True)
class ToolUse:
    """A tool call; `arguments` as text may be malformed."""

    name: str
    arguments: dict[str, Any] | str = field(default_factory=dict)
    id: str | None = field(default_factory=lambda: f"call_{uuid.uuid4().hex[:12]}")

    @property
    def raw(self) -> str:
        """The arguments as a provider sends them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


@dataclass(frozen=True)
class Reply:
    """One answer of the model."""

    text: str = ""
    calls: Sequence[ToolUse] = ()
    finish: str | None = "auto"
    """None: the stream ends without saying so."""
    error: Exception | None = None
    """Raised after the text."""
    hold: asyncio.Event | None = None
    """Waited for after the first word."""
    input_tokens: int = 10
    """What it says it has read."""

    @property
    def finish_reason(self) -> str | None:
        """What the last chunk says."""
        if self.finish != "auto":
            return self.finish
        return "tool_calls" if self.calls else "stop"

    @property
    def words(self) -> list[str]:
        """The text in the pieces in which it is streamed."""
        return re.findall(r"\s*\S+", self.text)


class ScriptedModel(BaseChatModel):
    """Gives the replies in order, the last one for ever; keeps what it was sent."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    replies: list[Any]
    seen: list[list[BaseMessage]] = Field(default_factory=list)
    offered: list[list[str]] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        self.offered.append([tool.name for tool in tools])
        return self

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("the agent streams")

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        reply: Reply = self.replies[min(len(self.seen), len(self.replies) - 1)]
        self.seen.append(list(messages))
        message_id = f"msg-{uuid.uuid4().hex[:8]}"
        for position, word in enumerate(reply.words):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word, id=message_id))
            if position == 0 and reply.hold is not None:
                await reply.hold.wait()
        if reply.error is not None:
            raise reply.error
        for index, use in enumerate(reply.calls):
            chunk = tool_call_chunk(name=use.name, args=use.raw, id=use.id, index=index)
            yield ChatGenerationChunk(
                message=AIMessageChunk(content="", id=message_id, tool_call_chunks=[chunk])
            )
        metadata = {"finish_reason": reply.finish_reason} if reply.finish_reason else {}
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                id=message_id,
                response_metadata=metadata,
                usage_metadata={
                    "input_tokens": reply.input_tokens,
                    "output_tokens": 5,
                    "total_tokens": reply.input_tokens + 5,
                },
                chunk_position="last",
            )
        )
