"""What two Gateways that select the same pods do to each other; pure.

istiod merges all servers of a pod, the oldest Gateway first, and drops what does not fit with
only a log line. Hosts meet across namespaces.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cloudpilot.istio.validation import HTTP_FAMILY, TLS_FAMILY

_ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, never bound


class Outcome(IntEnum):
    """What becomes of two servers on one port, the harmless first."""

    MERGED = 1
    """Both work, but a wildcard of one also covers hosts of the other."""
    SHARED = 2
    """Both accept the very same host: their routes are mixed."""
    DROPPED = 3
    """Only one can exist."""


@dataclass(frozen=True, slots=True)
class GatewayServers:
    """A Gateway as far as it matters here; servers as the API has them, hence untyped."""

    namespace: str
    name: str
    created: str
    """RFC 3339; empty for one that does not exist yet and so is the youngest."""
    selector: Mapping[str, str]
    servers: list[dict[str, Any]]

    @property
    def age_order(self) -> tuple[bool, str, str, str]:
        """Sort key: the oldest first, then by name and namespace, as istiod does."""
        return (not self.created, self.created, self.name, self.namespace)


@dataclass(frozen=True, slots=True)
class Meeting:
    """Two servers of two Gateways that meet on one port."""

    outcome: Outcome
    message: str


def meetings(gateway: GatewayServers, others: Iterable[GatewayServers]) -> list[Meeting]:
    """Return how a Gateway meets the others, the worst first."""
    found = [
        meeting
        for other in others
        if (other.namespace, other.name) != (gateway.namespace, gateway.name)
        and may_select_one_pod(gateway.selector, other.selector)
        for meeting in _between(gateway, other)
    ]
    return sorted(found, key=lambda meeting: -meeting.outcome)


def may_select_one_pod(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Tell whether a pod may carry the labels of both selectors."""
    return all(other.get(key, value) == value for key, value in one.items())


def _between(gateway: GatewayServers, other: GatewayServers) -> Iterator[Meeting]:
    for mine in gateway.servers:
        for theirs in other.servers:
            outcome = _outcome(mine, theirs)
            if outcome is not None:
                yield Meeting(outcome, _message(outcome, gateway, mine, other, theirs))


def _outcome(mine: dict[str, Any], theirs: dict[str, Any]) -> Outcome | None:
    if _number(mine) != _number(theirs) or _bind(mine) != _bind(theirs):
        return None
    families = {_family(mine), _family(theirs)}
    if families == {"http"}:
        if _same_hosts(mine, theirs):
            return Outcome.SHARED
        return Outcome.MERGED if _overlap(mine, theirs) else None
    if families == {"tls"}:
        if _same_hosts(mine, theirs):
            return Outcome.DROPPED
        return Outcome.MERGED if _overlap(mine, theirs) else None
    return Outcome.DROPPED


def _message(
    outcome: Outcome,
    gateway: GatewayServers,
    mine: dict[str, Any],
    other: GatewayServers,
    theirs: dict[str, Any],
) -> str:
    port = _number(mine)
    where = f"Gateway {other.namespace}/{other.name} (server {_port_name(theirs)!r})"
    if outcome is Outcome.DROPPED:
        loser = max(gateway, other, key=lambda item: item.age_order)
        hosts = ", ".join(_same_hosts(mine, theirs)) or "other protocols"
        return (
            f"conflict on port {port} with {where}: {hosts}; "
            f"istiod drops the server of {loser.namespace}/{loser.name}, the younger"
        )
    if outcome is Outcome.SHARED:
        hosts = ", ".join(_same_hosts(mine, theirs))
        return f"host {hosts} on port {port} is shared with {where}: their routes are mixed"
    return f"hosts on port {port} overlap by a wildcard with {where}"


def _family(server: dict[str, Any]) -> str:
    protocol = str((server.get("port") or {}).get("protocol", "")).upper()
    if protocol in HTTP_FAMILY:
        return "http"
    return "tls" if protocol in TLS_FAMILY else "tcp"


def _number(server: dict[str, Any]) -> Any:
    return (server.get("port") or {}).get("number")


def _port_name(server: dict[str, Any]) -> str:
    return str((server.get("port") or {}).get("name", ""))


def _bind(server: dict[str, Any]) -> str:
    bind = str(server.get("bind") or "")
    return "" if bind in _ANY_ADDRESS else bind


def _hosts(server: dict[str, Any]) -> list[str]:
    """Return the host names without their namespaces, which limit routes, not traffic."""
    return [str(host).rpartition("/")[2].lower() for host in server.get("hosts") or []]


def _same_hosts(mine: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    return sorted(set(_hosts(mine)) & set(_hosts(theirs)))


def _overlap(mine: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return any(
        _covers(one, other) or _covers(other, one)
        for one in _hosts(mine)
        for other in _hosts(theirs)
    )


def _covers(wildcard: str, host: str) -> bool:
    return wildcard == "*" or (wildcard.startswith("*.") and host.endswith(wildcard[1:]))
