"""What every answer of the HTTP door must look like."""

from __future__ import annotations

from typing import Any

import httpx


def data_of(response: httpx.Response, status: int = 200) -> Any:
    """Check a successful answer and return what it carries."""
    body = response.json()
    assert response.status_code == status, body
    assert set(body) == {"code", "message", "data", "request_id"}
    assert body["code"] == status
    assert body["request_id"] == response.headers["x-request-id"]
    return body["data"]


def error_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """Check an error and return its `error` part, with the message added."""
    body = response.json()
    assert response.status_code == status, body
    assert set(body) == {"code", "message", "data", "request_id", "error"}
    assert body["code"] == status
    assert body["data"] is None
    assert body["message"]
    assert body["request_id"] == response.headers["x-request-id"]
    error: dict[str, Any] = body["error"]
    assert set(error) == {"type", "hint", "details"}
    return {**error, "message": body["message"]}


def fields_of(response: httpx.Response) -> set[str]:
    """Return the names of the fields that a 422 complains about."""
    return {item["field"] for item in error_of(response, 422)["details"]["fields"]}
