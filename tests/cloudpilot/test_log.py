"""Log lines: one an event, readable by machines, nothing secret and nothing that moves a cursor."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from cloudpilot.log import configure, request_id

logger = logging.getLogger("cloudpilot.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = io.StringIO()
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


def entries(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_line_has_time_level_logger_message_and_extras(stream: io.StringIO) -> None:
    configure("INFO", "json", stream)
    logger.info("called %s in %.1f s", "list_pods", 0.25, extra={"operation": "list_pods", "n": 3})
    [entry] = entries(stream)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "level": "INFO",
        "logger": "cloudpilot.test",
        "message": "called list_pods in 0.2 s",
        "operation": "list_pods",
        "n": 3,
    }


def test_request_id_is_on_every_line(stream: io.StringIO) -> None:
    token = request_id.set("r-1")
    try:
        configure("INFO", "json", stream)
        logger.info("one")
        configure("INFO", "text", stream)
        logger.info("two")
    finally:
        request_id.reset(token)
    first, second = stream.getvalue().splitlines()
    assert json.loads(first)["request_id"] == "r-1"
    assert second.endswith("two [r-1]")


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "hostile",
    ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\x00b", "a\x9bb", "a\u2028b", "a\u202eb", "a\u200bb",
     "a\x85b", "a\x0bb", "a\x7fb", "a\ud800b", "a\U000e0041b", "12:00:00 INFO forged: line\n" * 3],
)  # fmt: skip
def test_one_event_is_one_line_whatever_it_says(
    stream: io.StringIO, form: str, hostile: str
) -> None:
    configure("INFO", form, stream)
    logger.info("said %s", hostile, extra={"also": hostile} if form == "json" else None)
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert all(char == "\n" or char.isprintable() for char in text)
    text.encode()


@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "line",
    ["Authorization: Bearer %s", "token=%s", "token: %s", '{"token": "%s"}', "password=%s",
     "PASSWORD: '%s'", "api_key=%s", "API-KEY: %s", "secret=%s", "postgres://app:%s@db/x"],
)  # fmt: skip
def test_secrets_are_masked(stream: io.StringIO, form: str, line: str) -> None:
    configure("INFO", form, stream)
    secret = "c4nary-0123456789"
    logger.info(line, secret)
    logger.info("nested", extra={"a": {"token": secret}, "b": [f"token={secret}"]})
    try:
        raise RuntimeError(line % secret)
    except RuntimeError:
        logger.exception("failed")
    assert "c4nary" not in stream.getvalue()
    assert "[masked]" in stream.getvalue()


def test_jwt_is_masked_wherever_it_stands(stream: io.StringIO) -> None:
    configure("INFO", "json", stream)
    logger.info("got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl from it")
    assert entries(stream)[0]["message"] == "got [masked] from it"


@pytest.mark.parametrize(
    "line",
    ["the token expired yesterday", "password rejected", "continue token expired, listing again",
     "secret not found", "https://example.com:6443/api/v1", "bearer of bad news"],
)  # fmt: skip
def test_ordinary_lines_stay(stream: io.StringIO, line: str) -> None:
    configure("INFO", "json", stream)
    logger.info(line)
    assert entries(stream)[0]["message"] == line


def test_exception_is_one_json_line(stream: io.StringIO) -> None:
    configure("INFO", "json", stream)
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        logger.exception("failed")
    [entry] = entries(stream)
    assert "ValueError: first\nsecond" in entry["exception"]


def test_long_line_of_a_megabyte_ends(stream: io.StringIO) -> None:
    configure("INFO", "json", stream)
    for filling in ("token", "eyJ-", "://a:", "bearer ", "token ", "x"):
        logger.info(filling * (1_000_000 // len(filling)))
    assert len(entries(stream)) == 6


def test_format_follows_the_stream(stream: io.StringIO) -> None:
    configure("WARNING", "auto", stream)
    logger.info("not written")
    logger.warning("written")
    assert [entry["message"] for entry in entries(stream)] == ["written"]


def test_noisy_libraries_are_quiet(stream: io.StringIO) -> None:
    configure("DEBUG", "json", stream)
    logging.getLogger("httpx").info("GET https://example.com")
    logging.getLogger("uvicorn.access").info("GET /")
    assert entries(stream) == []
