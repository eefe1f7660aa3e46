"""No route but the two probes answers without the token, whatever is sent in its place."""

from __future__ import annotations

import re

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from api.auth import PUBLIC_PATHS, Throttle
from cloudpilot.errors import TooManyRequests
from tests.api.conftest import TOKEN
from tests.api.envelopes import data_of, error_of


def every_route(app: FastAPI) -> list[tuple[str, str]]:
    """Walk the application: each method and path, its parameters filled in."""
    found: list[tuple[str, str]] = []
    for route in app.routes:
        assert isinstance(route, Route | APIRoute), route
        path = re.sub(r"{(\w+)}", "demo", route.path)
        found.extend((method, path) for method in route.methods or ())
    return found


async def test_only_the_two_probes_answer_without_a_credential(
    app: FastAPI, anonymous: httpx.AsyncClient
):
    routes = every_route(app)
    assert len(routes) > 20
    for method, path in routes:
        response = await anonymous.request(method, path, json={})
        if path in PUBLIC_PATHS:
            assert response.status_code == 200, path
            continue
        assert response.status_code == 401, f"{method} {path}"
        assert response.headers["www-authenticate"].startswith("Bearer")
        if method != "HEAD":
            assert error_of(response, 401)["type"] == "Unauthorized"
    assert {"/healthz", "/readyz"} == PUBLIC_PATHS


@pytest.mark.parametrize("path", ["/nowhere", "/healthz/", "//healthz", "/docs", "/redoc", "/"])
async def test_what_is_no_route_needs_the_token_too(anonymous: httpx.AsyncClient, path: str):
    error_of(await anonymous.get(f"http://localhost:8000{path}"), 401)


BAD = [
    "",
    "Bearer",
    "Bearer ",
    f"bearer  {TOKEN}",
    f"Bearer {TOKEN} ",
    f"Bearer {TOKEN}x",
    f"Bearer {TOKEN[:-1]}",
    f"Bearer {TOKEN.upper()}",
    f"Bearer\t{TOKEN}",
    f"Basic {TOKEN}",
    f"Token {TOKEN}",
    TOKEN,
    "Bearer nothing",
    "Bearer null",
    "Bearer undefined",
    "Bearer *",
    "Bearer ' OR 1=1--",
    "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.",
    "Bearer " + "x" * 65536,
    f"Bearer {TOKEN},Bearer {TOKEN}",
]


@pytest.mark.parametrize("path", ["/api/v1/plans", "/openapi.json", "/api/v1/clusters"])
async def test_no_bad_token_is_taken(anonymous: httpx.AsyncClient, path: str):
    for given in BAD:
        response = await anonymous.get(path, headers={"Authorization": given})
        assert response.status_code == 401, given[:40]


async def test_bytes_that_are_no_text_are_a_bad_token(anonymous: httpx.AsyncClient):
    headers = [(b"Authorization", b"Bearer \xff\xfe\x80")]
    error_of(await anonymous.get("/api/v1/plans", headers=headers), 401)


async def test_two_authorization_headers_are_refused_even_if_one_is_right(
    anonymous: httpx.AsyncClient,
):
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", f"Bearer {TOKEN}")]
    error_of(await anonymous.get("/api/v1/plans", headers=headers), 401)


async def test_the_scheme_is_written_in_any_case(anonymous: httpx.AsyncClient):
    for scheme in ("Bearer", "bearer", "BEARER"):
        headers = {"Authorization": f"{scheme} {TOKEN}"}
        data_of(await anonymous.get("/api/v1/plans", headers=headers))


async def test_guessing_is_slowed_down_with_a_time_to_come_back(anonymous: httpx.AsyncClient):
    answers = [
        await anonymous.get("/api/v1/plans", headers={"Authorization": f"Bearer guess-{number}"})
        for number in range(305)
    ]
    assert [answer.status_code for answer in answers[:300]] == [401] * 300
    for answer in answers[300:]:
        assert error_of(answer, 429)["type"] == "TooManyRequests"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
    right = {"Authorization": f"Bearer {TOKEN}"}
    error_of(await anonymous.get("/api/v1/plans", headers=right), 429)
    assert (await anonymous.get("/healthz")).status_code == 200


async def test_one_old_token_repeated_does_not_lock_out_the_right_one(
    anonymous: httpx.AsyncClient,
):
    stale = {"Authorization": "Bearer of-the-last-start"}
    answers = [await anonymous.get("/api/v1/plans", headers=stale) for _ in range(301)]
    assert [answer.status_code for answer in answers] == [401] * 300 + [429]
    data_of(await anonymous.get("/api/v1/plans", headers={"Authorization": f"Bearer {TOKEN}"}))


def test_a_window_ends_and_other_addresses_are_not_touched():
    now = 0.0
    throttle = Throttle(limit=2, seconds=60, clock=lambda: now)
    throttle.wrong("a", b"1")
    throttle.wrong("a", b"2")
    throttle.check("b")
    with pytest.raises(TooManyRequests):
        throttle.check("a")
    now = 60.0
    throttle.check("a")
    throttle.wrong("a", b"3")


def test_the_memory_of_addresses_is_bounded():
    throttle = Throttle(limit=1, most_addresses=10)
    for number in range(1000):
        throttle.wrong(str(number), b"1")
    throttle.check("0")
    with pytest.raises(TooManyRequests):
        throttle.check("999")
