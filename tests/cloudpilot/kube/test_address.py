"""Which addresses a registered cluster may have, in every spelling, and what names resolve to."""

from __future__ import annotations

import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from cloudpilot.errors import ClusterUnavailable
from cloudpilot.kube.access import registered
from cloudpilot.kube.address import GuardedResolver, check_server
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kubeconfig import Credentials
from tests.fakes.scripted_server import Reply, ScriptedServer

FORBIDDEN = [
    "http://example.com",
    "HTTP://example.com",
    "file:///etc/passwd",
    "unix:/var/run/docker.sock",
    "ftp://example.com",
    "//example.com",
    "example.com:6443",
    "",
    "https://",
    "https:///path",
    "https://user:password@example.com",
    "https://user@example.com",
    "https://example.com@169.254.169.254",
    "https://169.254.169.254",
    "https://169.254.169.254:443/latest/meta-data",
    "https://[::ffff:a9fe:a9fe]",
    "https://[::ffff:169.254.169.254]",
    "https://[fe80::1]",
    "https://[fe80::1%25eth0]",
    "https://[fd00:ec2::254]",
    "https://metadata.google.internal",
    "https://METADATA.google.internal.",
    "https://metadata",
    "https://localhost.",
    "https://100.100.100.200",
    "https://0x7f.1",
    "https://0x7f000001",
    "https://2130706433",
    "https://017700000001",
    "https://0177.0.0.1",
    "https://127.1",
    "https://0",
    "https://0.0.0.0",
    "https://[::]",
    "https://[::ffff:0.0.0.0]",
    "https://224.0.0.1",
    "https://[ff02::1]",
    "https://255.255.255.255",
    "https://240.0.0.1",
    "https://[64:ff9b::a9fe:a9fe]",
    "https://[2002:a9fe:a9fe::]",
    "https://example.com/?a=b",
    "https://example.com/#x",
    "https://example.com:99999",
    "https://example.com:port",
    "https://exa mple.com",
    "https://example.com\r\nX: y",
    "https://ex\u0430mple.com",
    "https://\u2460\u2461\u2466.0.0.1",
    "https://-bad.example.com",
    "https://example.com\\@169.254.169.254",
    "https://" + "a" * 3000,
]

LOOPBACK = [
    "https://127.0.0.1:6443",
    "https://127.0.0.2",
    "https://[::1]:6443",
    "https://[::ffff:127.0.0.1]",
    "https://[::ffff:7f00:1]",
    "https://localhost:6443",
    "https://LOCALHOST",
    "https://kind.localhost",
]


@pytest.mark.parametrize("url", FORBIDDEN)
@pytest.mark.parametrize("allow_loopback", [True, False])
def test_address_is_refused(url: str, allow_loopback: bool) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        check_server(url, allow_loopback=allow_loopback)


@pytest.mark.parametrize("url", LOOPBACK)
def test_loopback_is_refused_unless_allowed(url: str) -> None:
    with pytest.raises(ValueError, match="this machine"):
        check_server(url, allow_loopback=False)
    assert check_server(url, allow_loopback=True)


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("https://prod.example.com", "https://prod.example.com"),
        ("https://PROD.example.com:6443/", "https://prod.example.com:6443"),
        ("https://10.0.0.1:6443", "https://10.0.0.1:6443"),
        ("https://[2001:db8::1]:6443", "https://[2001:db8::1]:6443"),
        ("https://rancher.example.com/k8s/clusters/c-1/", "https://rancher.example.com/k8s/clusters/c-1"),
        ("https://notlocalhost.example.com", "https://notlocalhost.example.com"),
    ],
)  # fmt: skip
def test_ordinary_addresses_are_normalised(url: str, normal: str) -> None:
    assert check_server(url, allow_loopback=False) == normal


def test_name_that_only_ends_like_this_machine_is_another() -> None:
    assert check_server("https://mylocalhost", allow_loopback=False)


class Rebinding(AbstractResolver):
    """Answers the first question with an innocent address and later ones with another."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self._addresses.pop(0) if len(self._addresses) > 1 else self._addresses[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "127.0.0.1", "::1", "::ffff:169.254.169.254", "fe80::1%2", "0.0.0.0"],
)
async def test_name_that_later_points_elsewhere_is_refused(address: str) -> None:
    resolver = GuardedResolver(False, Rebinding("203.0.113.7", address))
    assert await resolver.resolve("rebind.example.com", 443)
    with pytest.raises(OSError, match="rebind.example.com is"):
        await resolver.resolve("rebind.example.com", 443)
    await resolver.close()


async def test_one_bad_address_among_good_ones_is_refused() -> None:
    class Both(Rebinding):
        async def resolve(self, *args: object, **kwargs: object) -> list[ResolveResult]:
            good, bad = Rebinding("203.0.113.7"), Rebinding("169.254.169.254")
            return [*await good.resolve("x"), *await bad.resolve("x")]

    resolver = GuardedResolver(True, Both(""))
    with pytest.raises(OSError, match="link-local"):
        await resolver.resolve("x")


async def test_own_configuration_is_trusted() -> None:
    assert await GuardedResolver(None, Rebinding("169.254.169.254")).resolve("x")


async def test_connection_to_a_name_of_this_machine_sends_nothing(tmp_path) -> None:
    async with ScriptedServer(lambda _asked: Reply({})) as trap:
        port = trap.url.rpartition(":")[2]
        # `localhost` would be refused on registration; here it stands for a name that moved.
        access = registered(
            Credentials(f"https://localhost:{port}", token="a-token"),
            tmp_path,
            allow_loopback=False,
        )
        client = KubeClient(access, connect_seconds=2, read_seconds=2)
        with pytest.raises(ClusterUnavailable, match="this machine"):
            await client.request("GET", "/version")
        await client.close()
        assert trap.requests == []
