"""The server as a process: what it prints, how it refuses, how it stops."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.sse import frames_of
from tests.processes import SECONDS, Server, environment, run, serving

WRITE = {"message": "create a gateway named web in shop for host web.example.com on port 8080"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("demo"), "--demo") as server:
        yield server


def headers_of(server: Server) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.token}"}


def raw(server: Server, request: bytes) -> bytes:
    host, port = server.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
        return answer


def test_it_prints_its_token_and_an_address_that_carries_it(demo: Server):
    assert len(demo.token) >= 43
    assert f"address: {demo.address}/#token={demo.token}" in demo.lines
    answer = httpx.get(f"{demo.address}/api/v1/clusters", headers=headers_of(demo))
    assert [item["name"] for item in answer.json()["data"]["items"]] == ["demo"]
    assert "server" not in answer.headers


def test_the_printed_examples_work_by_copy_and_paste(demo: Server):
    demo.wait_for_line("try:")
    for _ in range(3):
        command = demo.wait_for_line("  curl")
        shown = subprocess.run(
            f"curl {command}",
            shell=True,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=environment(),
            check=True,
        )
        told = frames_of(shown.stdout)
        assert told[-1].event == "run_finished"
        assert told[-1].data["status"] == "finished"
        assert not [frame for frame in told if frame.event == "error"]


def test_dots_in_a_path_are_a_bad_name(demo: Server):
    answer = raw(
        demo,
        b"GET /api/v1/clusters/demo/namespaces/.. HTTP/1.1\r\nHost: localhost\r\n"
        b"Authorization: Bearer " + demo.token.encode() + b"\r\nConnection: close\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 422")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nConnection: close\r\n", b"400"),
        (b"GET /healthz HTTP/1.0\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: localhost\r\nConnection: close\r\n", b"400"),
        (b"GET /healthz HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n", b"200"),
        (b"GET /api/v1/plans HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
         b"Authorization: Bearer " + b"x" * 65_536 + b"\r\n", b"401"),
    ],
)  # fmt: skip
def test_odd_heads_are_answered_in_the_envelope(demo: Server, head: bytes, status: bytes):
    answer = raw(demo, head + b"\r\n")
    assert answer.split()[1] == status
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert body["code"] == int(status)


def test_a_chunked_body_without_end_is_refused_while_it_comes(demo: Server):
    host, port = demo.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
        connection.sendall(
            b"POST /api/v1/chat HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/json\r\nAuthorization: Bearer "
            + demo.token.encode()
            + b"\r\n\r\n"
        )
        for _ in range(20):
            connection.sendall(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_stop_says_goodbye_to_open_streams_and_is_quick(tmp_path: Path):
    with serving(tmp_path, "--demo", CLOUDPILOT_SERVER__SHUTDOWN_SECONDS="30") as server:
        with httpx.Client(headers=headers_of(server), timeout=SECONDS) as client:
            asked = client.post(f"{server.address}/api/v1/chat", json=WRITE)
            told = frames_of(asked.text)
            assert told[-1].data["status"] == "waiting"
            thread_id = asked.headers["x-thread-id"]
            follow = f"{server.address}/api/v1/threads/{thread_id}/events"
            with client.stream("GET", follow, params={"after": told[-1].id}) as stream:
                assert stream.status_code == 200
                server.process.send_signal(signal.SIGTERM)
                last = frames_of("".join(stream.iter_text()))
        assert [frame.event for frame in last] == ["shutdown"]
        assert last[0].id is None
        assert server.process.wait(20) == 0
        with serving(tmp_path, "--demo") as again:
            listed = httpx.get(f"{again.address}/api/v1/threads", headers=headers_of(again))
            assert [item["id"] for item in listed.json()["data"]["items"]] == [thread_id]


def test_a_port_in_use_is_said_and_ends_with_1(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run(tmp_path, "--port", str(port))
    assert ended.returncode == 1
    assert f"error: port {port} on 127.0.0.1 is in use" in ended.stderr
    assert "hint: " in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "env", "named"),
    [
        (["--host", "0.0.0.0"], {}, "server.token"),
        (["--host", "::"], {}, "server.token"),
        (["--host", "203.0.113.7"], {"CLOUDPILOT_TOKEN": "Zk3-8fjq0-Pw81x-77"}, "server.host"),
        (["--host", "no such host"], {"CLOUDPILOT_TOKEN": "Zk3-8fjq0-Pw81x-77"}, "server.host"),
        ([], {"CLOUDPILOT_TOKEN": "changeme"}, "server.token"),
        ([], {"CLOUDPILOT_TOKEN": "changeme-changeme-changeme"}, "server.token"),
        ([], {"CLOUDPILOT_TOKEN": "a" * 40}, "server.token"),
        ([], {"CLOUDPILOT_TOKEN": "with spaces in the token"}, "server.token"),
        (["--port", "70000"], {}, "server.port"),
        (["--port", "-1"], {}, "server.port"),
    ],
)
def test_an_unsafe_or_impossible_start_is_refused_with_78(
    tmp_path: Path, arguments: list[str], env: dict[str, str], named: str
):
    ended = run(tmp_path, *arguments, **env)
    assert ended.returncode == 78, ended.stderr
    assert ended.stderr.startswith(f"error: {named}")
    for secret in env.values():
        assert secret not in ended.stderr


def test_a_configured_token_is_used_and_not_repeated(tmp_path: Path):
    token = "Zk3-8fjq0-Pw81x-77"
    with serving(tmp_path, CLOUDPILOT_TOKEN=token) as server:
        headers = {"Authorization": f"Bearer {token}"}
        assert httpx.get(f"{server.address}/api/v1/plans", headers=headers).status_code == 200
        assert token not in "".join(server.lines)
    assert token not in (tmp_path / "log").read_text()


def test_two_starts_have_two_tokens(tmp_path: Path, demo: Server):
    with serving(tmp_path) as server:
        assert server.token != demo.token
