from __future__ import annotations

from typing import Any

import pytest

from cloudpilot.istio.conflicts import GatewayServers, Outcome, may_select_one_pod, meetings

SELECTOR = {"istio": "ingressgateway"}


def server(protocol: str, number: int, *hosts: str, bind: str = "") -> dict[str, Any]:
    port = {"number": number, "name": f"{protocol.lower()}-{number}", "protocol": protocol}
    return {"port": port, "hosts": list(hosts)} | ({"bind": bind} if bind else {})


def gateway(*servers: dict[str, Any], name: str = "new", **fields: Any) -> GatewayServers:
    values = {"namespace": "shop", "name": name, "created": "", "selector": SELECTOR}
    return GatewayServers(**(values | {"servers": list(servers)} | fields))


A, B, WILD, ALL = "a.example.com", "b.example.com", "*.example.com", "*"
DROPPED, SHARED, MERGED = Outcome.DROPPED, Outcome.SHARED, Outcome.MERGED


@pytest.mark.parametrize(
    ("mine", "theirs", "outcome"),
    [
        (server("HTTP", 80, A), server("HTTP", 80, A), SHARED),
        (server("HTTP", 80, A), server("HTTP2", 80, A), SHARED),
        (server("HTTP", 80, A), server("GRPC", 80, B, A), SHARED),
        (server("HTTP", 80, ALL), server("HTTP", 80, ALL), SHARED),
        (server("HTTP", 80, A), server("HTTP", 80, B), None),
        (server("HTTP", 80, A), server("HTTP", 8080, A), None),
        (server("HTTP", 80, A), server("HTTP", 80, WILD), MERGED),
        (server("HTTP", 80, WILD), server("HTTP", 80, A), MERGED),
        (server("HTTP", 80, ALL), server("HTTP", 80, A), MERGED),
        (server("HTTP", 80, WILD), server("HTTP", 80, "example.com"), None),
        (server("HTTP", 80, f"shop/{A}"), server("HTTP", 80, f"other/{A}"), SHARED),
        (server("HTTP", 80, A.upper()), server("HTTP", 80, A), SHARED),
        (server("HTTPS", 443, A), server("HTTPS", 443, A), DROPPED),
        (server("HTTPS", 443, A), server("TLS", 443, A), DROPPED),
        (server("HTTPS", 443, A), server("HTTPS", 443, B), None),
        (server("HTTPS", 443, A), server("HTTPS", 443, WILD), MERGED),
        (server("HTTPS", 443, A, B), server("HTTPS", 443, B), DROPPED),
        (server("HTTPS", 443, A), server("HTTPS", 8443, A), None),
        (server("HTTP", 80, A), server("HTTPS", 80, B), DROPPED),
        (server("HTTPS", 443, A), server("HTTP", 443, B), DROPPED),
        (server("HTTP", 80, A), server("TCP", 80, ALL), DROPPED),
        (server("TCP", 3306, ALL), server("TCP", 3306, ALL), DROPPED),
        (server("TCP", 3306, A), server("MYSQL", 3306, B), DROPPED),
        (server("TCP", 3306, A), server("TCP", 3307, A), None),
        (server("HTTP", 80, A, bind="10.0.0.1"), server("HTTP", 80, A, bind="10.0.0.2"), None),
        (server("HTTP", 80, A, bind="10.0.0.1"), server("HTTP", 80, A, bind="10.0.0.1"), SHARED),
        (server("HTTP", 80, A, bind="0.0.0.0"), server("HTTP", 80, A), SHARED),
        (server("HTTP", 80, A, bind="10.0.0.1"), server("TCP", 80, A), None),
        (server("TLS", 443, ALL), server("TLS", 443, ALL), DROPPED),
        (server("TLS", 443, ALL), server("TCP", 443, ALL), DROPPED),
        (server("HTTPS", 443), server("HTTPS", 443), None),
    ],
)
def test_two_servers_meet_as_istiod_merges_them(
    mine: dict[str, Any], theirs: dict[str, Any], outcome: Outcome | None
) -> None:
    other = gateway(theirs, name="old", created="2026-01-01T00:00:00Z")
    found = [meeting.outcome for meeting in meetings(gateway(mine), [other])]
    assert found == ([] if outcome is None else [outcome])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": "1"}, {"a": "1"}, True),
        ({"a": "1"}, {"a": "2"}, False),
        ({"a": "1"}, {"b": "1"}, True),
        ({}, {"a": "1"}, True),
        ({"a": "1", "b": "1"}, {"a": "1"}, True),
        ({"a": "1", "b": "1"}, {"a": "1", "b": "2"}, False),
    ],
)
def test_only_gateways_that_may_share_a_pod_meet(
    one: dict[str, str], other: dict[str, str], same: bool
) -> None:
    assert may_select_one_pod(one, other) is may_select_one_pod(other, one) is same
    http = server("HTTP", 80, A)
    found = meetings(gateway(http, selector=one), [gateway(http, name="old", selector=other)])
    assert bool(found) is same


def test_the_younger_gateway_is_named_as_the_one_that_loses() -> None:
    tls = server("HTTPS", 443, A)
    old = gateway(tls, name="old", namespace="istio-system", created="2026-01-01T00:00:00Z")
    young = gateway(tls, name="young", created="2026-02-01T00:00:00Z")
    [seen_by_young] = meetings(young, [old])
    [seen_by_old] = meetings(old, [young])
    assert "istio-system/old" in seen_by_young.message
    for meeting in (seen_by_young, seen_by_old):
        assert "drops the server of shop/young" in meeting.message


def test_a_gateway_does_not_meet_itself_and_the_worst_comes_first() -> None:
    me = gateway(server("HTTP", 80, A), server("HTTPS", 443, A))
    others = [me, gateway(server("HTTP", 80, A), server("HTTPS", 443, A), name="old")]
    assert [meeting.outcome for meeting in meetings(me, others)] == [DROPPED, SHARED]


def test_only_the_gateway_that_really_shares_a_host_is_named() -> None:
    others = [
        gateway(server("HTTPS", 443, B), name="innocent"),
        gateway(server("HTTPS", 443, "c.example.com"), server("HTTPS", 443, A), name="guilty"),
    ]
    [meeting] = meetings(gateway(server("HTTPS", 443, A)), others)
    assert "guilty" in meeting.message
