"""Watches: where they start, what they show, how they end."""

import gzip
import json

import pytest

from tests.contracts.kubernetes_api.server import (
    GATEWAYS,
    Server,
    Watch,
    config_map,
    gateway,
    refused,
)

LABELLED = {"on": "watch"}


@pytest.fixture
async def path(server: Server, namespace: str) -> str:
    """A collection of ConfigMaps, with one that was there before any watch."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    await server.create(path, config_map("early", LABELLED))
    return path


async def version_of(server: Server, path: str) -> str:
    """The resourceVersion of the collection now."""
    version: str = (await server.get(path))["metadata"]["resourceVersion"]
    return version


async def seen(watch: Watch, count: int) -> list[tuple[str, str]]:
    """Type and name of the next events."""
    events = [await watch.event() for _ in range(count)]
    return [(kind, obj["metadata"]["name"]) for kind, obj in events]


async def test_watch_shows_what_happens_after_its_version(server: Server, path: str):
    version = await version_of(server, path)
    async with server.watch(path, resourceVersion=version) as watch:
        await server.create(path, config_map("one"))
        await server.patch(f"{path}/one", "merge", {"data": {"a": "1"}})
        await server.http.delete(f"{path}/one")
        events = [await watch.event() for _ in range(3)]
    assert [kind for kind, _ in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)
    assert events[0][1]["kind"] == "ConfigMap"
    assert events[2][1]["data"] == {"a": "1"}


async def test_watch_replays_what_it_missed(server: Server, path: str):
    version = await version_of(server, path)
    await server.create(path, config_map("one"))
    await server.create(path, config_map("two"))
    await server.http.delete(f"{path}/one")
    async with server.watch(path, resourceVersion=version) as watch:
        assert await seen(watch, 3) == [("ADDED", "one"), ("ADDED", "two"), ("DELETED", "one")]


@pytest.mark.parametrize("version", [{}, {"resourceVersion": "0"}])
async def test_watch_without_version_begins_with_what_is_there(
    server: Server, path: str, version: dict[str, str]
):
    params = version | {"labelSelector": "on=watch"}
    async with server.watch(path, **params) as watch:
        assert await seen(watch, 1) == [("ADDED", "early")]
        await server.create(path, config_map("late", LABELLED))
        assert await seen(watch, 1) == [("ADDED", "late")]


async def test_joining_and_leaving_a_selection_reads_as_added_and_deleted(
    server: Server, path: str
):
    version = await version_of(server, path)
    params = {"resourceVersion": version, "labelSelector": "on=stage"}
    async with server.watch(path, **params) as watch:
        await server.create(path, config_map("actor"))
        for label in ("stage", "stage", None):
            labels = {"on": label, "step": str(label)}
            await server.patch(f"{path}/actor", "merge", {"metadata": {"labels": labels}})
        await server.patch(f"{path}/actor", "merge", {"metadata": {"labels": {"on": "stage"}}})
        await server.http.delete(f"{path}/actor")
        events = [await watch.event() for _ in range(4)]
    assert [kind for kind, _ in events] == ["ADDED", "DELETED", "ADDED", "DELETED"]
    left = events[1][1]["metadata"]
    assert left["labels"]["on"] == "stage"
    assert int(left["resourceVersion"]) > int(events[0][1]["metadata"]["resourceVersion"])


async def test_watch_of_one_name(server: Server, path: str):
    version = await version_of(server, path)
    params = {"resourceVersion": version, "fieldSelector": "metadata.name=two"}
    async with server.watch(path, **params) as watch:
        await server.create(path, config_map("one"))
        await server.create(path, config_map("two"))
        assert await seen(watch, 1) == [("ADDED", "two")]


async def test_watch_across_namespaces(server: Server, path: str, namespace: str):
    version = await version_of(server, path)
    params = {"resourceVersion": version, "fieldSelector": "metadata.name=only-here"}
    async with server.watch("/api/v1/configmaps", **params) as watch:
        await server.create(path, config_map("only-here"))
        kind, obj = await watch.event()
    assert (kind, obj["metadata"]["namespace"]) == ("ADDED", namespace)


async def test_watch_shows_the_version_that_was_asked_for(server: Server, namespace: str):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    old = path.replace("/v1/", "/v1beta1/")
    version = await version_of(server, path)
    async with server.watch(old, resourceVersion=version) as watch:
        await server.create(path, gateway("one"))
        _, obj = await watch.event()
    assert obj["apiVersion"] == "networking.istio.io/v1beta1"


async def test_too_old_a_version_is_an_error_event_in_a_200_stream(server: Server, namespace: str):
    # Gateways are served later than version 1 on any server, so no cache reaches back so far.
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    async with server.watch(path, resourceVersion="1") as watch:
        kind, status = await watch.event()
        rest = await watch.rest()
    assert kind == "ERROR"
    assert status["message"].startswith("too old resource version: 1 (")
    del status["message"]
    assert status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "reason": "Expired",
        "code": 410,
    }
    assert rest == []


async def test_watch_from_the_future_hears_nothing(server: Server, path: str):
    params = {"resourceVersion": str(10**12), "timeoutSeconds": "2"}
    async with server.watch(path, **params) as watch:
        await server.create(path, config_map("unheard"))
        assert await watch.rest() == []


async def test_timeout_ends_the_stream_in_good_order(server: Server, path: str):
    version = await version_of(server, path)
    async with server.watch(path, resourceVersion=version, timeoutSeconds="1") as watch:
        assert await watch.rest() == []


async def test_bookmarks_bring_the_version_forward(server: Server, path: str):
    version = await version_of(server, path)
    params = {"resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "4"}
    async with server.watch(path, fieldSelector="metadata.name=none", **params) as watch:
        created = await server.create(path, config_map("other"))
        events = await watch.rest()
    assert events
    assert {kind for kind, _ in events} == {"BOOKMARK"}
    last = events[-1][1]
    assert (last["kind"], last["apiVersion"]) == ("ConfigMap", "v1")
    assert int(last["metadata"]["resourceVersion"]) >= int(created["metadata"]["resourceVersion"])
    assert "name" not in last["metadata"]


async def test_streamed_list_is_gzipped_in_members(server: Server, path: str):
    params = {
        "watch": "1",
        "timeoutSeconds": "1",
        "allowWatchBookmarks": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
    headers = {"Accept-Encoding": "gzip"}
    async with server.http.stream("GET", path, params=params, headers=headers) as response:
        assert response.headers["content-encoding"] == "gzip"
        raw = b"".join([chunk async for chunk in response.aiter_raw()])
    events = [json.loads(line) for line in gzip.decompress(raw).splitlines()]
    assert "early" in [event["object"]["metadata"].get("name") for event in events]


async def test_version_that_is_no_number_is_500(server: Server, path: str):
    params = {"watch": "1", "resourceVersion": "new"}
    body = refused(await server.http.get(path, params=params), 500, "")
    assert body["message"].startswith('resourceVersion: Invalid value: "new": ')


async def test_initial_events_end_with_a_marked_bookmark(server: Server, path: str):
    params = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
        "labelSelector": "on=watch",
    }
    async with server.watch(path, **params) as watch:
        kind, obj = await watch.any_event()
        assert (kind, obj["metadata"]["name"]) == ("ADDED", "early")
        kind, mark = await watch.any_event()
        assert kind == "BOOKMARK"
        assert mark["metadata"].keys() == {"annotations", "resourceVersion"}
        assert mark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(mark["metadata"]["resourceVersion"]) > 0
        await server.create(path, config_map("late", LABELLED))
        assert await seen(watch, 1) == [("ADDED", "late")]


STREAMED = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}


async def test_streamed_list_of_metadata_ends_with_a_marked_bookmark(server: Server, path: str):
    partial = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
    params = STREAMED | {"allowWatchBookmarks": "true", "labelSelector": "on=watch"}
    async with server.watch(path, partial, **params) as watch:
        events = [await watch.any_event() for _ in range(2)]
    assert [kind for kind, _ in events] == ["ADDED", "BOOKMARK"]
    for _, obj in events:
        assert (obj["kind"], obj["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
        assert obj.keys() == {"kind", "apiVersion", "metadata"}
    assert events[1][1]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_streamed_list_of_nothing_is_only_the_mark(server: Server, namespace: str):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    async with server.watch(path, allowWatchBookmarks="true", **STREAMED) as watch:
        kind, mark = await watch.any_event()
        assert kind == "BOOKMARK"
        assert (mark["kind"], mark["apiVersion"]) == ("Gateway", "networking.istio.io/v1")
        await server.create(path, gateway("late"))
        assert await seen(watch, 1) == [("ADDED", "late")]


async def test_streamed_list_without_bookmarks_has_no_mark(server: Server, path: str):
    params = STREAMED | {"labelSelector": "on=watch", "timeoutSeconds": "1"}
    async with server.watch(path, **params) as watch:
        assert [kind for kind, _ in await watch.rest()] == ["ADDED"]


async def test_streamed_list_is_as_of_now_whatever_old_version_is_asked(server: Server, path: str):
    version = await version_of(server, path)
    await server.create(path, config_map("newer", LABELLED))
    params = STREAMED | {"allowWatchBookmarks": "true", "labelSelector": "on=watch"}
    async with server.watch(path, resourceVersion=version, **params) as watch:
        events = [await watch.any_event() for _ in range(3)]
    assert {obj["metadata"].get("name") for _, obj in events[:2]} == {"early", "newer"}
    assert events[2][0] == "BOOKMARK"
    assert int(events[2][1]["metadata"]["resourceVersion"]) > int(version)


async def test_streamed_list_of_the_future_is_an_error_event(server: Server, path: str):
    params = STREAMED | {"allowWatchBookmarks": "true", "resourceVersion": str(10**12)}
    async with server.watch(path, **params) as watch:
        [(kind, status)] = await watch.rest()
    assert kind == "ERROR"
    assert (status["code"], status["reason"]) == (504, "Timeout")
    assert status["message"].startswith(f"Timeout: Too large resource version: {10**12}, current: ")
    assert status["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"sendInitialEvents": "true"},
            "resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
            "resourceVersionMatch to NotOlderThan",
        ),
        (
            {"resourceVersionMatch": "NotOlderThan", "resourceVersion": "1"},
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
            "sendInitialEvents is provided",
        ),
    ],
)
async def test_contradictory_watch_options_are_422(
    server: Server, path: str, params: dict[str, str], message: str
):
    response = await server.http.get(path, params={"watch": "1"} | params)
    body = refused(response, 422, "Invalid")
    assert body["message"] == f'ListOptions.meta.k8s.io "" is invalid: {message}'


async def test_watch_with_a_bad_selector_is_400(server: Server, path: str):
    params = {"watch": "1", "fieldSelector": "spec.colour=red"}
    refused(await server.http.get(path, params=params), 400, "BadRequest")
