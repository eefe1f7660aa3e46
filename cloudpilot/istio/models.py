"""Istio's own objects as types: `networking.istio.io` Gateway, all its fields in their own names.

Only the shape is checked here; the rules of admission are in `validation`. v1, v1beta1 and
v1alpha3 share one schema. Whether a cluster's version knows a field is for its dry run to say.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

TLSMode = Literal[
    "PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"
]
TLSProtocol = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]
Uint32 = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
"""Strict: true and "443" are not numbers."""


class Spec(BaseModel):
    """A part of a spec; unknown fields are refused, never dropped."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Port(Spec):
    """The port a server listens on."""

    number: Uint32
    """1 to 65535, e.g. 80 or 443; 0 only with a unix socket in `bind`."""
    name: str
    """Unique within the Gateway, e.g. `http` or `https-shop`."""
    protocol: str
    """HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, MYSQL, REDIS, UDP or HTTP_PROXY."""
    targetPort: Uint32 | None = None
    """Deprecated by Istio and refused by its webhook."""


class TLSCertificate(Spec):
    """One certificate as files in the gateway's pod."""

    serverCertificate: str | None = None
    """Path of the certificate chain in the gateway's pod."""
    privateKey: str | None = None
    """Path of the private key in the gateway's pod; never the key itself."""
    caCertificates: str | None = None
    """Path of the certificate authorities in the gateway's pod."""


class ServerTLSSettings(Spec):
    """How a server speaks TLS."""

    httpsRedirect: bool | None = None
    """Answer plain HTTP with a redirect to HTTPS; on an HTTP server only."""
    mode: TLSMode | None = None
    """SIMPLE to end TLS here with a certificate. Without a mode Istio takes PASSTHROUGH."""
    serverCertificate: str | None = None
    """Path of the certificate chain in the gateway's pod."""
    privateKey: str | None = None
    """Path of the private key in the gateway's pod; never the key itself."""
    caCertificates: str | None = None
    """Path of the authorities that client certificates must come from (MUTUAL)."""
    caCrl: str | None = None
    """Path of a revocation list in the gateway's pod."""
    credentialName: str | None = None
    """Name of the Secret with the certificate, in the namespace of the gateway's pods."""
    credentialNames: list[str] | None = None
    """One or two such Secrets, e.g. an RSA and an ECDSA certificate."""
    caCertCredentialName: str | None = None
    """Name of a Secret with only the certificate authorities."""
    tlsCertificates: list[TLSCertificate] | None = None
    """One or two certificates as files."""
    subjectAltNames: list[str] | None = None
    """Names that a client certificate may carry (MUTUAL)."""
    verifyCertificateSpki: list[str] | None = None
    """Accepted SHA-256 hashes of client public keys, base64."""
    verifyCertificateHash: list[str] | None = None
    """Accepted SHA-256 hashes of client certificates, hexadecimal."""
    minProtocolVersion: TLSProtocol | None = None
    """Lowest TLS version; Istio's default is TLSV1_2."""
    maxProtocolVersion: TLSProtocol | None = None
    """Highest TLS version."""
    cipherSuites: list[str] | None = None
    """Cipher suites in OpenSSL's spelling."""
    insecureSkipVerify: bool | None = None
    """Accept client certificates unverified."""
    ecdhCurves: list[str] | None = None
    """Curves of the key exchange."""


class Server(Spec):
    """One port that a Gateway opens, and for which hosts."""

    port: Port
    hosts: list[str]
    """Hosts to accept: `shop.example.com`, `*.example.com`, `*`; `namespace/host` limits who may
    bind routes to it."""
    bind: str | None = None
    """IP address or unix socket to listen on; all addresses if empty."""
    tls: ServerTLSSettings | None = None
    """Required for HTTPS and TLS; on an HTTP server only `httpsRedirect`."""
    defaultEndpoint: str | None = None
    """Not implemented by Istio."""
    name: str | None = None
    """A name for this server; `port.name` is what identifies it here."""


class GatewaySpec(Spec):
    """What a Gateway opens, and on which pods."""

    selector: dict[str, str] = Field(default_factory=dict)
    """Labels of the gateway's pods, in any namespace; empty selects every gateway pod."""
    servers: list[Server] = Field(default_factory=list)
