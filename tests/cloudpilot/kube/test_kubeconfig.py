"""The strict reader: it runs nothing, opens nothing, and names the field it refuses."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from cloudpilot.errors import InvalidArguments
from cloudpilot.kube.kubeconfig import Credentials, checked_credentials, parse_kubeconfig
from tests.fakes.tls_proxy import Authority

AUTHORITY = Authority()
CERTIFICATE, KEY = AUTHORITY.issue("someone")
_WATCHED: list[list[str]] = []


def _audit(event: str, _args: tuple[Any, ...]) -> None:
    if _WATCHED and event in (
        "open", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen",
        "socket.connect", "socket.getaddrinfo", "ctypes.dlopen",
    ):  # fmt: skip
        _WATCHED[-1].append(event)


sys.addaudithook(_audit)


@contextmanager
def touching_nothing() -> Iterator[None]:
    """Fail if a file is opened, a process started or a connection made inside the block."""
    _WATCHED.append([])
    try:
        yield
    finally:
        seen = _WATCHED.pop()
    assert seen == []


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def kubeconfig(cluster: Any = None, user: Any = None, **top: Any) -> str:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "prod",
        "clusters": [{"name": "c", "cluster": {"server": "https://example.com"} | (cluster or {})}],
        "users": [{"name": "u", "user": {"token": "a-token"} if user is None else user}],
        "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
    }
    return yaml.safe_dump(config | top)


def parse(text: str, context: str | None = None) -> Credentials:
    with touching_nothing():
        return parse_kubeconfig(text, context=context, allow_loopback=False)


def refused(text: str, field: str, context: str | None = None) -> InvalidArguments:
    with pytest.raises(InvalidArguments) as raised:
        parse(text, context)
    assert [item["field"] for item in raised.value.details["fields"]] == [field]
    return raised.value


def test_token_and_authority_are_read() -> None:
    text = kubeconfig({"certificate-authority-data": b64(AUTHORITY.pem), "tls-server-name": "k8s"})
    assert parse(text) == Credentials(
        "https://example.com", "a-token", AUTHORITY.pem, tls_server_name="k8s"
    )


def test_client_certificate_is_read() -> None:
    user = {"client-certificate-data": b64(CERTIFICATE), "client-key-data": b64(KEY)}
    read = parse(kubeconfig(user=user))
    assert (read.client_cert, read.client_key, read.token) == (CERTIFICATE, KEY, None)


def test_context_is_chosen_by_name_or_is_the_only_one() -> None:
    contexts = [
        {"name": name, "context": {"cluster": "c", "user": "u"}} for name in ("prod", "test")
    ]
    assert parse(kubeconfig(contexts=contexts), "test").server == "https://example.com"
    assert parse(kubeconfig(**{"current-context": ""})).server == "https://example.com"
    refused(kubeconfig(contexts=contexts, **{"current-context": ""}), "current-context")


@pytest.mark.parametrize(
    "user",
    [
        {"exec": {"command": "touch", "args": ["/tmp/owned"], "apiVersion": "v1"}},
        {"token": "x", "exec": {"command": "true"}},
        {"auth-provider": {"name": "gcp", "config": {"cmd-path": "/bin/sh"}}},
        {"auth-provider": {"name": "oidc", "config": {}}},
        {"auth-provider": {"name": "azure"}},
        {"tokenFile": "/etc/passwd"},
        {"client-certificate": "/etc/passwd"},
        {"client-key": "/etc/passwd"},
        {"username": "a"},
        {"password": "b"},
        {"as": "system:admin", "token": "x"},
        {"as-groups": ["system:masters"], "token": "x"},
        {"something-new": 1, "token": "x"},
        {"Exec": {"command": "true"}, "token": "x"},
    ],
)
def test_user_field_that_runs_or_reads_is_refused(user: dict[str, Any]) -> None:
    wrong = next(name for name in user if name != "token")
    refused(kubeconfig(user=user), f"user.{wrong}")


@pytest.mark.parametrize(
    "cluster",
    [
        {"certificate-authority": "/etc/passwd"},
        {"proxy-url": "http://evil.example.com"},
        {"insecure-skip-tls-verify": True},
        {"insecure-skip-tls-verify": False},
        {"disable-compression": True},
    ],
)
def test_cluster_field_that_reads_or_leaks_is_refused(cluster: dict[str, Any]) -> None:
    refused(kubeconfig(cluster), f"cluster.{next(iter(cluster))}")


@pytest.mark.parametrize(
    "server",
    ["http://example.com", "file:///etc/passwd", "unix:/x", "https://u:p@example.com", "",
     "https://169.254.169.254", "https://[::ffff:a9fe:a9fe]", "https://0x7f.1",
     "https://2130706433", "https://metadata.google.internal", "https://localhost"],
)  # fmt: skip
def test_address_is_refused(server: str) -> None:
    refused(kubeconfig({"server": server}), "server")


@pytest.mark.parametrize(
    "token", ["a\r\nX-Evil: y", "a\nb", "a b", "a\x00b", "t\u00f6ken", "\u202etoken", "", None]
)
def test_token_that_is_no_single_plain_word_is_refused(token: str | None) -> None:
    refused(kubeconfig(user={"token": token}), "token")


@pytest.mark.parametrize("token", [True, 1.5, ["x"], {"a": 1}])
def test_token_that_is_no_text_is_refused(token: object) -> None:
    refused(kubeconfig(user={"token": token}), "token")


def test_unquoted_yaml_words_are_not_taken_for_text() -> None:
    refused(kubeconfig().replace("token: a-token", "token: no"), "token")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("client-key-data", b64("no pem")),
        ("client-key-data", "!!!"),
        ("client-certificate-data", b64(b"\xff\xfe")),
        ("client-certificate-data", 7),
        (
            "client-certificate-data",
            b64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ),
    ],
)
def test_client_certificate_that_is_none_is_refused(name: str, value: object) -> None:
    user = {"client-certificate-data": b64(CERTIFICATE), "client-key-data": b64(KEY)}
    refused(kubeconfig(user=user | {name: value}), name)


def test_key_of_another_certificate_is_refused() -> None:
    _, other = AUTHORITY.issue("someone else")
    user = {"client-certificate-data": b64(CERTIFICATE), "client-key-data": b64(other)}
    assert "belong" in refused(kubeconfig(user=user), "client-key-data").message


def test_key_without_certificate_is_refused() -> None:
    refused(kubeconfig(user={"client-key-data": b64(KEY)}), "client-key-data")


def test_encrypted_key_is_refused() -> None:
    key = rsa.generate_private_key(65537, 2048)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    user = {"client-certificate-data": b64(CERTIFICATE), "client-key-data": b64(sealed)}
    refused(kubeconfig(user=user), "client-key-data")


@pytest.mark.parametrize("data", ["###", b64("not pem"), b64(b"\0" * 100), "\u00e9"])
def test_authority_that_is_none_is_refused(data: str) -> None:
    refused(
        kubeconfig({"certificate-authority-data": data}),
        "certificate-authority-data",
    )


def test_authority_of_a_megabyte_is_refused() -> None:
    refused(kubeconfig({"certificate-authority-data": "A" * (1 << 20)}), "kubeconfig")


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text",
    [
        ALIASES,
        "&a [*a]",
        "[" * 2000,
        "[" * 2000 + "]" * 2000,
        "{a: " * 5000,
        "!!python/object:os.system [id]",
        "!!python/object/apply:os.system ['touch /tmp/owned']",
        "!!python/name:os.system",
        "a: !include /etc/passwd",
        "--- {a: 1}\n--- {b: 2}\n",
        "\tclusters: []",
        "clusters: [",
        "2024-99-99",
        "a: 2024-99-99T99:99:99Z",
        "? [a, b]\n: c",
        "? {a: b}\n: c",
        "\x00",
        "\ud800",
        "",
        "null",
        "[]",
        "text",
        "7",
    ],
)
def test_what_is_no_plain_mapping_is_refused(text: str) -> None:
    refused(text, "kubeconfig")


@pytest.mark.parametrize(
    ("top", "field"),
    [
        ({"contexts": None}, "current-context"),
        ({"contexts": "x"}, "contexts"),
        ({"contexts": ["x"]}, "contexts"),
        ({"contexts": [{"name": 1}]}, "contexts"),
        ({"contexts": [{"name": "prod"}]}, "contexts[prod].context"),
        ({"contexts": [{"name": "prod", "context": {"cluster": "c"}}]}, "contexts.user"),
        ({"contexts": [{"name": "prod", "context": {"user": "u"}}]}, "contexts.cluster"),
        ({"clusters": []}, "contexts.cluster"),
        ({"users": [{"name": "other", "user": {}}]}, "contexts.user"),
        ({"users": [{"name": "u", "user": None}]}, "users[u].user"),
        ({"current-context": "gone"}, "current-context"),
        ({"current-context": ["prod"]}, None),
    ],
)
def test_dangling_and_malformed_parts_are_refused(top: dict[str, Any], field: str | None) -> None:
    if field is None:
        assert parse(kubeconfig(**top)).server == "https://example.com"
    else:
        refused(kubeconfig(**top), field)


def test_first_of_two_entries_with_one_name_counts_as_in_kubectl() -> None:
    clusters = [
        {"name": "c", "cluster": {"server": "https://first.example.com"}},
        {"name": "c", "cluster": {"server": "https://second.example.com"}},
    ]
    assert parse(kubeconfig(clusters=clusters)).server == "https://first.example.com"


def test_nothing_secret_is_shown() -> None:
    text = kubeconfig(user={"token": "c4nary-token", "exec": {"command": "c4nary-command"}})
    error = refused(text, "user.exec")
    shown = parse(kubeconfig(user={"token": "c4nary-token"}))
    assert "c4nary" not in f"{error!r} {error.details} {error.hint} {shown!r}"


def test_server_and_token_alone_are_checked_the_same() -> None:
    with touching_nothing(), pytest.raises(InvalidArguments, match="server"):
        checked_credentials(
            server="http://example.com", token="x", ca_data=None, allow_loopback=True
        )
    with pytest.raises(InvalidArguments, match="token"):
        checked_credentials(
            server="https://example.com", token=None, ca_data=None, allow_loopback=True
        )
    with pytest.raises(InvalidArguments, match="tls-server-name"):
        checked_credentials(
            server="https://example.com",
            token="x",
            ca_data=None,
            tls_server_name="a b",
            allow_loopback=True,
        )
