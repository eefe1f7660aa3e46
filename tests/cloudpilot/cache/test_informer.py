"""Counters: exact through every event, and unknown rather than wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cloudpilot.cache.informer import Counter
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from tests.cloudpilot.cache.script import Script
from tests.cloudpilot.waiting import eventually
from tests.fakes.scripted_server import Reply, ScriptedServer


def table(rows: int, version: Any = "10", kind: Any = "Table", **meta: Any) -> dict[str, Any]:
    metadata = {"resourceVersion": version, **meta}
    return {"kind": kind, "metadata": metadata, "rows": [{"cells": []}] * rows}


@asynccontextmanager
async def counting(script: Script) -> AsyncIterator[Counter]:
    async with ScriptedServer(script) as server:
        client = KubeClient(direct(server.url, "x"), connect_seconds=2, read_seconds=2)
        counter = Counter(client, "secrets", poll_seconds=0.05)
        task = asyncio.create_task(counter.run())
        try:
            yield counter
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await client.close()


async def test_count_is_the_first_row_and_the_remaining() -> None:
    meta = {"continue": "next", "remainingItemCount": 41}
    async with counting(Script(lists=[table(1, **meta)])) as counter:
        await asyncio.wait_for(counter.settled.wait(), 10)
        assert counter.value == 42


async def test_count_follows_events_and_repeated_ones_count_once() -> None:
    events = (
        ("ADDED", table(1, "11")),
        ("ADDED", table(1, "11")),
        ("MODIFIED", table(1, "12")),
        ("DELETED", table(1, "13")),
        ("DELETED", table(1, "13")),
        ("BOOKMARK", table(0, "14")),
        ("ADDED", table(1, "15")),
        ("ADDED", table(1, "16")),
    )
    async with counting(Script(lists=[table(1)], watches=[events])) as counter:
        await eventually(lambda: counter.value == 3)


@pytest.mark.parametrize(
    "answer",
    [
        table(1, **{"continue": "next"}),
        table(1, version=""),
        table(1, kind="SecretList"),
        {"kind": "Table"},
        {},
        Reply(b"<html>"),
    ],
)
async def test_count_that_cannot_be_trusted_is_unknown(answer: Any) -> None:
    async with counting(Script(lists=[answer])) as counter:
        await asyncio.wait_for(counter.settled.wait(), 10)
        assert counter.value is None
        assert counter.state.status is SyncStatus.UNREACHABLE
