"""The connections to one API server: sockets, TLS, pools and headers.

What may be asked is checked here, below every caller; what an answer means is for the callers.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver
from kubernetes.aio.client.rest import RESTClientObject

from cloudpilot.errors import ClusterUnavailable
from cloudpilot.kube.access import Access
from cloudpilot.kube.address import GuardedResolver
from cloudpilot.kube.guard import check_read, check_write

# A peer that vanished is noticed by the kernel as well, even where nobody sends anything.
_SOCKET_OPTIONS = {
    "TCP_KEEPIDLE": 10,
    "TCP_KEEPINTVL": 5,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 20_000,  # milliseconds
}


class Pool(Enum):
    """Connections that cannot starve each other, and how many of each there may be."""

    REQUESTS = 32
    WATCHES = 0  # no limit of its own: there is one a kind
    PROBES = 1


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request as it is sent. One that is never asked of a cluster cannot be made.

    Raises:
        Forbidden: it would read a Secret, or write what CloudPilot does not write.
    """

    method: str
    path: str
    query: dict[str, str]
    accept: str
    body: bytes | None = None
    content_type: str = ""
    compress: bool = True

    def __post_init__(self) -> None:
        if self.method == "GET":
            check_read(self.path, self.accept)
        else:
            check_write(self.method, self.path)


class Transport:
    """Sends requests with the cluster's own credential; a request is sent at most once."""

    def __init__(self, access: Access, connect_seconds: float) -> None:
        self._access = access
        self._connect_seconds = connect_seconds
        self._sessions: dict[Pool, aiohttp.ClientSession] = {}
        self._closed = False

    async def close(self) -> None:
        """Close every connection, for good."""
        self._closed = True
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def send(
        self, outgoing: Outgoing, pool: Pool, read_seconds: float
    ) -> aiohttp.ClientResponse:
        """Send a request and return the answer's head; its body is still to be read.

        Raises:
            ClusterUnavailable: it was closed, or the credential cannot be refreshed.
            aiohttp.ClientError, TimeoutError, ConnectionError: it was not answered.
        """
        headers = await self._headers(outgoing)
        if self._closed:  # by a late caller: what it opened nobody would close
            raise ClusterUnavailable("the cluster was disconnected")
        configuration = self._access.configuration
        extra: dict[str, Any] = {}
        if configuration.tls_server_name:
            extra["server_hostname"] = configuration.tls_server_name
        return await self._session(pool).request(
            outgoing.method,
            configuration.host.rstrip("/") + outgoing.path,
            params=outgoing.query,
            data=outgoing.body,
            headers=headers,
            allow_redirects=False,
            proxy=configuration.proxy,
            timeout=aiohttp.ClientTimeout(
                total=None,
                connect=None,
                sock_connect=self._connect_seconds,
                sock_read=read_seconds,
            ),
            **extra,
        )

    async def _headers(self, outgoing: Outgoing) -> dict[str, str]:
        packed = outgoing.compress and self._access.compress
        headers = {
            "Accept": outgoing.accept,
            "Accept-Encoding": "gzip" if packed else "identity",
            "User-Agent": "cloudpilot",
        }
        if outgoing.body is not None:
            headers["Content-Type"] = outgoing.content_type
        if token := await self._access.authorization():
            headers["Authorization"] = token
        return headers

    def _session(self, pool: Pool) -> aiohttp.ClientSession:
        if pool not in self._sessions:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._tls,
                    limit=pool.value,
                    resolver=self._resolver,
                    socket_factory=_socket,
                ),
                trust_env=self._access.trust_env,
                read_bufsize=2**21,
            )
            # aiohttp sends GET, PUT and DELETE again when a kept connection drops. A write must
            # never be repeated blindly, and reads are repeated by who wants that.
            session._retry_connection = False
            self._sessions[pool] = session
        return self._sessions[pool]

    @cached_property
    def _tls(self) -> Any:
        # Only this part of the official transport is used: it alone knows how to read every
        # certificate form of a Configuration.
        return RESTClientObject(self._access.configuration).ssl_context

    @cached_property
    def _resolver(self) -> AbstractResolver:
        return GuardedResolver(self._access.allow_loopback)


def _socket(address: Any) -> socket.socket:
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SOCKET_OPTIONS.items():
        if option := getattr(socket, name, None):  # not every system has them all
            made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
