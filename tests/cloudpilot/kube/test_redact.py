"""Masking: labelled lines with secrets and ordinary lines an operator reads, and hostile ones."""

from __future__ import annotations

import base64
import random
import string
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from cloudpilot.kube.redact import MASK, mask_text, redact_model, redact_object

SEED = random.Random(20240229)
ALNUM = string.ascii_letters + string.digits


def word(length: int, alphabet: str = ALNUM) -> str:
    return "".join(SEED.choices(alphabet, k=length))


def jwt() -> str:
    parts = (f'{{"alg":"RS256","kid":"{word(12)}"}}', f'{{"iss":"k8s","sub":"{word(20)}"}}')
    head, body = (base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    return f"{head}.{body}.{word(86)}"


def pem() -> str:
    kind = SEED.choice(["", "RSA ", "EC ", "ENCRYPTED "])
    body = "\n".join(word(64) for _ in range(4))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"


SHAPED: list[Callable[[], str]] = [
    jwt,
    pem,
    lambda: "AKIA" + word(16, string.ascii_uppercase + string.digits),
    lambda: "ASIA" + word(16, string.ascii_uppercase + string.digits),
    lambda: "ghp_" + word(36),
    lambda: "gho_" + word(36),
    lambda: "github_pat_" + word(60),
    lambda: "xoxb-" + word(12, string.digits) + "-" + word(24),
    lambda: "sk-" + word(48),
    lambda: "sk-proj-" + word(60),
    lambda: "glpat-" + word(20),
    lambda: "cpt_" + word(32),
    lambda: "AIza" + word(35),
]
"""Secrets that are known by their own shape, wherever they stand."""

ANYWHERE = [
    "%s",
    "level=error msg=cannot log in with %s at registry",
    '{"level":"info","msg":"using %s"}',
    "curl -H 'X-Key: %s' https://api.example.com",
    "found (%s), giving up",
]

NAMED = [
    "password=%s",
    "PASSWORD: %s",
    "passwd = %s",
    "db.password=%s host=db",
    'DATABASE_PASSWORD="%s"',
    "--token=%s",
    "token: %s",
    '{"token": "%s"}',
    '"access_token":"%s","expires_in":3600',
    "API_KEY=%s",
    "apikey='%s'",
    "api-key: %s",
    "client_secret=%s&grant_type=client_credentials",
    "AWS_SECRET_ACCESS_KEY=%s",
    "aws_access_key = %s",
    "private_key: %s",
    "passphrase=%s",
    "MYSQL_PWD=%s",
    "Authorization: Bearer %s",
    '"authorization": "Bearer %s"',
    "Authorization: Basic %s",
    "Proxy-Authorization: Basic %s",
    "got bearer %s from header",
    "postgres://app:%s@db.shop:5432/orders",
    "amqp://user:%s@rabbit/",
    "https://:%s@example.com/x",
    "redis://:%s@cache:6379/0",
    "env LDAP_BIND_PASSWORD=%s set",
    "client-key-data: %s",
    "credential=%s",
]
"""Lines in which the name says that what follows is a secret, whatever its shape."""


def labelled() -> list[tuple[str, str]]:
    lines = []
    for make in SHAPED:
        for form in ANYWHERE:
            secret = make()
            lines.append((form % secret, secret))
    for form in NAMED:
        for length in (8, 13, 20, 40, 64):
            secret = word(length - 1) + SEED.choice(string.digits)
            lines.append((form % secret, secret))
    return lines


ORDINARY = """
secretName: web-tls
secret "db" not found
MountVolume.SetUp failed for volume "certs" : secret "web-tls" not found
token expired
the token expired at 2024-03-01T10:00:00Z
Bearer token expired, refreshing
basic configuration loaded
basic authentication is disabled
credentialName: shop-tls
imagePullSecrets: [registry]
tokenExpirationSeconds: 3600
automountServiceAccountToken: false
secretKeyRef: {name: db, key: url}
serviceAccountName: token-reader
prompt_tokens=1532 completion_tokens=88
max_tokens: 4096
secrets: 42
kubectl create secret generic db
password must be longer than 12 characters
password: required
invalid password for user "app"
tokenreviews.authentication.k8s.io is forbidden
User "viewer" cannot list resource "secrets" in API group "" at the cluster scope
passwordPolicy: strict
secretNamespace: shop
token-ttl=24h
sk-learn-serving-predictor-7d9f8c6b5d-x2x9z is running
GET https://api.example.com:6443/api/v1/pods 200
https://registry.example.com/v2/shop/cart/manifests/2.7.0
rpc error: code = NotFound desc = registry.example.com/shop/storefront:4.12.0-rc1: not found
Back-off restarting failed container=cart pod=cart-6c5d8f7b9-x2x9z_shop(8e5a6c1b)
OOMKilled: container cart exceeded its memory limit 192Mi
level=warn msg="garbage collection cannot keep up" pause=180ms cycle=7
level=info method=GET path=/products/42 status=200 duration=31ms
Readiness probe failed: Get "http://10.0.0.7:8080/health": dial tcp 10.0.0.7:8080: refused
0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available
node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }
configmap "basic-auth-settings" mounted
sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
Successfully pulled image "registry.example.com/cart:2.7.0" in 1.2s
key: value
sorting keys: name, age
primary key constraint "orders_pkey" violated
keyspace=orders partition=17
monkey=banana
the keyboard: qwerty
tokenizer=wordpiece loaded
compression: gzip
error: etcdserver: request timed out
leader election lost by worker-2_3f6c1a
TLS handshake error from 10.0.0.9:51234: EOF
certificate has expired or is not yet valid
x509: certificate signed by unknown authority
authorization: RBAC
RBAC: access denied
user=app db=orders host=db port=5432
secretsStore: csi
tokenAudience: https://kubernetes.default.svc
passwordFile: /run/secrets/db
caFile=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt
credentials rejected by the registry
pullSecretName=registry-example
volume projected: kube-api-access-x2x9z
annotation cert-manager.io/issuer-kind=ClusterIssuer
""".strip().splitlines()


def test_secrets_of_every_shape_are_masked() -> None:
    lines = labelled()
    assert len(lines) >= 200
    missed = [line for line, secret in lines if secret in mask_text(line)]
    assert len(missed) <= len(lines) // 100, missed


def test_ordinary_lines_stay_as_they_are() -> None:
    changed = [(line, mask_text(line)) for line in ORDINARY if mask_text(line) != line]
    assert len(changed) <= len(ORDINARY) * 0.02, changed


def test_what_surrounds_a_secret_stays_readable() -> None:
    assert mask_text("postgres://app:hunter22@db:5432/x") == f"postgres://app:{MASK}@db:5432/x"
    assert (
        mask_text('{"token": "abcdef123", "user": "me"}') == f'{{"token": "{MASK}", "user": "me"}}'
    )
    assert mask_text("user=me password=hunter22 retries=3") == f"user=me password={MASK} retries=3"


def test_masking_twice_changes_nothing_more() -> None:
    for line, _ in labelled():
        once = mask_text(line)
        assert mask_text(once) == once


def test_password_with_an_at_sign_is_masked_whole() -> None:
    assert "ss@" not in mask_text("postgres://app:p@ss@db:5432/orders")


@pytest.mark.parametrize(
    "filling",
    ["x", "token", "a.", "eyJ-", " ", "://", "http://a:", "basic ", "-----BEGIN ", "password:",
     "authorization: ", "sk-", "AIza-", "token=abcdef ", "\u0130", "-token", "ghp_a"],
)  # fmt: skip
def test_a_hostile_line_ends(filling: str) -> None:
    # A quadratic pattern would take minutes here, so the suite's own timeout is the judge.
    line = filling * ((1 << 17) // len(filling))
    for hostile in (f"x{line} token", f"token{line}"):
        assert mask_text(hostile)


def test_a_line_of_a_megabyte_ends() -> None:
    assert mask_text("x" * (1 << 20) + " token") == "x" * (1 << 20) + " token"


def test_object_loses_bookkeeping_and_secret_values() -> None:
    canary = "c4nary-" + word(20)
    obj: dict[str, Any] = {
        "metadata": {
            "name": "web",
            "managedFields": [{"manager": "kubectl"}],
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": f'{{"x": "{canary}"}}',
                "note": "stays",
            },
        },
        "spec": {
            "secretName": "web-tls",
            "credentialName": "shop-tls",
            "password": canary,
            "nested": [{"apiKey": canary}, f"token={canary}"],
            "env": [
                {"name": "DB_PASSWORD", "value": canary},
                {"name": "DB_HOST", "value": "db.shop"},
                {"name": "FROM", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
            ],
            "replicas": 3,
        },
    }
    redacted = redact_object(obj)
    assert canary not in str(redacted)
    assert redacted["metadata"] == {"name": "web", "annotations": {"note": "stays"}}
    spec = redacted["spec"]
    assert (spec["secretName"], spec["credentialName"]) == ("web-tls", "shop-tls")
    assert spec["env"][0] == {"name": "DB_PASSWORD", "value": MASK}
    assert spec["env"][1:] == obj["spec"]["env"][1:]
    assert spec["replicas"] == 3
    assert obj["metadata"]["managedFields"], "the original is untouched"


class Inner(BaseModel):
    text: str


class Outer(BaseModel):
    title: str
    inner: Inner
    items: list[Inner]
    labels: dict[str, str]
    count: int = 3


def test_model_is_masked_through_and_through() -> None:
    secret = "password=hunter22"
    outer = Outer(
        title=secret, inner=Inner(text=secret), items=[Inner(text=secret)], labels={"a": secret}
    )
    assert "hunter22" not in redact_model(outer).model_dump_json()
    assert "hunter22" in outer.model_dump_json()


def test_model_without_secrets_is_returned_itself() -> None:
    outer = Outer(title="a", inner=Inner(text="b"), items=[Inner(text="c")], labels={"d": "e"})
    assert redact_model(outer) is outer
