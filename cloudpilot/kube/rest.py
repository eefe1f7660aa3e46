"""Requests to one API server, as raw bytes: deadlines, the request budget, the breaker, no retries.

It knows paths and statuses; kinds, versions and objects are the client's matter. Errors of the API
server become ours here and nowhere else.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec

from cloudpilot.errors import (
    CloudPilotError,
    ClusterUnavailable,
    InvalidArguments,
    OutcomeUnknown,
)
from cloudpilot.kube.access import Access
from cloudpilot.kube.breaker import Breaker
from cloudpilot.kube.limiter import Limiter, Priority
from cloudpilot.kube.redact import mask_text
from cloudpilot.kube.status import error_of
from cloudpilot.kube.transport import Outgoing, Pool, Transport

JSON = "application/json"

_MAX_BODY = 64 * 1024 * 1024
_MAX_LINE = 16 * 1024 * 1024

Query = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    warnings: list[str] = field(default_factory=list)


class RESTClient:
    """Sends requests to one API server and reads what it answers.

    Promises: a deadline on every call, one attempt per write, no redirects, no Secret content, no
    more requests than the budget allows. Does not promise retries: who reads again decides so (the
    reflector does).
    """

    def __init__(
        self,
        access: Access,
        *,
        connect_seconds: float,
        read_seconds: float,
        requests_per_second: float = 20.0,
        request_burst: int = 40,
    ) -> None:
        self.access = access
        self.limiter = Limiter(requests_per_second, request_burst)
        self.breaker = Breaker()
        self.last_received = time.monotonic()
        """When the server last sent anything, in monotonic seconds."""
        self.requests: Counter[tuple[str, str]] = Counter()
        """How many requests ended how: by verb (GET, WATCH, PROBE, POST, ...) and `2xx` to `5xx`,
        or `error` where no answer came."""
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._transport = Transport(access, connect_seconds)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        read_seconds: float | None = None,
    ) -> Response:
        """Send one request and read the whole answer.

        Raises:
            ClusterUnavailable: no connection, no answer in time, or a server error.
            OutcomeUnknown: the same, for a write that may have landed.
            CloudPilotError: the API server's own refusal, translated.
        """
        outgoing = Outgoing(
            method,
            path,
            _text_values(query),
            accept,
            body=None if body is None else _encode(body),
            content_type=content_type,
        )
        if method == "GET":
            self.breaker.check()
        seconds = (read_seconds or self._read_seconds) + self._connect_seconds
        priority = Priority.READ if method == "GET" else Priority.WRITE
        sent = False
        try:
            async with asyncio.timeout(seconds):
                await self.limiter.acquire(priority)
                sent = True
                async with await self._send(outgoing, Pool.REQUESTS, self._read_seconds) as answer:
                    data = await self._read(answer)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            if not sent:
                raise self._unreachable("the request budget is used up") from None
            raise self._unanswered(error, outgoing) from error
        self._count(method, answer.status)
        if answer.status >= 300:
            raise self._refusal(answer, data, outgoing)
        return Response(answer.status, answer.headers, data, _warnings(answer.headers))

    async def probe(self, seconds: float) -> None:
        """Ask whether the server answers at all; that it refuses us is an answer, too.

        Raises:
            ClusterUnavailable: it does not, or only with a server error.
        """
        outgoing = Outgoing("GET", "/version", {}, JSON)
        try:
            async with asyncio.timeout(seconds):
                await self.limiter.acquire(Priority.PROBE)
                async with await self._send(outgoing, Pool.PROBES, seconds) as answer:
                    data = await self._read(answer)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            self.requests["PROBE", "error"] += 1
            raise self._unreachable(_text(error)) from error
        self._count("PROBE", answer.status)
        if answer.status >= 500:
            raise error_of(answer.status, answer.headers, data, "GET", "/version", writes=False)
        self.breaker.close()

    async def watch(
        self, path: str, query: Query, *, accept: str = JSON
    ) -> AsyncGenerator[list[bytes], None]:
        """Stream a watch: batches of JSON lines as they arrive, until the server ends it.

        The first batch is empty and says that the server accepted the watch.

        A silent stream is given up somewhat after the server should have ended it, so that a
        half-open connection cannot hide changes for ever.

        Raises:
            ClusterUnavailable: the stream broke or fell silent.
            CloudPilotError: the API server refused the watch.
        """
        seconds = random.randint(60, 120)  # noqa: S311 - spreads reconnects, no secret
        query = {**query, "watch": "1", "timeoutSeconds": seconds}
        # A watch may be sent as several gzip members, of which not every reader sees the second.
        outgoing = Outgoing("GET", path, _text_values(query), accept, compress=False)
        self.breaker.check(watch=True)
        rest = b""
        try:
            async with asyncio.timeout(self._connect_seconds + self._read_seconds):
                await self.limiter.acquire()
                opened = await self._send(outgoing, Pool.WATCHES, seconds + 15.0)
            self._count("WATCH", opened.status)
            async with opened as answer:
                if answer.status >= 300:
                    data = await self._read(answer)
                    raise error_of(answer.status, answer.headers, data, "GET", path, writes=False)
                yield []
                async for chunk in answer.content.iter_any():
                    self.last_received = time.monotonic()
                    *lines, rest = (rest + chunk).split(b"\n")
                    if lines:
                        yield lines
                    if len(rest) > _MAX_LINE:
                        raise ClusterUnavailable("a watch event is too large")
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            self.requests["WATCH", "error"] += 1
            raise self._unreachable(_text(error)) from error

    async def _send(
        self, outgoing: Outgoing, pool: Pool, read_seconds: float
    ) -> aiohttp.ClientResponse:
        answer = await self._transport.send(outgoing, pool, read_seconds)
        self.last_received = time.monotonic()
        return answer

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in answer.content.iter_any():
            self.last_received = time.monotonic()
            size += len(chunk)
            if size > _MAX_BODY:
                answer.close()
                raise aiohttp.ClientPayloadError(f"the answer is larger than {_MAX_BODY} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    def _count(self, verb: str, status: int) -> None:
        self.requests[verb, f"{status // 100}xx"] += 1

    def _unanswered(self, error: Exception, outgoing: Outgoing) -> ClusterUnavailable:
        """Return what it means that a request was not answered."""
        self.requests[outgoing.method, "error"] += 1
        unsent = isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
        if _writes(outgoing) and not unsent:
            return OutcomeUnknown(f"the answer to a write was lost: {_text(error)}")
        unreachable = self._unreachable(_text(error))
        if outgoing.method == "GET":
            self.breaker.failed(unreachable.message)
        return unreachable

    def _refusal(
        self, answer: aiohttp.ClientResponse, data: bytes, outgoing: Outgoing
    ) -> CloudPilotError:
        error = error_of(
            answer.status,
            answer.headers,
            data,
            outgoing.method,
            outgoing.path,
            writes=_writes(outgoing),
        )
        if answer.status >= 500 and outgoing.method == "GET":
            self.breaker.failed(error.message)
        return error

    def _unreachable(self, why: str) -> ClusterUnavailable:
        return ClusterUnavailable(f"{self.access.configuration.host} cannot be reached: {why}")


def decode(response: Response) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ClusterUnavailable: it is something else, such as a proxy's HTML page.
    """
    try:
        loaded = msgspec.json.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        loaded = None
    if not isinstance(loaded, dict):
        raise ClusterUnavailable("the server answered something that is not Kubernetes JSON")
    return loaded


def _encode(body: Any) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # a lone surrogate, NaN
        raise InvalidArguments.field("object", "holds what JSON cannot say") from None


def _text_values(query: Query | None) -> dict[str, str]:
    return {key: str(value) for key, value in (query or {}).items()}


def _writes(outgoing: Outgoing) -> bool:
    return outgoing.method != "GET" and "dryRun" not in outgoing.query


def _warnings(headers: Any) -> list[str]:
    """Return the texts of the API server's `Warning: 299 - "..."` headers."""
    found = []
    for value in headers.getall("Warning", []):
        text = value.split('"', 1)[-1].rsplit('"', 1)[0].replace('\\"', '"')
        found.append(mask_text(text))
    return found


def _text(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return mask_text(str(error))[:300] or type(error).__name__
