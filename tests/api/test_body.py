"""The bad-input corpus of request bodies: a clear 4xx in the envelope, never a 5xx, no effect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.body import MAX_DEPTH, JSONBody, parse
from cloudpilot.errors import BadRequest
from tests.api.envelopes import error_of

ROUTES = [
    ("POST", "/api/v1/chat"),
    ("POST", "/api/v1/plans/p1/approve"),
    ("POST", "/api/v1/plans/p1/deny"),
    ("POST", "/api/v1/clusters"),
    ("PATCH", "/api/v1/clusters/demo"),
    ("POST", "/api/v1/clusters/demo/namespaces/shop/gateways"),
]
NOT_JSON = {
    "lone surrogate": b'{"message": "\\ud800"}',
    "surrogate as a key": b'{"\\udfff": 1}',
    "surrogate in a list": b'["\\ud800x"]',
    "NUL": b'{"message": "a\\u0000b"}',
    "raw NUL": b'{"message": "a\x00b"}',
    "NaN": b'{"message": NaN}',
    "Infinity": b"[-Infinity, Infinity]",
    "a float beyond all floats": b'{"message": 1e999}',
    "the same key twice": b'{"message": "a", "message": "b"}',
    "the same key twice, deeper": b'{"a": [{"b": 1, "b": 2}]}',
    "depth 1000": b"[" * 1000 + b"]" * 1000,
    "depth 100000": b'{"a":' * 100_000,
    "5000 digits": b'{"message": ' + b"9" * 5000 + b"}",
    "over 64 bit": b'{"message": 18446744073709551616}',
    "UTF-16": '{"message": "a"}'.encode("utf-16"),
    "UTF-7": b'{"message": "+AGEAYg-" \xff}',
    "byte order mark": b'\xef\xbb\xbf{"message": "a"}',
    "latin-1": '{"message": "é"}'.encode("latin-1"),
    "cut": b'{"message": "a',
    "two values": b'{"message": "a"} {"message": "b"}',
    "single quotes": b"{'message': 'a'}",
    "trailing comma": b'{"message": "a",}',
    "YAML": b"message: a",
    "form": b"message=a",
    "nothing but blanks": b"   ",
}
WRONG_SHAPE = {
    "null": b"null",
    "a list": b"[]",
    "a string": b'""',
    "a number": b"7",
    "nothing": b"",
    "unknown fields": b'{"approved": true, "role": "admin", "__proto__": {}, "lc": 1}',
    "a constructor": b'{"lc": 1, "type": "constructor", "id": ["os", "system"]}',
}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("name", NOT_JSON)
async def test_what_is_no_clean_json_is_refused_on_every_route(
    client: httpx.AsyncClient, name: str
):
    for method, path in ROUTES:
        response = await client.request(method, path, content=NOT_JSON[name], headers=JSON)
        error = error_of(response, 400)
        assert error["type"] == "BadRequest"


@pytest.mark.parametrize("name", WRONG_SHAPE)
async def test_json_of_another_shape_is_a_422_that_names_the_field(
    client: httpx.AsyncClient, name: str
):
    for method, path in ROUTES:
        response = await client.request(method, path, content=WRONG_SHAPE[name], headers=JSON)
        fields = error_of(response, 422)["details"]["fields"]
        assert all(item["field"] and item["problem"] for item in fields)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "text/json"},
        {"Content-Type": "application/json-patch+json"},
        {"Content-Type": "application/yaml"},
        {"Content-Type": "application/json; charset=utf-7"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json, text/plain"},
        {"Content-Type": ";"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
async def test_only_declared_json_is_read(client: httpx.AsyncClient, headers: dict[str, str]):
    for method, path in ROUTES:
        request = httpx.Request(method, f"http://localhost{path}", content=b"{}", headers=headers)
        request.headers["Authorization"] = client.headers["Authorization"]
        error_of(await client.send(request), 415)


@pytest.mark.parametrize("type_", ["application/json", "Application/JSON; charset=UTF-8"])
async def test_json_is_recognised_in_any_spelling(client: httpx.AsyncClient, type_: str):
    response = await client.post("/api/v1/chat", content=b"{}", headers={"Content-Type": type_})
    error_of(response, 422)


async def test_a_delete_needs_no_body_but_a_body_needs_its_type(client: httpx.AsyncClient):
    error_of(await client.delete("/api/v1/threads/none"), 404)
    for headers in ({}, {"Content-Type": "text/plain"}):
        path = "/api/v1/threads/none"
        error_of(await client.request("DELETE", path, content=b"{}", headers=headers), 415)


async def test_a_declared_length_over_the_limit_is_refused_unread(client: httpx.AsyncClient):
    body = b" " * (20 * 1024 * 1024)
    for method, path in ROUTES:
        error = error_of(await client.request(method, path, content=body, headers=JSON), 413)
        assert error["details"]["limit_bytes"] == 1_048_576


async def test_an_endless_stream_is_refused_while_it_comes(client: httpx.AsyncClient):
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    error_of(await client.post("/api/v1/chat", content=endless(), headers=JSON), 413)
    assert sent <= 1_048_576 + 2 * 65_536


async def test_a_body_that_does_not_come_is_not_waited_for():
    async def never(*_: object) -> Any:
        await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "POST",
        "headers": [(b"content-type", b"application/json")],
    }
    with pytest.raises(BadRequest, match="did not arrive"):
        await JSONBody(never, limit=10, seconds=0.01)(scope, never, never)


async def test_a_lying_content_length_gains_nothing(client: httpx.AsyncClient):
    for length in ("0", "9" * 400, "-1", "abc"):
        headers = {**JSON, "Content-Length": length}
        response = await client.post("/api/v1/chat", content=b'{"a"', headers=headers)
        assert response.status_code in (400, 413)


def test_what_is_at_the_border_is_taken():
    deepest = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse(deepest) is not None
    assert parse(b'"' + b"[{" * 500 + b'"') == "[{" * 500
    assert parse(b"[9223372036854775807, -9223372036854775808]") == [2**63 - 1, -(2**63)]
    assert parse(b'"\\ud83d\\ude00 \\\\u0000"') == "\N{GRINNING FACE} \\u0000"


def test_escaped_quotes_do_not_make_the_depth_check_slow():
    text = b'"' + b'\\"' * 500_000
    with pytest.raises(BadRequest):
        parse(text)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
CLEAN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@given(CLEAN)
def test_clean_json_is_read_as_the_standard_library_reads_it(value: object):
    for ascii_only in (True, False):
        text = json.dumps(value, ensure_ascii=ascii_only)
        assert parse(text.encode()) == json.loads(text)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_are_read_or_refused(body: bytes):
    try:
        parse(body)
    except BadRequest as error:
        assert error.message
