"""Reads the body of a mutating request: bounded while it streams, then strictly parsed.

Python's parser takes duplicate keys, NaN, lone surrogates and integers of any size; each of them
breaks a hash, a checkpoint or a database later, so they are refused here, for every route.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from email.message import Message as Header
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.limits import SAFE_METHODS, header_values
from cloudpilot.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

MAX_DEPTH = 64
_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.DOTALL)
_UNTYPED_METHODS = frozenset({"DELETE"})
"""A page cannot send these across sites unasked, and they usually have no body to be typed."""


class JSONBody:
    """Hands on only requests whose body is JSON that every later layer can hold."""

    def __init__(self, app: ASGIApp, limit: int, seconds: float = 30.0) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read and check the body, then pass the request on with it."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            await self._app(scope, receive, send)
            return
        _check_type(scope)
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._read(scope, receive)
        except TimeoutError:
            problem = f"the request body did not arrive within {self._seconds:g} s"
            raise BadRequest(problem) from None
        if body is None:
            return
        if body:
            if not header_values(scope, b"content-type"):
                raise UnsupportedMediaType("the request body has no Content-Type")
            parse(body)
        delivered = False

        async def replay() -> Message:
            nonlocal delivered
            if delivered:
                return await receive()
            delivered = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, replay, send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """Return the whole body, None if the client left meanwhile."""
        too_large = PayloadTooLarge(
            f"the request body is larger than {self._limit} bytes",
            details={"limit_bytes": self._limit},
        )
        declared = b"".join(header_values(scope, b"content-length"))
        if declared.isdigit() and int(declared[:20]) > self._limit:
            raise too_large
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            body += message.get("body", b"")
            if len(body) > self._limit:
                raise too_large
            if not message.get("more_body", False):
                return bytes(body)


def _check_type(scope: Scope) -> None:
    types = header_values(scope, b"content-type")
    if not types and scope["method"] in _UNTYPED_METHODS:
        return
    header = Header()
    header["content-type"] = b",".join(types).decode("latin-1")
    charset = header.get_content_charset("utf-8")
    encoding = b"".join(header_values(scope, b"content-encoding"))
    json_typed = types and header.get_content_type() == "application/json"
    if not json_typed or charset not in ("utf-8", "utf8") or encoding not in (b"", b"identity"):
        raise UnsupportedMediaType("the request body must be plain `application/json` in UTF-8")


def parse(body: bytes) -> Any:
    """Parse JSON strictly.

    Raises:
        BadRequest: it is not JSON, or JSON that cannot be stored or hashed.
    """
    try:
        text = body.decode("utf-8")
        _check_depth(text)
        value = json.loads(
            text,
            object_pairs_hook=_unique_keys,
            parse_constant=_refuse_constant,
            parse_int=_bounded_int,
            parse_float=_finite_float,
        )
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise BadRequest(f"the request body is not acceptable JSON: {reason}") from None
    if "\\u" in text:
        _check_text(value)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for found in _BRACKETS.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
        elif found[0] in "]}":
            depth -= 1


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _bounded_int(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= (value := int(digits)) < 2**63:
        raise ValueError("an integer does not fit into 64 bits")
    return value


def _finite_float(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError("a number is too large")
    return value


def _check_text(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise BadRequest("the request body holds a NUL character")
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise BadRequest("the request body holds a lone surrogate")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check_text(item)
    elif isinstance(value, list):
        for item in value:
            _check_text(item)
