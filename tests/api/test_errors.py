"""One shape for every error, wherever it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI

from api.envelope import failure
from cloudpilot.errors import ApprovalRequired, CloudPilotError, ClusterUnavailable, NotFound
from tests.api.envelopes import error_of


def tree(root: type[CloudPilotError] = CloudPilotError) -> Iterator[type[CloudPilotError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


ERRORS = [error for error in tree() if error is not ApprovalRequired]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
async def test_every_error_of_the_tree_has_the_same_shape(
    app: FastAPI, client: httpx.AsyncClient, error: type[CloudPilotError]
):
    async def raises() -> None:
        raise error("it is so", hint="do that", details={"fields": [], "when": {1, 2}})

    app.add_api_route("/raises", raises)
    response = await client.get("/raises")
    found = error_of(response, error.status)
    assert found["type"] == error.__name__
    assert (found["message"], found["hint"]) == ("it is so", "do that")
    if error.status == 401:
        assert "www-authenticate" in response.headers


async def test_a_bug_is_a_500_that_tells_nothing(
    app: FastAPI, client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
):
    async def breaks() -> None:
        raise RuntimeError("password=hunter2")

    app.add_api_route("/breaks", breaks)
    response = await client.get("/breaks")
    error_of(response, 500)
    assert "hunter2" not in response.text
    assert any(record.exc_info for record in caplog.records if "failed" in record.getMessage())


async def test_an_answer_that_breaks_its_own_schema_is_a_500(
    app: FastAPI, client: httpx.AsyncClient
):
    async def lies() -> object:
        return {"x": "no number"}

    app.add_api_route("/lies", lies, response_model=dict[str, int])
    error_of(await client.get("/lies"), 500)


@pytest.mark.parametrize("path", ["/nowhere", "/api/v1/plans/", "/api/v1", "/api/v1/plans/a/b/c"])
async def test_an_unknown_path_is_a_404_and_a_slash_is_no_redirect(
    client: httpx.AsyncClient, path: str
):
    assert error_of(await client.get(path), 404)["type"] == "NotFound"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/plans", "GET"),
        ("POST", "/healthz", "GET"),
        ("GET", "/api/v1/chat", "POST"),
        ("TRACE", "/api/v1/plans", "GET"),
        ("OPTIONS", "/api/v1/plans", "GET"),
        ("BREW", "/api/v1/plans", "GET"),
        ("PUT", "/api/v1/threads/t", "DELETE, GET"),
        ("POST", "/api/v1/clusters/demo", "DELETE, GET, PATCH"),
    ],
)
async def test_a_wrong_method_is_a_405_that_lists_all_right_ones(
    client: httpx.AsyncClient, method: str, path: str, allowed: str
):
    headers = {"X-HTTP-Method-Override": "GET"}
    response = await client.request(method, path, json={}, headers=headers)
    assert error_of(response, 405)["type"] == "MethodNotAllowed"
    assert response.headers["allow"] == allowed


async def test_head_has_the_status_without_a_body(client: httpx.AsyncClient):
    response = await client.head("/api/v1/plans")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_text_of_a_cluster_that_no_encoder_likes_is_shown_all_the_same():
    error = NotFound("a \ud800 b", details={"n": float("nan"), "o": object()})
    assert json.loads(bytes(failure(error).body))["message"] == "a \ud800 b"


def test_an_error_that_says_when_to_come_back_says_so_in_the_header():
    error = ClusterUnavailable("away", retry_after_seconds=2.4)
    assert failure(error).headers["retry-after"] == "2"
