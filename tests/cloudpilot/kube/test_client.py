"""The client against the simulated API server and against servers that misbehave."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cloudpilot.errors import (
    CloudPilotError,
    ClusterConflict,
    ClusterForbidden,
    ClusterRejected,
    ClusterUnavailable,
    InvalidArguments,
    NotFound,
    OutcomeUnknown,
)
from cloudpilot.kube.client import KubeClient, decode
from cloudpilot.kube.kinds import KINDS
from simulator import SimulatedCluster
from tests.cloudpilot.kube.asking import GATEWAYS, NODES, always, ask, client_of
from tests.fakes.scripted_server import SILENCE, Asked, Reply, ScriptedServer

GATEWAY = KINDS["Gateway"]


def gateway(name: str = "public") -> dict[str, Any]:
    server = {
        "port": {"number": 80, "name": "http", "protocol": "HTTP"},
        "hosts": ["a.example.com"],
    }
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]},
    }


@pytest.fixture
async def client(simulated: SimulatedCluster) -> AsyncIterator[KubeClient]:
    connected = client_of(simulated.url, simulated.token, read=5)
    yield connected
    await connected.close()


# -- reading and writing ------------------------------------------------------------------------


async def test_object_is_created_read_patched_and_deleted(client: KubeClient) -> None:
    made = await client.create(GATEWAY, gateway(), "default")
    read = await client.get(GATEWAY, "public", "default")
    assert read["metadata"]["uid"] == made.object["metadata"]["uid"]

    patch = {"metadata": {"labels": {"team": "web"}}}
    patched = await client.patch(GATEWAY, "public", "default", patch)
    assert patched.object["metadata"]["labels"] == {"team": "web"}
    assert [item["metadata"]["name"] for item in await client.list_objects(GATEWAY)] == ["public"]

    await client.delete(GATEWAY, "public", "default", uid=read["metadata"]["uid"])
    with pytest.raises(NotFound, match="public"):
        await client.get(GATEWAY, "public", "default")


async def test_dry_runs_change_nothing(client: KubeClient, simulated: SimulatedCluster) -> None:
    await client.create(GATEWAY, gateway("tried"), "default", dry_run=True)
    made = await client.create(GATEWAY, gateway(), "default")
    uid = made.object["metadata"]["uid"]
    labels = {"metadata": {"labels": {"team": "web"}}}
    shown = await client.patch(GATEWAY, "public", "default", labels, dry_run=True)
    assert shown.object["metadata"]["labels"] == {"team": "web"}
    await client.delete(GATEWAY, "public", "default", uid=uid, dry_run=True)

    assert [item["metadata"]["name"] for item in await client.list_objects(GATEWAY)] == ["public"]
    assert await client.get(GATEWAY, "public", "default") == made.object
    [delete] = [asked for asked in simulated.requests if asked.method == "DELETE"]
    # A real API server ignores the query of a delete that has a body.
    assert json.loads(delete.body)["dryRun"] == ["All"]


async def test_stale_resource_version_conflicts(client: KubeClient) -> None:
    made = await client.create(GATEWAY, gateway(), "default")
    old = made.object["metadata"]["resourceVersion"]
    await client.patch(GATEWAY, "public", "default", {"metadata": {"labels": {"a": "1"}}})
    with pytest.raises(ClusterConflict):
        patch = {"metadata": {"resourceVersion": old, "labels": {"a": "2"}}}
        await client.patch(GATEWAY, "public", "default", patch)
    with pytest.raises(ClusterConflict):
        await client.delete(GATEWAY, "public", "default", uid="another-uid")
    with pytest.raises(ClusterConflict):
        await client.create(GATEWAY, gateway(), "default")


async def test_unknown_field_is_refused_and_named(client: KubeClient) -> None:
    wrong = gateway()
    wrong["spec"]["serverz"] = []
    with pytest.raises(ClusterRejected) as refused:
        await client.create(GATEWAY, wrong, "default")
    assert "serverz" in refused.value.details["fields"][0]["field"]


async def test_newest_served_version_is_used(client: KubeClient) -> None:
    assert await client.path(GATEWAY, "default", "x") == f"{GATEWAYS}/x"


async def test_kind_that_is_not_installed_is_not_found() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply({"kind": "Status", "message": "nothing", "code": 404}, 404)

    async with ScriptedServer(answer) as server:
        client = client_of(server.url)
        with pytest.raises(NotFound):
            await client.get(GATEWAY, "public", "default")
        await client.close()


async def test_names_cannot_leave_their_place_in_the_path(client: KubeClient) -> None:
    path = await client.path(KINDS["Pod"], "a/b", "c?d#e")
    assert path == "/api/v1/namespaces/a%2Fb/pods/c%3Fd%23e"
    with pytest.raises(CloudPilotError):
        await client.get(KINDS["Pod"], "..", "default")


async def test_text_that_is_not_unicode_is_refused_before_sending(
    client: KubeClient, simulated: SimulatedCluster
) -> None:
    wrong = gateway()
    wrong["spec"]["selector"] = {"istio": "\ud800"}
    with pytest.raises(InvalidArguments):
        await client.create(GATEWAY, wrong, "default")
    with pytest.raises(InvalidArguments):
        await client.create(GATEWAY, gateway() | {"spec": {"n": float("nan")}}, "default")
    assert not [asked for asked in simulated.requests if asked.method == "POST"]


async def test_warnings_are_returned_with_secrets_masked() -> None:
    answer = always({"kind": "X"}, Warning='299 - "use v2; token=abcdef123456 is old"')
    response = await ask(answer, "PATCH", f"{GATEWAYS}/x", body={})
    assert response.warnings == ["use v2; token=[masked] is old"]


# -- one attempt a write ------------------------------------------------------------------------


async def write(client: KubeClient, method: str, uid: str, *, dry_run: bool = False) -> object:
    if method == "POST":
        return await client.create(GATEWAY, gateway("second"), "default", dry_run=dry_run)
    if method == "PATCH":
        labels = {"metadata": {"labels": {"a": "1"}}}
        return await client.patch(GATEWAY, "public", "default", labels, dry_run=dry_run)
    return await client.delete(GATEWAY, "public", "default", uid=uid, dry_run=dry_run)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_write_whose_answer_is_lost_is_sent_once_and_unknown(
    client: KubeClient, simulated: SimulatedCluster, method: str
) -> None:
    uid = (await client.create(GATEWAY, gateway(), "default")).object["metadata"]["uid"]
    before = len(simulated.requests)
    simulated.faults.drop_response(method)
    with pytest.raises(OutcomeUnknown):
        await write(client, method, uid)
    assert [asked.method for asked in simulated.requests[before:]] == [method]
    names = {item["metadata"]["name"] for item in await client.list_objects(GATEWAY)}
    assert names == {"POST": {"public", "second"}, "PATCH": {"public"}, "DELETE": set()}[method]


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE"])
async def test_dry_run_whose_answer_is_lost_is_only_unavailable(
    client: KubeClient, simulated: SimulatedCluster, method: str
) -> None:
    uid = (await client.create(GATEWAY, gateway(), "default")).object["metadata"]["uid"]
    simulated.faults.drop_response(method)
    with pytest.raises(ClusterUnavailable) as lost:
        await write(client, method, uid, dry_run=True)
    assert not isinstance(lost.value, OutcomeUnknown)


async def test_read_whose_answer_is_lost_is_sent_once(
    client: KubeClient, simulated: SimulatedCluster
) -> None:
    await client.list_objects(KINDS["Node"])
    before = len(simulated.requests)
    simulated.faults.drop_response("GET")
    with pytest.raises(ClusterUnavailable):
        await client.list_objects(KINDS["Node"])
    assert len(simulated.requests) == before + 1


async def test_write_that_found_nobody_did_not_happen() -> None:
    async with ScriptedServer(always({})) as server:
        url = server.url
    client = client_of(url)
    with pytest.raises(ClusterUnavailable) as refused:
        await client.request("PATCH", f"{GATEWAYS}/x", body={})
    assert not isinstance(refused.value, OutcomeUnknown)
    await client.close()


# -- deadlines ----------------------------------------------------------------------------------


@contextmanager
def at_once() -> Iterator[None]:
    """The deadline of these clients is 0.3 s; anything near the suite's own limit is a hang."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 10


async def slowly(size: int = 10_000) -> AsyncIterator[bytes]:
    for _ in range(size):
        yield b" "
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("reply", [SILENCE, "drip"])
async def test_silent_and_dripping_servers_are_given_up(reply: Reply | str) -> None:
    def answer(_asked: Asked) -> Reply:
        return reply if isinstance(reply, Reply) else Reply(slowly())

    async with ScriptedServer(answer) as server:
        client = client_of(server.url, connect=0.1, read=0.2)
        with at_once(), pytest.raises(ClusterUnavailable, match="no answer in time"):
            await client.request("GET", NODES)
        with at_once(), pytest.raises(OutcomeUnknown):
            await client.request("PATCH", f"{GATEWAYS}/x", body={})
        assert len(server.requests) == 2
        await client.close()


async def test_watch_that_is_never_accepted_is_given_up() -> None:
    async with ScriptedServer(lambda _asked: SILENCE) as server:
        client = client_of(server.url, connect=0.1, read=0.2)
        with at_once(), pytest.raises(ClusterUnavailable, match="no answer in time"):
            async for _ in client.watch(NODES, {}):
                pass
        await client.close()


async def test_address_that_swallows_packets_is_given_up_unsent() -> None:
    # TEST-NET-1 is never routed: the connection attempt hangs, or is refused at once.
    client = client_of("https://192.0.2.1:6443", connect=0.2, read=0.2)
    with at_once(), pytest.raises(ClusterUnavailable) as failed:
        await client.request("PATCH", f"{GATEWAYS}/x", body={})
    assert not isinstance(failed.value, OutcomeUnknown)
    await client.close()


# -- answers that are no answers ----------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_redirects_are_not_followed(status: int, method: str) -> None:
    async with ScriptedServer(always({})) as trap:
        answer = always(b"", status, Location=f"{trap.url}/latest/meta-data")
        with pytest.raises(ClusterUnavailable):
            await ask(answer, method, f"{GATEWAYS}/x")
        assert trap.requests == []


@pytest.mark.parametrize(
    "body",
    [b"<html>login</html>", b"", b"[]", b"null", b'{"a": ', b'{"kind": "Pod"', b"\xff\xfe", b'"x"'],
)  # fmt: skip
async def test_success_that_is_no_json_object_is_unavailable(body: bytes) -> None:
    response = await ask(always(body))
    with pytest.raises(ClusterUnavailable, match="not Kubernetes JSON"):
        decode(response)


async def test_body_that_ends_too_early_is_unavailable() -> None:
    with pytest.raises(ClusterUnavailable):
        await ask(lambda _asked: Reply(b'{"kind": "NodeList"}', declared_length=5000))


async def test_deeply_nested_json_is_refused() -> None:
    response = await ask(always(b'{"a":' * 100_000 + b"1" + b"}" * 100_000))
    with pytest.raises(ClusterUnavailable):
        decode(response)


async def test_gzip_bomb_is_cut_off() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * (200 << 20)))
    inner = gzip.decompress(bomb)
    with pytest.raises(ClusterUnavailable):
        await ask(always(inner, Content_Encoding="gzip"))


# -- credentials --------------------------------------------------------------------------------


async def test_each_cluster_is_sent_its_own_token() -> None:
    def answer(_asked: Asked) -> Reply:
        return Reply({"kind": "NodeList", "metadata": {}, "items": []})

    async with ScriptedServer(answer) as server:
        clients = {
            f"token-{n}": client_of(f"{server.url}/{n}", f"token-{n}", connect=20)
            for n in range(20)
        }
        requests = [c.request("GET", NODES) for c in clients.values() for _ in range(5)]
        await asyncio.gather(*requests)
        for client in clients.values():
            await client.close()
    assert len(server.requests) == 100
    for asked in server.requests:
        number = asked.path.split("/")[1]
        assert asked.headers["authorization"] == f"Bearer token-{number}"


async def test_token_is_never_in_an_error(simulated: SimulatedCluster) -> None:
    client = client_of(simulated.url, "wrong-c4nary-token")
    with pytest.raises(ClusterForbidden, match="does not accept") as refused:
        await client.list_objects(KINDS["Node"])
    assert "c4nary" not in f"{refused.value!r} {refused.value.details}"
    await client.close()
