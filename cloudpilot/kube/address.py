"""Which addresses a registered cluster may have: https, and nothing that only this machine sees.

Checked twice: when the address is given, and at each connection for what its name resolves to, so
that a name which later points elsewhere is refused as well.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?")
# Spellings of IPv4 that resolvers accept and people do not write: 0x7f.1, 2130706433, 017700000001.
_NUMERIC = re.compile(r"(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+))*\.?")
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})

# Metadata services that do not live on link-local addresses.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_server(url: str, *, allow_loopback: bool) -> str:
    """Return the normalised address of an API server.

    Raises:
        ValueError: it is not an https address that a cluster may have; the message says why.
    """
    if len(url) > 2048 or any(ord(char) <= 32 or ord(char) > 126 for char in url):
        raise ValueError("must be a plain https address")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme != "https":
        raise ValueError("must begin with https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password")
    if parts.query or parts.fragment:
        raise ValueError("must not hold a query or fragment")
    host = (parts.hostname or "").lower()
    check_host(host, allow_loopback=allow_loopback)
    shown = f"[{host}]" if ":" in host else host
    return f"https://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}"


def check_host(host: str, *, allow_loopback: bool) -> None:
    """Refuse a host that a cluster may not have.

    Raises:
        ValueError: with the reason.
    """
    literal = _literal(host)
    if literal is not None:
        check_ip(literal, allow_loopback=allow_loopback)
        return
    if not _HOST.fullmatch(host) or _NUMERIC.fullmatch(host):
        raise ValueError("has no usable host name")
    if host.rstrip(".") in _METADATA_NAMES:
        raise ValueError("is a cloud metadata service")
    if (host == "localhost" or host.endswith(".localhost")) and not allow_loopback:
        raise ValueError("is this machine")


def check_ip(address: IPAddress, *, allow_loopback: bool) -> None:
    """Refuse an address that a cluster may not have.

    Raises:
        ValueError: with the reason.
    """
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address.sixtofour or address
    if address.is_loopback:
        if not allow_loopback:
            raise ValueError("is this machine")
        return
    if address in _METADATA:
        raise ValueError("is a cloud metadata service")
    if address.is_link_local:
        raise ValueError("is link-local, where cloud metadata services live")
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        raise ValueError("is not the address of one machine")


def _literal(host: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class GuardedResolver(AbstractResolver):
    """Resolves names off the event loop and refuses addresses a registered cluster may not have.

    Args:
        allow_loopback: None trusts every address: the user's own configuration named it.
        resolver: who is asked; None is the system's.
    """

    def __init__(
        self, allow_loopback: bool | None, resolver: AbstractResolver | None = None
    ) -> None:
        self._allow_loopback = allow_loopback
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a name."""
        results = await self._resolver.resolve(host, port, family)
        if self._allow_loopback is None:
            return results
        for result in results:
            address = ipaddress.ip_address(result["host"].partition("%")[0])
            try:
                check_ip(address, allow_loopback=self._allow_loopback)
            except ValueError as error:
                raise OSError(errno.EHOSTUNREACH, f"{host} {error}") from None
        return results

    async def close(self) -> None:
        """Release nothing: the threads belong to the loop."""
        await self._resolver.close()
