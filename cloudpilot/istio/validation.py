"""What Istio's own admission says about a Gateway, said before it is sent, with the field named.

Its webhook may be absent or fail open, so these rules always run. One object at a time: what two
Gateways do to each other is in `conflicts`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from cloudpilot.istio.models import GatewaySpec, Port, Server, ServerTLSSettings

HTTP_FAMILY = frozenset({"HTTP", "HTTP2", "HTTP_PROXY", "GRPC", "GRPC-WEB"})
TLS_FAMILY = frozenset({"HTTPS", "TLS"})
TCP_FAMILY = frozenset({"TCP", "UDP", "MONGO", "MYSQL", "REDIS"})

_LABEL = re.compile(r"[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?")
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_FILE_FIELDS = ("serverCertificate", "privateKey", "caCertificates")
_CERTIFICATE_FIELDS = (*_FILE_FIELDS, "credentialName", "credentialNames", "tlsCertificates")
_CIPHERS = frozenset(
    f"{exchange}-{cipher}"
    for exchange in ("ECDHE-ECDSA", "ECDHE-RSA")
    for cipher in (
        "AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "CHACHA20-POLY1305",
        "AES128-SHA",
        "AES256-SHA",
    )
) | {"AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA"}
_VERSIONS = ("TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
_REJECT = "internal.istio.io/webhook-always-reject"
_INTERNAL = ("internal.istio.io/parents", "internal.istio.io/parent-namespace")


class Severity(StrEnum):
    """Whether Istio refuses the object or only warns."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where."""

    severity: Severity
    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def validate_gateway(
    name: str, spec: GatewaySpec, annotations: Mapping[str, str] | None = None
) -> list[Problem]:
    """Return everything that is wrong with a Gateway, errors and warnings."""
    return [
        *_metadata(name, annotations or {}),
        *_selector(spec.selector),
        *_servers(spec.servers),
    ]


def protocol_of(port: Port) -> str:
    """Return the protocol as Istio reads it: in capitals."""
    return port.protocol.upper()


def _error(path: str, message: str) -> Problem:
    return Problem(Severity.ERROR, path, message)


def _warning(path: str, message: str) -> Problem:
    return Problem(Severity.WARNING, path, message)


def _metadata(name: str, annotations: Mapping[str, str]) -> Iterator[Problem]:
    if len(name) > 63 or not _NAME.fullmatch(name):
        yield _error(
            "metadata.name", "must be a DNS label: a-z, 0-9 and inner -, at most 63 characters"
        )
    for key in (_REJECT, *_INTERNAL):
        if key in annotations:
            yield _error("metadata.annotations", f"{key} is internal to Istio")


def _selector(selector: Mapping[str, str]) -> Iterator[Problem]:
    if not selector:
        yield _warning("spec.selector", "is empty, so it applies to every gateway pod")
    for key, value in selector.items():
        if not key:
            yield _error("spec.selector", "has an empty label name")
        if "*" in key or "*" in value:
            yield _warning(
                f"spec.selector.{key}", "a label has no wildcards, so this matches no pod"
            )


def _servers(servers: list[Server]) -> Iterator[Problem]:
    if not servers:
        yield _error("spec.servers", "a Gateway must have at least one server")
    names: dict[str, int] = {}
    for index, server in enumerate(servers):
        path = f"spec.servers[{index}]"
        first = names.setdefault(server.port.name, index)
        if first != index:
            yield _error(
                f"{path}.port.name", f"{server.port.name!r} is also that of spec.servers[{first}]"
            )
        yield from _port(f"{path}.port", server)
        yield from _bind(f"{path}.bind", server)
        if not server.hosts:
            yield _error(f"{path}.hosts", "must name at least one host, or *")
        for at, host in enumerate(server.hosts):
            yield from _host(f"{path}.hosts[{at}]", host)
        if server.defaultEndpoint is not None:
            yield _warning(f"{path}.defaultEndpoint", "is not implemented by Istio")
        yield from _pairing(f"{path}.tls", server)


def _port(path: str, server: Server) -> Iterator[Problem]:
    port = server.port
    if not port.name:
        yield _error(f"{path}.name", "is empty")
    if protocol_of(port) not in HTTP_FAMILY | TLS_FAMILY | TCP_FAMILY:
        known = ", ".join(sorted(HTTP_FAMILY | TLS_FAMILY | TCP_FAMILY))
        yield _error(f"{path}.protocol", f"{port.protocol!r} is none of {known}")
    elif protocol_of(port) in ("UDP", "HTTP_PROXY"):
        yield _warning(f"{path}.protocol", f"a gateway does not serve {protocol_of(port)}")
    unix = (server.bind or "").startswith("unix://")
    if not unix and not 1 <= port.number <= 65535:
        yield _error(f"{path}.number", "must be within 1 to 65535")
    if unix and port.number != 0:
        yield _error(f"{path}.number", "must be 0 with a unix socket")
    if port.targetPort:
        yield _error(f"{path}.targetPort", "is deprecated and refused by Istio")


def _bind(path: str, server: Server) -> Iterator[Problem]:
    bind = server.bind
    if not bind:
        return
    if bind.startswith("unix://"):
        socket = bind.removeprefix("unix://")
        abstract = socket.startswith("@") and len(socket) > 1
        if not abstract and (not socket.startswith("/") or socket.endswith("/")):
            yield _error(path, "must be an absolute path of a socket")
    elif not _is_address(bind):
        yield _error(path, "must be an IP address or unix:///path")


def _host(path: str, host: str) -> Iterator[Problem]:
    if not host:
        yield _error(path, "is empty")
        return
    if "/" in host:
        namespace, _, host = host.partition("/")
        if not namespace or not host:
            yield _error(path, "needs something on both sides of the /")
            return
        if namespace not in ("*", ".") and not _is_label(namespace):
            yield _error(path, f"{namespace!r} is no namespace, * or .")
    if host == "*" or _is_address(host):
        return
    if problem := _dns_problem(host):
        yield _error(path, problem)


def _dns_problem(host: str) -> str:
    """Say what is wrong with a host name that may begin with a wildcard; empty if nothing."""
    if len(host) > 255:
        return "is longer than 255 characters"
    if "*" in host and not host.startswith("*."):
        return "a wildcard may only be the whole first label, as in *.example.com"
    labels = host.removesuffix(".").split(".")
    if len(labels) == 1:
        return "a short name is not possible; use one with a dot, or *"
    for index, label in enumerate(labels):
        if not _is_label(label) and not (index == 0 and label == "*"):
            return f"{label!r} is no DNS label"
    return "the top-level domain is a number" if labels[-1].isdigit() else ""


def _pairing(path: str, server: Server) -> Iterator[Problem]:
    """Check that protocol and TLS settings belong together."""
    protocol, tls = protocol_of(server.port), server.tls
    if tls is None:
        if protocol in TLS_FAMILY:
            yield _error(path, f"is required for {protocol}")
        return
    if tls.httpsRedirect and protocol not in HTTP_FAMILY:
        yield _warning(f"{path}.httpsRedirect", f"does nothing on a server of {protocol}")
    if protocol in TLS_FAMILY:
        yield from _tls(path, tls)
    elif protocol in HTTP_FAMILY:
        if tls.mode not in (None, "PASSTHROUGH") or _set(tls, _FILE_FIELDS):
            yield _error(path, f"a server of {protocol} may only set httpsRedirect here")
    elif protocol in TCP_FAMILY:
        yield _error(path, f"is not possible for {protocol}; use the protocol TLS")


def _tls(path: str, tls: ServerTLSSettings) -> Iterator[Problem]:
    yield from _versions(path, tls)
    yield from _ciphers(f"{path}.cipherSuites", tls.cipherSuites or [])
    given = _set(tls, _CERTIFICATE_FIELDS)
    if tls.mode == "ISTIO_MUTUAL":
        for field in given:
            yield _error(f"{path}.{field}", "cannot be set with ISTIO_MUTUAL")
        return
    passthrough = tls.mode in (None, "PASSTHROUGH", "AUTO_PASSTHROUGH")
    if passthrough and given:
        shown = tls.mode or "no mode (it defaults to PASSTHROUGH)"
        yield _warning(
            f"{path}.mode", f"{', '.join(given)} will be ignored with {shown}; set SIMPLE"
        )
    yield from _one_source(path, tls)
    if passthrough:
        if tls.caCrl and tls.credentialName:
            yield _error(f"{path}.caCrl", "cannot be set together with credentialName")
        return
    if not (tls.credentialName or tls.credentialNames):
        yield from _files(path, tls)


def _one_source(path: str, tls: ServerTLSSettings) -> Iterator[Problem]:
    sources = _set(tls, ("credentialName", "credentialNames", "tlsCertificates"))
    if tls.serverCertificate or tls.privateKey:
        sources.append("serverCertificate and privateKey")
    if len(sources) > 1:
        yield _error(path, f"only one of these can be set: {', '.join(sources)}")
    if tls.credentialNames is not None and not 1 <= len(tls.credentialNames) <= 2:
        yield _error(f"{path}.credentialNames", "must be one or two")


def _files(path: str, tls: ServerTLSSettings) -> Iterator[Problem]:
    """Check certificates that are files in the pod."""
    if tls.mode in ("MUTUAL", "OPTIONAL_MUTUAL") and not tls.caCertificates:
        yield _error(f"{path}.caCertificates", f"is required for {tls.mode}")
    if tls.caCrl and tls.mode == "SIMPLE":
        yield _error(f"{path}.caCrl", "cannot be set with SIMPLE")
    certificates = tls.tlsCertificates or []
    if len(certificates) > 2:
        yield _warning(f"{path}.tlsCertificates", "only the first two are used")
    pairs = [
        (f"{path}.tlsCertificates[{index}]", item.serverCertificate, item.privateKey)
        for index, item in enumerate(certificates)
    ]
    for where, certificate, key in pairs or [(path, tls.serverCertificate, tls.privateKey)]:
        if not certificate:
            yield _error(f"{where}.serverCertificate", "is missing; or set credentialName")
        if not key:
            yield _error(f"{where}.privateKey", "is missing; or set credentialName")


def _versions(path: str, tls: ServerTLSSettings) -> Iterator[Problem]:
    low, high = tls.minProtocolVersion, tls.maxProtocolVersion
    if low in ("TLSV1_0", "TLSV1_1") and not tls.cipherSuites:
        yield _warning(
            f"{path}.minProtocolVersion", f"{low} needs cipherSuites that it can be used with"
        )
    if low in _VERSIONS and high in _VERSIONS and _VERSIONS.index(low) > _VERSIONS.index(high):
        yield _warning(f"{path}.maxProtocolVersion", f"is below the lowest version, {low}")


def _ciphers(path: str, ciphers: list[str]) -> Iterator[Problem]:
    seen = set()
    for index, cipher in enumerate(ciphers):
        operator = not cipher or cipher == "ALL" or not cipher[0].isalnum()
        if not operator and cipher not in _CIPHERS:
            yield _warning(f"{path}[{index}]", f"{cipher!r} is not known and will be ignored")
        if cipher in seen:
            yield _warning(f"{path}[{index}]", f"{cipher!r} is named twice")
        seen.add(cipher)


def _set(tls: ServerTLSSettings, fields: tuple[str, ...]) -> list[str]:
    return [field for field in fields if getattr(tls, field)]


def _is_label(text: str) -> bool:
    return len(text) <= 63 and _LABEL.fullmatch(text) is not None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
