"""What is decided before a route is looked at: Host, Origin, ids and headers."""

from __future__ import annotations

import httpx
import pytest
from pydantic import SecretStr

from agent.assistant import Assistant
from api.app import create_app
from cloudpilot.runtime import Runtime
from cloudpilot.settings import ServerSettings
from tests.api.conftest import TOKEN
from tests.api.envelopes import error_of

GOOD_HOSTS = [
    "localhost",
    "LOCALHOST:8000",
    "127.0.0.1",
    "127.0.0.1:1",
    "[::1]",
    "[::1]:8000",
]
BAD_HOSTS = [
    "evil.example",
    "localhost.",
    "localhost.evil.example",
    "evil.localhost",
    "127.0.0.1.nip.io",
    "127.1",
    "2130706433",
    "0.0.0.0",
    "::1",
    "localhost:8000:9",
    "localhost:port",
    "localhost@evil.example",
    "user@localhost",
    "",
    " ",
]


@pytest.mark.parametrize("host", GOOD_HOSTS)
async def test_our_own_names_are_answered(anonymous: httpx.AsyncClient, host: str):
    assert (await anonymous.get("/healthz", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("host", BAD_HOSTS)
async def test_another_name_is_refused_before_the_token_is_looked_at(
    client: httpx.AsyncClient, anonymous: httpx.AsyncClient, host: str
):
    for sender, path in ((anonymous, "/healthz"), (anonymous, "/api/v1/plans"), (client, "/")):
        error_of(await sender.get(path, headers={"Host": host}), 400)


async def test_two_host_headers_are_refused(anonymous: httpx.AsyncClient):
    headers = [("Host", "localhost"), ("Host", "evil.example")]
    error_of(await anonymous.get("/healthz", headers=headers), 400)


async def served_as(
    runtime: Runtime, assistant: Assistant, settings: ServerSettings, url: str
) -> int:
    copy = runtime.settings.model_copy(update={"server": settings})
    app = create_app(
        Runtime(copy, runtime.database, runtime.clusters, runtime.plans, runtime.catalog),
        assistant,
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        return (await client.get(url)).status_code


async def test_configured_names_and_the_bound_address_are_answered(
    runtime: Runtime, assistant: Assistant
):
    token = SecretStr(TOKEN)
    named = ServerSettings(token=token, host="10.0.0.5", allowed_hosts=("Pilot.example",))
    for url, status in (
        ("http://pilot.example/healthz", 200),
        ("http://10.0.0.5:8000/healthz", 200),
        ("http://10.0.0.6:8000/healthz", 400),
    ):
        assert await served_as(runtime, assistant, named, url) == status, url


async def test_bound_to_all_addresses_the_literal_one_is_answered_but_no_name(
    runtime: Runtime, assistant: Assistant
):
    # The transport reports the URL's host as the server's address, as a socket would.
    everywhere = ServerSettings(token=SecretStr(TOKEN), host="0.0.0.0")
    for url, status in (
        ("http://10.1.2.3:8000/healthz", 200),
        ("http://[fd00::5]:8000/healthz", 200),
        ("http://evil.example/healthz", 400),
    ):
        assert await served_as(runtime, assistant, everywhere, url) == status, url


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_foreign_page_changes_nothing(client: httpx.AsyncClient, headers: dict[str, str]):
    for method, path in (
        ("POST", "/api/v1/chat"),
        ("POST", "/api/v1/plans/p/approve"),
        ("DELETE", "/api/v1/threads/t"),
    ):
        body = {"message": "hi"} if method == "POST" else None
        error_of(await client.request(method, path, json=body, headers=headers), 403)
    assert (await client.get("/api/v1/threads")).json()["data"]["items"] == []


async def test_our_own_page_may_write(client: httpx.AsyncClient):
    headers = {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}
    error_of(await client.delete("/api/v1/threads/t", headers=headers), 404)


async def test_a_sane_request_id_is_kept_and_another_replaced(client: httpx.AsyncClient):
    kept = await client.get("/healthz", headers={"X-Request-ID": "trace-1.a_B"})
    assert kept.json()["request_id"] == "trace-1.a_B"
    for bad in ("", "a b", "x" * 65, "a\tb", "é"):
        replaced = await client.get("/healthz", headers=[(b"X-Request-ID", bad.encode())])
        assert replaced.json()["request_id"] not in ("", bad)
        assert replaced.headers["x-request-id"] == replaced.json()["request_id"]


async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient):
    for path in ("/healthz", "/api/v1/plans", "/nowhere"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "server" not in headers


async def test_a_websocket_is_closed(app):
    sent = []

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    await app({"type": "websocket", "path": "/", "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
