from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpilot.istio.models import GatewaySpec
from cloudpilot.istio.validation import Severity, validate_gateway

SELECTOR = {"istio": "ingressgateway"}


def server(protocol: str = "HTTP", number: int = 80, **fields: Any) -> dict[str, Any]:
    port = {"number": number, "name": protocol.lower(), "protocol": protocol}
    return {"port": port, "hosts": ["shop.example.com"]} | fields


def tls(**fields: Any) -> dict[str, Any]:
    return server("HTTPS", 443, tls=fields)


def check(*servers: dict[str, Any], name: str = "web", **spec: Any) -> dict[str, Severity]:
    """Return what is found, by path."""
    parsed = GatewaySpec.model_validate({"selector": SELECTOR, "servers": servers} | spec)
    return {
        problem.path.removeprefix("spec.servers[0]."): problem.severity
        for problem in validate_gateway(name, parsed)
    }


E, W = Severity.ERROR, Severity.WARNING
FILES = {"serverCertificate": "/c", "privateKey": "/k"}


@pytest.mark.parametrize(
    "good",
    [
        server(),
        server("http2"),
        server("grpc-web"),
        server("TCP", 3306),
        server("MONGO", 27017),
        server("http", hosts=["*"]),
        server("http", hosts=["*.example.com", "shop/a.example.com", "./b.example.com", "*/*"]),
        server("http", hosts=["10.0.0.1", "a.example.com.", "2001:db8::1"]),
        server("http", bind="10.0.0.1"),
        server("http", 0, bind="unix:///var/run/a.sock"),
        server("http", 0, bind="unix://@abstract"),
        server("http", tls={"httpsRedirect": True}),
        tls(mode="SIMPLE", credentialName="cert"),
        tls(mode="SIMPLE", credentialNames=["rsa", "ecdsa"]),
        tls(mode="SIMPLE", **FILES),
        tls(mode="SIMPLE", tlsCertificates=[FILES, FILES]),
        tls(mode="MUTUAL", credentialName="cert"),
        tls(mode="MUTUAL", caCertificates="/ca", **FILES),
        tls(mode="OPTIONAL_MUTUAL", credentialName="cert", caCrl="/crl"),
        tls(mode="ISTIO_MUTUAL"),
        tls(mode="AUTO_PASSTHROUGH"),
        tls(mode="PASSTHROUGH"),
        tls(),
        tls(mode="SIMPLE", credentialName="c", cipherSuites=["ECDHE-RSA-AES256-GCM-SHA384", "ALL"]),
        tls(mode="SIMPLE", credentialName="c", minProtocolVersion="TLSV1_2"),
        server("TLS", 443, tls={"mode": "PASSTHROUGH"}),
    ],
)
def test_what_istio_accepts_is_accepted(good: dict[str, Any]) -> None:
    assert check(good) == {}


@pytest.mark.parametrize(
    ("bad", "path", "severity"),
    [
        (server("SMTP"), "port.protocol", E),
        (server("UDP", 53), "port.protocol", W),
        (server("HTTP", 0), "port.number", E),
        (server("HTTP", 65536), "port.number", E),
        (server("HTTP", 80, bind="unix:///a.sock"), "port.number", E),
        (server() | {"port": {"number": 80, "name": "", "protocol": "HTTP"}}, "port.name", E),
        (
            server() | {"port": {"number": 80, "name": "a", "protocol": "HTTP", "targetPort": 8}},
            "port.targetPort",
            E,
        ),
        (server(bind="example.com"), "bind", E),
        (server("HTTP", 0, bind="unix://relative"), "bind", E),
        (server("HTTP", 0, bind="unix:///folder/"), "bind", E),
        (server("HTTP", 0, bind="unix://@"), "bind", E),
        (server(hosts=[]), "hosts", E),
        (server(hosts=[""]), "hosts[0]", E),
        (server(hosts=["shop"]), "hosts[0]", E),
        (server(hosts=["/a.example.com"]), "hosts[0]", E),
        (server(hosts=["shop/"]), "hosts[0]", E),
        (server(hosts=["shop/x/a.example.com"]), "hosts[0]", E),
        (server(hosts=["~/a.example.com"]), "hosts[0]", E),
        (server(hosts=["a*.example.com"]), "hosts[0]", E),
        (server(hosts=["*a.example.com"]), "hosts[0]", E),
        (server(hosts=["*-a.example.com"]), "hosts[0]", E),
        (server(hosts=["a.*.example.com"]), "hosts[0]", E),
        (server(hosts=["a..example.com"]), "hosts[0]", E),
        (server(hosts=["a_b.example.com"]), "hosts[0]", E),
        (server(hosts=["example.123"]), "hosts[0]", E),
        (server(hosts=["a.example.com:80"]), "hosts[0]", E),
        (server(hosts=["https://a.example.com"]), "hosts[0]", E),
        (server(hosts=["a." * 130 + "com"]), "hosts[0]", E),
        (server(hosts=["a" * 64 + ".com"]), "hosts[0]", E),
        (server(hosts=["\u202egpj.example.com"]), "hosts[0]", E),
        (server(defaultEndpoint="unix:///a"), "defaultEndpoint", W),
        (server("HTTPS", 443), "tls", E),
        (server("TLS", 443), "tls", E),
        (server("TCP", 80, tls={"mode": "SIMPLE", "credentialName": "c"}), "tls", E),
        (server("HTTP", tls={"mode": "SIMPLE", "credentialName": "c"}), "tls", E),
        (server("HTTP", tls=FILES), "tls", E),
        (tls(mode="SIMPLE", credentialName="c", httpsRedirect=True), "tls.httpsRedirect", W),
        (tls(credentialName="c"), "tls.mode", W),
        (tls(mode="PASSTHROUGH", **FILES), "tls.mode", W),
        (tls(mode="PASSTHROUGH", credentialName="c", caCrl="/crl"), "tls.caCrl", E),
        (tls(mode="ISTIO_MUTUAL", credentialName="c"), "tls.credentialName", E),
        (tls(mode="ISTIO_MUTUAL", caCertificates="/ca"), "tls.caCertificates", E),
        (tls(mode="SIMPLE", credentialName="c", **FILES), "tls", E),
        (tls(mode="SIMPLE", credentialName="c", credentialNames=["d"]), "tls", E),
        (tls(mode="SIMPLE", credentialName="c", tlsCertificates=[FILES]), "tls", E),
        (tls(mode="SIMPLE", credentialNames=["a", "b", "c"]), "tls.credentialNames", E),
        (tls(mode="SIMPLE", serverCertificate="/c"), "tls.privateKey", E),
        (tls(mode="SIMPLE", privateKey="/k"), "tls.serverCertificate", E),
        (
            tls(mode="SIMPLE", tlsCertificates=[{"privateKey": "/k"}]),
            "tls.tlsCertificates[0].serverCertificate",
            E,
        ),
        (tls(mode="SIMPLE", tlsCertificates=[FILES] * 3), "tls.tlsCertificates", W),
        (tls(mode="SIMPLE", caCrl="/crl", **FILES), "tls.caCrl", E),
        (tls(mode="MUTUAL", **FILES), "tls.caCertificates", E),
        (tls(mode="OPTIONAL_MUTUAL", **FILES), "tls.caCertificates", E),
        (
            tls(mode="SIMPLE", credentialName="c", minProtocolVersion="TLSV1_0"),
            "tls.minProtocolVersion",
            W,
        ),
        (
            tls(
                mode="SIMPLE",
                credentialName="c",
                minProtocolVersion="TLSV1_3",
                maxProtocolVersion="TLSV1_2",
            ),
            "tls.maxProtocolVersion",
            W,
        ),
        (
            tls(mode="SIMPLE", credentialName="c", cipherSuites=["RC4"]),
            "tls.cipherSuites[0]",
            W,
        ),
        (
            tls(mode="SIMPLE", credentialName="c", cipherSuites=["AES128-SHA", "AES128-SHA"]),
            "tls.cipherSuites[1]",
            W,
        ),
    ],
)
def test_what_istio_refuses_is_named(bad: dict[str, Any], path: str, severity: Severity) -> None:
    found = check(bad)
    assert found[path] is severity
    assert {where for where, how in found.items() if how is E} <= {path}


def test_a_gateway_needs_a_server() -> None:
    assert check() == {"spec.servers": E}


def test_an_empty_selector_is_a_warning() -> None:
    assert check(server(), selector={}) == {"spec.selector": W}


def test_two_servers_of_one_port_name_are_refused() -> None:
    assert check(server(), server(number=8080)) == {"spec.servers[1].port.name": E}


@pytest.mark.parametrize("name", ["", "Web", "a.b", "-a", "a-", "a" * 64, "a_b", "ä"])
def test_a_name_that_istio_refuses_is_an_error(name: str) -> None:
    assert check(server(), name=name) == {"metadata.name": E}


@pytest.mark.parametrize(
    "annotation",
    ["internal.istio.io/webhook-always-reject", "internal.istio.io/parents"],
)
def test_internal_annotations_are_refused(annotation: str) -> None:
    spec = GatewaySpec.model_validate({"selector": SELECTOR, "servers": [server()]})
    [problem] = validate_gateway("web", spec, {annotation: "x"})
    assert (problem.severity, problem.path) == (E, "metadata.annotations")


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=300))
def test_no_text_breaks_the_rules_themselves(name: str, protocol: str, host: str) -> None:
    port = {"number": 80, "name": "x", "protocol": protocol}
    check({"port": port, "hosts": [host], "bind": host, "tls": {}}, name=name)
