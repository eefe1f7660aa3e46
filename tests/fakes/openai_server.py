"""An OpenAI-compatible HTTP server that follows a script: streams, tool calls, cuts and errors."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.chat_model import Reply


class OpenAIServer:
    """Answers chat completions in order, the last reply for ever; a number is an HTTP status."""

    def __init__(self, replies: Sequence[Reply | int]) -> None:
        self.replies = list(replies)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.url = ""

    async def complete(self, request: Request) -> Response:
        """Serve `POST /v1/chat/completions`."""
        reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
        self.requests.append(await request.json())
        self.keys.append(request.headers.get("authorization"))
        if isinstance(reply, int):
            error = {"message": f"status {reply}: sk-secret", "type": "error", "code": None}
            return JSONResponse({"error": error}, status_code=reply)
        return StreamingResponse(self._stream(reply), media_type="text/event-stream")

    async def _stream(self, reply: Reply) -> AsyncIterator[bytes]:
        yield _chunk({"role": "assistant", "content": ""})
        for word in reply.words:
            yield _chunk({"content": word})
        for index, use in enumerate(reply.calls):
            function = {"name": use.name, "arguments": ""}
            start = {"index": index, "id": use.id, "type": "function", "function": function}
            yield _chunk({"tool_calls": [start]})
            middle = len(use.raw) // 2
            for piece in (use.raw[:middle], use.raw[middle:]):
                yield _chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        if reply.finish_reason is None:
            return
        yield _chunk({}, finish=reply.finish_reason)
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        yield _line({**_frame(), "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[OpenAIServer]:
        """Listen on loopback."""
        app = Starlette(routes=[Route("/v1/chat/completions", self.complete, methods=["POST"])])
        config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            serving = asyncio.create_task(server.serve([listener]))
            try:
                yield self
            finally:
                server.should_exit = True
                await serving


def _frame() -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "scripted",
    }


def _chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _line({**_frame(), "choices": [choice]})


def _line(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()
