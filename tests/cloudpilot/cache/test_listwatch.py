"""How a kind is listed: streamed where the server can do that, in pages where it cannot."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from cloudpilot.cache.delta import Delta
from cloudpilot.cache.listwatch import Listed, ObjectListWatch
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.cache.stats import InformerStats
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import KINDS
from tests.cloudpilot.cache.script import (
    Script,
    bookmark,
    ended,
    gone,
    live,
    names,
    pod,
    pods,
    reflected,
    streamed,
)
from tests.cloudpilot.waiting import eventually
from tests.fakes.scripted_server import Reply, ScriptedServer


async def test_list_and_watch_are_one_stream() -> None:
    script = Script(streams=[streamed(pod("a"), pod("b"), then=(("ADDED", pod("c", 11)),))])
    async with reflected(script) as informer:
        await eventually(lambda: names(informer) == ["a", "b", "c"])
        assert informer.state.status is SyncStatus.LIVE
        assert (informer.stats.lists, informer.stats.watches, informer.stats.events) == (1, 1, 1)
    assert (len(script.streamed), len(script.listed), len(script.watched)) == (1, 0, 0)
    query = script.streamed[0].query
    assert query["resourceVersionMatch"] == "NotOlderThan"
    assert query["allowWatchBookmarks"] == "true"
    assert "resourceVersion" not in query


async def test_nothing_is_shown_before_a_streamed_list_is_complete() -> None:
    half = (("ADDED", pod("a")), ("ADDED", pod("b")))
    async with reflected(Script(streams=[half])) as informer:
        await eventually(lambda: informer.state.status is SyncStatus.SYNCING)
        await asyncio.sleep(0.1)
        assert names(informer) == []
        assert not informer.state.synced


async def test_what_changes_during_a_streamed_list_is_in_it_as_it_became() -> None:
    script = Script(
        streams=[
            (
                ("ADDED", pod("a")),
                ("ADDED", pod("b")),
                bookmark(9),
                ("MODIFIED", pod("a", 8)),
                ("DELETED", pod("b", 9)),
                ("ADDED", {"metadata": "poison"}),
                bookmark(10, ends_initial_events=True),
            )
        ]
    )
    async with reflected(script) as informer:
        await live(informer)
        assert [(p.name, p.metadata.resource_version) for p in informer.list()] == [("a", "8")]
        assert informer.stats.unreadable == 1


@pytest.mark.parametrize("status", [400, 403, 405, 422])
async def test_server_that_cannot_stream_lists_is_paged_and_not_asked_again(status: int) -> None:
    refused = Reply({"kind": "Status", "code": status, "message": "sendInitialEvents"}, status)
    script = Script(
        streams=[refused],
        lists=[pods(pod("a")), pods(pod("a"), version="20")],
        watches=[Reply(gone(), 410), ()],
    )
    async with reflected(script) as informer:
        await eventually(lambda: informer.stats.lists == 2)
        await live(informer)
        assert names(informer) == ["a"]
    assert len(script.streamed) == 1


async def test_stream_that_ends_without_the_mark_is_replaced_by_pages() -> None:
    endless = Reply(ended(("ADDED", pod("ghost"))))
    async with reflected(Script(streams=[endless], lists=[pods(pod("a"))])) as informer:
        await live(informer)
        assert names(informer) == ["a"]


async def test_stream_that_falls_silent_without_the_mark_is_replaced_by_pages() -> None:
    script = Script(streams=[(("ADDED", pod("ghost")),)], lists=[pods(pod("a"))])
    async with ScriptedServer(script) as server:
        client = KubeClient(direct(server.url, "x"), connect_seconds=2, read_seconds=5)
        source: ObjectListWatch[Any] = ObjectListWatch(
            client,
            KINDS["Pod"],
            held=lambda _namespace, _name: None,
            stats=InformerStats(),
            silence_seconds=0.1,
        )
        async with aclosing(source.list_and_watch("")) as stream:
            listed = await anext(stream)
        await client.close()
    assert isinstance(listed, Listed)
    assert [item.name for item in listed.items] == ["a"]


async def test_page_that_fails_is_asked_for_again_and_not_the_whole_list() -> None:
    script = Script(
        lists=[
            pods(pod("a"), **{"continue": "next"}),
            Reply(b"", 500),
            pods(pod("b")),
        ]
    )
    async with reflected(script) as informer:
        await live(informer)
        assert names(informer) == ["a", "b"]
    assert [asked.query.get("continue") for asked in script.listed] == [None, "next", "next"]


async def test_relist_hands_out_changed_objects_as_they_were_sent() -> None:
    managed = pod("b", 21)
    managed["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    script = Script(
        streams=[
            streamed(pod("a"), pod("b"), then=(("ERROR", gone()),)),
            streamed(pod("a"), managed, version=21),
        ]
    )
    heard: list[tuple[str, bool, Any]] = []

    def listen(delta: Delta) -> None:
        raw = None if delta.raw is None else json.loads(bytes(delta.raw))
        heard.append((delta.new.name, delta.is_in_initial_list, raw))

    async with reflected(script) as informer:
        informer.add_handler(listen)
        await eventually(lambda: len(heard) == 3)
    assert heard == [("a", True, pod("a")), ("b", True, pod("b")), ("b", False, managed)]


async def test_body_is_all_but_metadata_and_status_and_only_where_it_is_kept() -> None:
    spec = {"replicas": 2, "nobodys": {"field": [1, None]}}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        **pod("web"),
        "spec": spec,
        "status": {"replicas": 2},
    }
    async with reflected(Script(streams=[streamed(deployment)]), kind="Deployment") as informer:
        await live(informer)
        (held,) = informer.list()
        assert msgspec.json.decode(held.body) == {"spec": spec}
    async with reflected(Script(streams=[streamed(pod("web"))])) as informer:
        await live(informer)
        assert informer.list()[0].body == b""


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
async def test_of_secrets_nothing_but_metadata_is_asked_for_or_kept(kind: str) -> None:
    leaky = {**pod("s"), "data": {"canary": "YzRuYXJ5"}}
    for script in (Script(streams=[streamed(leaky)]), Script(lists=[pods(leaky)])):
        async with reflected(script, kind=kind) as informer:
            await live(informer)
            assert b"YzRuYXJ5" not in msgspec.json.encode(informer.list())
        for asked in (*script.streamed, *script.listed, *script.watched):
            assert "as=PartialObjectMetadata" in asked.headers["accept"]
