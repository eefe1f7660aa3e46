"""The reflector over one kind of a server that does what honest API servers do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from cloudpilot.cache.backoff import Backoff
from cloudpilot.cache.informer import Informer
from cloudpilot.cache.reflector import SyncStatus
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
from tests.fakes.scripted_server import SILENCE, Asked, Reply, ScriptedServer


async def test_pages_are_followed_and_the_watch_starts_at_the_lists_version() -> None:
    first, last = pods(pod("a"), **{"continue": "next"}), pods(pod("b"), version="11")
    script = Script(lists=[first, last])
    async with reflected(script) as informer:
        await live(informer)
        assert names(informer) == ["a", "b"]
    assert [asked.query.get("continue") for asked in script.listed] == [None, "next"]
    assert script.watched[0].query["resourceVersion"] == "11"
    assert script.watched[0].query["allowWatchBookmarks"] == "true"
    assert 60 <= int(script.watched[0].query["timeoutSeconds"]) <= 120


async def test_expired_continue_token_starts_the_list_again() -> None:
    expired = Reply(gone(), 410)
    script = Script(lists=[pods(pod("a"), **{"continue": "next"}), expired, pods(pod("b"))])
    async with reflected(script) as informer:
        await live(informer)
        assert names(informer) == ["b"]


@pytest.mark.parametrize("refused", [Reply(gone(), 410), (("ERROR", gone()),)])
async def test_410_of_a_watch_relists_and_goes_on(refused: Any) -> None:
    script = Script(
        lists=[pods(pod("a"), pod("ghost")), pods(pod("a"), version="20")],
        watches=[refused, (("ADDED", pod("b", 21)),)],
    )
    async with reflected(script) as informer:
        await eventually(lambda: names(informer) == ["a", "b"])
        assert informer.state.status is SyncStatus.LIVE
    assert script.watched[1].query["resourceVersion"] == "20"


@pytest.mark.parametrize(
    ("lists", "watches"),
    [
        ([Reply(gone(), 410)], None),
        ([pods(pod("a"))], [Reply(gone(), 410)]),
        ([pods(pod("a"))], [(("ERROR", gone()),)]),
        ([pods(pod("a"))], [(b"this is no event\n",)]),
        ([pods(pod("a"))], [Reply(b"")]),
        ([Reply(b"", 503)], None),
    ],
)
async def test_server_that_never_helps_is_not_hammered(
    lists: list[Any], watches: list[Any] | None
) -> None:
    script = Script(lists=lists, watches=watches)
    async with reflected(script):
        await eventually(lambda: len(script.listed) + len(script.watched) >= 2)
        await asyncio.sleep(0.5)
    assert len(script.listed) + len(script.watched) <= 6


async def test_list_that_is_always_gone_is_unreachable_and_settled() -> None:
    async with reflected(Script(lists=[Reply(gone(), 410)])) as informer:
        await asyncio.wait_for(informer.settled.wait(), 10)
        assert informer.state.status is SyncStatus.UNREACHABLE


async def test_list_that_never_ends_is_given_up() -> None:
    script = Script(lists=[pods(pod("a"), **{"continue": "again"})])
    async with reflected(script) as informer:
        await asyncio.wait_for(informer.settled.wait(), 10)
        assert informer.state.status is SyncStatus.UNREACHABLE
        assert "never ends" in informer.state.reason


@pytest.mark.parametrize(
    "answer",
    [
        Reply(b"<html>login</html>"),
        Reply(b'{"metadata": {"resourceVersion": "1"}, "items": [{"metad'),
        Reply(b"\xff"),
        {"kind": "Status", "status": "Success", "metadata": {}},
        {},
        pods(version=""),
        {"metadata": None, "items": []},
    ],
)
async def test_answer_that_is_no_list_never_means_there_are_none(answer: Any) -> None:
    script = Script(lists=[pods(pod("a")), answer], watches=[Reply(gone(), 410), ()])
    async with reflected(script) as informer:
        await eventually(lambda: informer.state.status is SyncStatus.UNREACHABLE)
        assert informer.state.reason
        assert names(informer) == ["a"]


async def test_null_items_mean_there_are_none() -> None:
    answer = {"metadata": {"resourceVersion": "5"}, "items": None}
    async with reflected(Script(lists=[answer])) as informer:
        await live(informer)
        assert names(informer) == []


POISON: list[Any] = [
    {"metadata": {"name": ["not", "a", "name"]}},
    {"metadata": "no"},
    {},
    7,
    None,
    "text",
    {"metadata": {"name": "x"}, "spec": {"containers": {"a": 1}}},
    {"metadata": {"name": "x"}, "status": {"conditions": [{"type": 1}]}},
]


@pytest.mark.parametrize("poison", POISON)
async def test_one_poisoned_object_in_a_thousand_hides_no_other(poison: Any) -> None:
    good = [pod(f"p-{n:03}") for n in range(999)]
    async with reflected(Script(lists=[pods(*good[:500], poison, *good[500:])])) as informer:
        await live(informer)
        assert len(informer) == 999


async def test_null_fields_mean_absent() -> None:
    nulls = {
        "metadata": {
            "name": "a",
            "namespace": "default",
            "labels": None,
            "ownerReferences": None,
            "resourceVersion": "1",
        },
        "spec": {"containers": None, "nodeName": None, "overhead": None},
        "status": {"conditions": None, "containerStatuses": None, "phase": None},
    }
    async with reflected(Script(lists=[pods(nulls, {"metadata": {"name": "b"}})])) as informer:
        await live(informer)
        assert sorted(names(informer)) == ["a", "b"]
        read = informer.get("default", "a")
        assert read is not None
        assert (read.spec.containers, read.status.phase) == ((), "Unknown")


async def test_events_of_every_kind_are_taken_as_they_are() -> None:
    script = Script(
        lists=[pods(pod("a"), pod("b"))],
        watches=[
            (
                ("BOOKMARK", {"metadata": {"resourceVersion": "11"}}),
                ("ADDED", pod("c", 12)),
                ("ADDED", pod("c", 12)),
                ("SURPRISE", pod("never", 13)),
                ("MODIFIED", pod("unheard-of", 14)),
                ("DELETED", pod("b", 15)),
                ("DELETED", pod("b", 15)),
                ("DELETED", pod("nobody", 16)),
                ("MODIFIED", {"metadata": {"name": 7, "resourceVersion": "17"}}),
                b"\n",
                ("BOOKMARK", {"metadata": {"resourceVersion": "18"}}),
                ("ADDED", pod("end", 19)),
            )
        ],
    )
    heard: list[tuple[Any, Any]] = []
    async with reflected(script) as informer:
        informer.add_handler(lambda d: heard.append((d.old and d.old.name, d.new and d.new.name)))
        await eventually(lambda: "end" in names(informer))
        assert names(informer) == ["a", "c", "end", "unheard-of"]
    assert heard.count(("b", None)) == 1
    assert ("nobody", None) not in heard
    assert heard.count((None, "c")) == 1
    assert ("c", "c") not in heard, "a repeated event is no difference"


async def test_bookmark_is_where_the_next_watch_starts() -> None:
    async def ends() -> AsyncIterator[bytes]:
        yield b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"77"}}}\n'

    script = Script(lists=[pods(pod("a"))], watches=[Reply(ends()), ()])
    async with reflected(script) as informer:
        await eventually(lambda: len(script.watched) == 2)
        await live(informer)
    assert script.watched[1].query["resourceVersion"] == "77"
    assert len(script.listed) == 1


async def test_event_cut_in_pieces_is_put_together() -> None:
    line = json.dumps({"type": "ADDED", "object": pod("whole", 11)}).encode() + b"\n"
    pieces = tuple(line[i : i + 1] for i in range(len(line)))
    async with reflected(Script(lists=[pods()], watches=[pieces])) as informer:
        await eventually(lambda: names(informer) == ["whole"])


async def test_unreadable_event_lists_again() -> None:
    script = Script(
        lists=[pods(pod("a")), pods(pod("b"), version="30")],
        watches=[(b"{broken\n",), ()],
    )
    async with reflected(script) as informer:
        await eventually(lambda: names(informer) == ["b"])


async def test_405_of_a_watch_is_polling() -> None:
    refused = Reply({"kind": "Status", "code": 405, "message": "cannot watch"}, 405)
    script = Script(lists=[pods(pod("a")), pods(pod("b"))], watches=[refused])
    async with reflected(script) as informer:
        await eventually(lambda: names(informer) == ["b"])
        assert informer.state.status is SyncStatus.POLLING
        assert informer.state.known


async def test_retry_after_is_waited_for() -> None:
    busy = Reply({"kind": "Status", "code": 429, "message": "busy"}, 429, {"Retry-After": "30"})
    script = Script(lists=[busy, pods(pod("a"))])
    async with reflected(script) as informer:
        await asyncio.wait_for(informer.settled.wait(), 10)
        assert informer.state.status is SyncStatus.UNREACHABLE
        await asyncio.sleep(2)
        assert len(script.listed) == 1


async def test_server_that_swallows_requests_is_unreachable_within_the_deadline() -> None:
    async with reflected(lambda _asked: SILENCE, read_seconds=0.3) as informer:
        await asyncio.wait_for(informer.settled.wait(), 10)
        assert informer.state.status is SyncStatus.UNREACHABLE
        assert "no answer in time" in informer.state.reason


async def test_removed_version_is_asked_for_again() -> None:
    """The cluster stops serving the version CloudPilot used, and serves another."""
    served = ["v1"]

    def answer(asked: Asked) -> Reply:
        group = "/apis/networking.istio.io"
        if asked.path == group:
            return Reply({"versions": [{"version": version} for version in served]})
        if asked.path == f"{group}/{served[0]}":
            return Reply({"resources": [{"name": "gateways"}]})
        if not asked.path.startswith(f"{group}/{served[0]}/"):
            return Reply({"kind": "Status", "code": 404, "message": "not served"}, 404)
        return Reply(gone(), 410) if asked.watches else Reply(pods(pod(served[0])))

    async with ScriptedServer(answer) as server:
        client = KubeClient(direct(server.url, "x"), connect_seconds=2, read_seconds=2)
        informer: Informer[Any] = Informer(client, KINDS["Gateway"], poll_seconds=0.05)
        task = asyncio.create_task(informer.run())
        await eventually(lambda: names(informer) == ["v1"])
        served[0] = "v1beta1"
        await eventually(lambda: names(informer) == ["v1beta1"])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await client.close()


def test_backoff_doubles_with_jitter_up_to_30_s_and_calms_down() -> None:
    now = 0.0
    backoff = Backoff(clock=lambda: now)
    waits = []
    for _ in range(10):
        waits.append(backoff.next())
        now += 1
    for n, wait in enumerate(waits):
        low = min(0.8 * 2**n, 30.0)
        assert low <= wait <= min(2 * low, 30.0)
    now += 121
    assert 0.8 <= backoff.next() <= 1.6


async def test_second_410_lists_whatever_is_newest() -> None:
    script = Script(
        lists=[pods(pod("a")), Reply(gone(), 410), pods(pod("b"), version="20")],
        watches=[Reply(gone(), 410), ()],
    )
    async with reflected(script) as informer:
        await eventually(lambda: names(informer) == ["b"])
        assert informer.stats.gone == 1
    asked = [request.query.get("resourceVersion") for request in script.listed]
    assert asked == [None, "10", None]
    assert script.listed[1].query["resourceVersionMatch"] == "NotOlderThan"


async def test_version_from_the_future_lists_whatever_is_newest() -> None:
    """As after a restore of etcd from a backup."""
    too_new = {"kind": "Status", "code": 504, "message": "Too large resource version"}
    script = Script(
        lists=[pods(pod("a")), Reply(too_new, 504), pods(pod("b"), version="3")],
        watches=[Reply(gone(), 410), ()],
    )
    async with reflected(script) as informer:
        await eventually(lambda: names(informer) == ["b"])
    assert script.listed[2].query.get("resourceVersion") is None


async def test_410_of_a_streamed_kind_streams_again_from_what_is_known() -> None:
    script = Script(
        streams=[
            streamed(pod("a"), pod("ghost"), then=(("ERROR", gone()),)),
            streamed(pod("a"), version=20),
        ]
    )
    async with reflected(script) as informer:
        await eventually(lambda: informer.stats.lists == 2)
        await live(informer)
        assert names(informer) == ["a"]
    assert script.streamed[1].query["resourceVersion"] == "10"


async def test_reconnect_drops_the_stream_and_goes_on_from_its_version() -> None:
    script = Script(streams=[streamed(pod("a"), then=(bookmark(33),))], watches=[()])
    async with reflected(script) as informer:
        await live(informer)
        informer.reconnect()
        informer.reconnect()
        await eventually(lambda: informer.stats.watches == 2)
        assert informer.state.status is SyncStatus.LIVE
    assert [asked.query["resourceVersion"] for asked in script.watched] == ["33"]
    assert len(script.streamed) == 1


async def test_retry_now_ends_the_wait_for_another_attempt() -> None:
    busy = Reply({"kind": "Status", "code": 429, "message": "busy"}, 429, {"Retry-After": "30"})
    async with reflected(Script(streams=[busy])) as informer:
        await asyncio.wait_for(informer.settled.wait(), 10)
        informer.retry_now()
        await eventually(lambda: informer.stats.errors == 2)


async def test_content_is_true_until_the_stream_ended_and_not_for_now() -> None:
    broken = Reply(b"", 500)
    script = Script(streams=[Reply(ended(*streamed(pod("a"))))], watches=[broken])
    async with reflected(script) as informer:
        await eventually(lambda: informer.state.status is SyncStatus.UNREACHABLE)
        assert informer.state.as_of == informer.state.contact
        assert informer.state.contact is not None
        assert informer.state.contact < datetime.now(UTC)


def test_server_that_only_fails_is_asked_about_as_often_as_one_that_works() -> None:
    """Over two minutes: a watch that works is opened anew once or twice in that time."""
    now = 0.0
    backoff = Backoff(clock=lambda: now)
    attempts = 0
    while now < 120:
        attempts += 1
        now += backoff.next()
    assert attempts <= 12


async def test_late_event_changes_nothing() -> None:
    late = {**pod("a", 11), "spec": {"containers": [{"name": "old"}]}}
    script = Script(
        streams=[streamed(pod("a", 12), version=12, then=(("MODIFIED", late), bookmark(13)))]
    )
    async with reflected(script) as informer:
        await eventually(lambda: informer.stats.events == 1)
        held = informer.get("default", "a")
        assert held is not None
        assert held.metadata.resource_version == "12"
