from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cloudpilot.istio.models import GatewaySpec, Server, ServerTLSSettings

PORT = {"number": 443, "name": "https", "protocol": "HTTPS"}


def test_all_fields_of_the_api_are_known() -> None:
    assert set(ServerTLSSettings.model_fields) == {
        "httpsRedirect",
        "mode",
        "serverCertificate",
        "privateKey",
        "caCertificates",
        "caCrl",
        "credentialName",
        "credentialNames",
        "caCertCredentialName",
        "tlsCertificates",
        "subjectAltNames",
        "verifyCertificateSpki",
        "verifyCertificateHash",
        "minProtocolVersion",
        "maxProtocolVersion",
        "cipherSuites",
        "insecureSkipVerify",
        "ecdhCurves",
    }
    assert set(Server.model_fields) == {
        "port",
        "hosts",
        "bind",
        "tls",
        "defaultEndpoint",
        "name",
    }


def test_what_is_read_is_written_back_unchanged() -> None:
    spec = {
        "selector": {"istio": "ingressgateway"},
        "servers": [
            {
                "port": PORT,
                "hosts": ["shop/*.example.com"],
                "bind": "10.0.0.1",
                "tls": {"mode": "SIMPLE", "credentialNames": ["rsa", "ecdsa"]},
            }
        ],
    }
    parsed = GatewaySpec.model_validate(spec)
    assert parsed.model_dump(mode="json", exclude_none=True) == spec


@pytest.mark.parametrize(
    ("server", "field"),
    [
        ({"port": PORT, "hosts": ["*"], "tsl": {}}, "tsl"),
        ({"port": PORT | {"number": True}, "hosts": ["*"]}, "number"),
        ({"port": PORT | {"number": "443"}, "hosts": ["*"]}, "number"),
        ({"port": PORT | {"number": 443.5}, "hosts": ["*"]}, "number"),
        ({"port": PORT | {"number": -1}, "hosts": ["*"]}, "number"),
        ({"port": PORT | {"number": 2**32}, "hosts": ["*"]}, "number"),
        ({"port": PORT}, "hosts"),
        ({"port": PORT, "hosts": "*"}, "hosts"),
        ({"hosts": ["*"]}, "port"),
        ({"port": PORT, "hosts": ["*"], "tls": {"mode": "simple"}}, "mode"),
        (
            {"port": PORT, "hosts": ["*"], "tls": {"minProtocolVersion": "1.3"}},
            "minProtocolVersion",
        ),
    ],
)
def test_a_wrong_shape_is_refused_at_its_field(server: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        GatewaySpec.model_validate({"servers": [server]})
    assert field in str(refused.value.errors()[0]["loc"])
