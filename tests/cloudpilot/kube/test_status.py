"""The API server's refusals in our words, without its secrets."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from cloudpilot.errors import (
    CloudPilotError,
    ClusterConflict,
    ClusterForbidden,
    ClusterGone,
    ClusterRejected,
    ClusterUnavailable,
    MethodNotAllowed,
    NotFound,
    OutcomeUnknown,
)
from tests.cloudpilot.kube.asking import GATEWAYS, always, ask


def refusal(code: int, message: str = "no", reason: str = "", **more: Any) -> bytes:
    return json.dumps(
        {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code}
        | more
    ).encode()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, ClusterRejected),
        (401, ClusterForbidden),
        (403, ClusterForbidden),
        (404, NotFound),
        (405, MethodNotAllowed),
        (409, ClusterConflict),
        (410, ClusterGone),
        (415, ClusterRejected),
        (422, ClusterRejected),
        (429, ClusterUnavailable),
        (500, ClusterUnavailable),
        (503, ClusterUnavailable),
        (504, ClusterUnavailable),
        (599, ClusterUnavailable),
    ],
)
@pytest.mark.parametrize("html", [False, True])
async def test_refusals_are_translated(
    status: int, error: type[CloudPilotError], html: bool
) -> None:
    body = b"<html><h1>Bad gateway</h1></html>" if html else refusal(status, "because")
    with pytest.raises(CloudPilotError) as raised:
        await ask(always(body, status))
    assert type(raised.value) is error
    assert "html" not in raised.value.message
    assert raised.value.details["status"] == status


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (409, ClusterConflict),
        (429, ClusterUnavailable),
        (500, OutcomeUnknown),
        (502, OutcomeUnknown),
        (503, ClusterUnavailable),
        (504, OutcomeUnknown),
    ],
)
async def test_server_errors_of_a_write_leave_its_outcome_open(
    status: int, error: type[CloudPilotError]
) -> None:
    with pytest.raises(CloudPilotError) as raised:
        await ask(always(b"", status), "PATCH", f"{GATEWAYS}/x", body={})
    assert type(raised.value) is error
    with pytest.raises(ClusterUnavailable) as tried:
        query = {"dryRun": "All"}
        await ask(always(b"", 500), "PATCH", f"{GATEWAYS}/x", body={}, query=query)
    assert type(tried.value) is ClusterUnavailable


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("5", 5), ("0", 0), ("86400", 30), ("-1", None), ("soon", None), ("", None), ("1.5", None),
     ("²", None)],
)  # fmt: skip
async def test_retry_after_is_read_and_capped(value: str, seconds: float | None) -> None:
    with pytest.raises(ClusterUnavailable) as raised:
        await ask(always(refusal(429), 429, Retry_After=value))
    assert raised.value.retry_after_seconds == seconds


@pytest.mark.parametrize(("hours", "seconds"), [(1, 30), (-1, 0)])
async def test_retry_after_may_be_a_date(hours: int, seconds: float) -> None:
    # The date is made here and not in a parameter: test ids must be the same in every worker.
    date = formatdate(time.time() + hours * 3600, usegmt=True)
    with pytest.raises(ClusterUnavailable) as raised:
        await ask(always(refusal(429), 429, Retry_After=date))
    assert raised.value.retry_after_seconds == seconds


async def test_secret_in_a_refusal_is_masked() -> None:
    canary = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
    causes = [{"field": "spec.token", "message": f"invalid: token={canary}"}]
    body = refusal(422, f"admission denied: Bearer {canary}", details={"causes": causes})
    with pytest.raises(ClusterRejected) as raised:
        await ask(always(body, 422))
    assert canary not in f"{raised.value} {raised.value.details} {raised.value.hint}"
    assert raised.value.details["fields"][0]["field"] == "spec.token"


async def test_endless_refusal_is_capped() -> None:
    with pytest.raises(ClusterRejected) as raised:
        await ask(always(refusal(422, "x" * 100_000), 422))
    assert len(raised.value.message) <= 2000
