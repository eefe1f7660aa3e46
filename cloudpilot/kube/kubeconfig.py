"""A strict reader of kubeconfigs that strangers hand in: it runs nothing and opens no file.

Allowed are `server`, `certificate-authority-data`, `tls-server-name`, `token`,
`client-certificate-data` and `client-key-data`; whatever else could make a client run a program,
read a file, use a proxy or skip TLS is refused with the field named. The user's own file in
instant mode is read by the official loader instead (`access.instant`).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from cloudpilot.errors import InvalidArguments
from cloudpilot.kube.address import check_server

_MAX_BYTES = 256 * 1024
_MAX_DEPTH = 32
_CLUSTER_FIELDS = {"server", "certificate-authority-data", "tls-server-name", "extensions"}
_USER_FIELDS = {"token", "client-certificate-data", "client-key-data", "extensions"}
_WHY = {
    "exec": "would run a program on the server",
    "auth-provider": "would run a program on the server",
    "tokenFile": "would read a file of the server",
    "certificate-authority": "would read a file of the server; use certificate-authority-data",
    "client-certificate": "would read a file of the server; use client-certificate-data",
    "client-key": "would read a file of the server; use client-key-data",
    "proxy-url": "would send the credential through a proxy",
    "insecure-skip-tls-verify": "would send the credential to anybody; use the CA's data",
    "username": "passwords are not supported; use a token",
    "password": "passwords are not supported; use a token",
    "as": "impersonation is not supported",
    "as-groups": "impersonation is not supported",
    "as-uid": "impersonation is not supported",
    "as-user-extra": "impersonation is not supported",
}


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """How to reach a registered cluster; its repr shows nothing secret."""

    server: str
    token: str | None = None
    ca_data: str | None = None
    """PEM."""
    client_cert: str | None = None
    client_key: str | None = None
    tls_server_name: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(server={self.server!r})"


def parse_kubeconfig(text: str, *, context: str | None = None, allow_loopback: bool) -> Credentials:
    """Read one context of a kubeconfig.

    Raises:
        InvalidArguments: naming the field that is wrong or not allowed.
    """
    config = _load(text)
    wanted = context or config.get("current-context")
    contexts = _named(config, "contexts", "context")
    if not isinstance(wanted, str) or not wanted:
        if len(contexts) != 1:
            raise _wrong("current-context", "is not set; name the context to use")
        wanted = next(iter(contexts))
    if wanted not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        raise _wrong("current-context", f"there is no context {wanted!r}; there are: {known}")
    chosen = contexts[wanted]
    cluster = _pick(config, "clusters", "cluster", chosen.get("cluster"))
    user = _pick(config, "users", "user", chosen.get("user"))
    _refuse_unknown("cluster", cluster, _CLUSTER_FIELDS)
    _refuse_unknown("user", user, _USER_FIELDS)
    return checked_credentials(
        server=_string(cluster, "server") or "",
        token=_string(user, "token"),
        ca_data=_pem(cluster, "certificate-authority-data"),
        client_cert=_pem(user, "client-certificate-data"),
        client_key=_pem(user, "client-key-data"),
        tls_server_name=_string(cluster, "tls-server-name"),
        allow_loopback=allow_loopback,
    )


def checked_credentials(
    *,
    server: str,
    token: str | None,
    ca_data: str | None,
    client_cert: str | None = None,
    client_key: str | None = None,
    tls_server_name: str | None = None,
    allow_loopback: bool,
) -> Credentials:
    """Check an address with its credential, PEM texts already decoded.

    Raises:
        InvalidArguments: naming the field.
    """
    try:
        server = check_server(server, allow_loopback=allow_loopback)
    except ValueError as error:
        raise _wrong("server", str(error)) from None
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token):
        raise _wrong("token", "must be one line of printable ASCII without spaces")
    if ca_data is not None:
        _certificates("certificate-authority-data", ca_data)
    if (client_cert is None) != (client_key is None):
        raise _wrong("client-key-data", "a client certificate and its key belong together")
    if client_cert is not None and client_key is not None:
        _check_pair(client_cert, client_key)
    if not token and client_cert is None:
        raise _wrong("token", "is needed, or a client certificate with its key")
    if (
        tls_server_name is not None
        and not tls_server_name.replace("-", "").replace(".", "").isalnum()
    ):
        raise _wrong("tls-server-name", "is not a host name")
    return Credentials(server, token or None, ca_data, client_cert, client_key, tls_server_name)


class _Loader(yaml.SafeLoader):
    """Plain YAML only: no aliases (they can grow without bound), no great depth."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not allowed")
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise yaml.YAMLError("it is nested too deeply")
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _load(text: str) -> dict[str, Any]:
    if len(text.encode("utf-8", "replace")) > _MAX_BYTES:
        raise _wrong("kubeconfig", f"is larger than {_MAX_BYTES} bytes")
    try:
        loaded = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "not YAML"
        raise _wrong("kubeconfig", f"cannot be read: {reason[:200]}") from None
    if not isinstance(loaded, dict):
        raise _wrong("kubeconfig", "must be one YAML mapping")
    return loaded


def _named(config: dict[str, Any], field: str, inner: str) -> dict[str, dict[str, Any]]:
    entries = config.get(field) or []
    if not isinstance(entries, list):
        raise _wrong(field, "must be a list")
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise _wrong(field, "each entry needs a name")
        value = entry.get(inner)
        if not isinstance(value, dict):
            raise _wrong(f"{field}[{entry['name']}].{inner}", "must be a mapping")
        found.setdefault(entry["name"], value)
    return found


def _pick(config: dict[str, Any], field: str, inner: str, name: Any) -> dict[str, Any]:
    entries = _named(config, field, inner)
    if not isinstance(name, str) or name not in entries:
        raise _wrong(f"contexts.{inner}", f"there is no {inner} {name!r} in {field}")
    return entries[name]


def _refuse_unknown(section: str, values: dict[str, Any], allowed: set[str]) -> None:
    for name in values:
        if name not in allowed:
            raise _wrong(f"{section}.{name}", _WHY.get(str(name), "is not a known field"))


def _string(values: dict[str, Any], name: str) -> str | None:
    value = values.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(name, "must be text")
    return value


def _pem(values: dict[str, Any], name: str) -> str | None:
    value = _string(values, name)
    if value is None:
        return None
    try:
        text = base64.b64decode("".join(value.split()), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise _wrong(name, "is not base64") from None
    if "-----BEGIN" not in text:
        raise _wrong(name, "is not PEM")
    return text


def _certificates(field: str, pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise _wrong(field, "holds no readable certificate") from None


def _check_pair(cert: str, key: str) -> None:
    certificate = _certificates("client-certificate-data", cert)[0]
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError):
        raise _wrong("client-key-data", "is not a readable, unencrypted key") from None
    forms = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if private.public_key().public_bytes(*forms) != certificate.public_key().public_bytes(*forms):
        raise _wrong("client-key-data", "does not belong to the client certificate")


def _wrong(field: str, problem: str) -> InvalidArguments:
    return InvalidArguments.field(field, problem)
