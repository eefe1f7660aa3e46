"""The transport refuses Secrets and unlisted writes in every spelling, before anything is sent."""

from __future__ import annotations

import pytest

from cloudpilot.errors import Forbidden
from cloudpilot.kube.access import direct
from cloudpilot.kube.client import JSON, METADATA, METADATA_LIST, KubeClient
from cloudpilot.kube.guard import check_read, check_write, target_of
from simulator import SimulatedCluster

SECRETS = [
    "/api/v1/secrets",
    "/api/v1/secrets/db",
    "/api/v1/namespaces/shop/secrets",
    "/api/v1/namespaces/shop/secrets/db",
    "/api/v2/namespaces/shop/secrets/db",
    "/api/v1beta1/secrets",
    "/api/v1/watch/secrets",
    "/api/v1/watch/namespaces/shop/secrets/db",
    "/api/v1/namespaces/secrets/secrets/db",
    "/api/v1/Secrets",
    "/api/v1/SECRETS/db",
    "/api/v1/secret%73",
    "/api/v1/%73%65%63%72%65%74%73",
    "/api/v1/namespaces/shop%2Fsecrets%2Fdb",
    "/api%2Fv1%2Fsecrets",
    "//api/v1/secrets",
    "/api//v1///secrets",
    "/api/v1/secrets/",
    "/api/v1/secrets?limit=1",
    "/api/v1/secrets#",
    "/api/v1/secrets#/pods",
    "/api/v1/se\tcrets",
    "/api/v1/sec\nrets",
    "/api/v1/secrets\r",
    "/apis/example.com/v1/secrets",
    "/apis/example.com/v1/namespaces/shop/secrets/db",
    "/api/v1/pods/../secrets",
    "/api/v1/pods/%2e%2e/secrets",
    "/api/v1/./secrets",
    "api/v1/secrets",
]

OTHER_FORMS = [
    JSON,
    "",
    "*/*",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    f"{METADATA_LIST},{JSON}",
    f"{METADATA},{JSON};q=0.1",
    f"{JSON},{METADATA_LIST}",
    f"{METADATA_LIST};as=Table",
    f"{METADATA_LIST} ",
    METADATA_LIST.upper(),
    "application/json;as=PartialObjectMetadataLists;g=meta.k8s.io;v=v1",
    "application/json;as=PartialObjectMetadata",
]

TUNNELS = [
    "/api/v1/namespaces/default/services/https:kubernetes:443/proxy/api/v1/secrets",
    "/api/v1/nodes/node-1/proxy/configz",
    "/api/v1/namespaces/shop/pods/web/proxy",
    "/api/v1/namespaces/shop/pods/web/exec",
    "/api/v1/namespaces/shop/pods/web/attach",
    "/api/v1/namespaces/shop/pods/web/portforward",
]

READABLE = [
    "/api/v1/namespaces/secrets",
    "/api/v1/namespaces/secrets/pods",
    "/api/v1/namespaces/shop/pods/secrets",
    "/api/v1/namespaces/shop/pods/web/log",
    "/api/v1/namespaces/watch/pods",
    "/api/v1",
    "/apis",
    "/version",
    "/apis/networking.istio.io/v1/gateways",
]

ISTIO = "/apis/networking.istio.io/v1"
UNWRITABLE = [
    ("POST", "/api/v1/namespaces/shop/secrets"),
    ("DELETE", "/api/v1/namespaces/shop/pods/web"),
    ("PATCH", "/apis/apps/v1/namespaces/shop/deployments/web"),
    ("PUT", "/apis/apps/v1/namespaces/shop/deployments/web/scale"),
    ("POST", "/api/v1/namespaces/shop/pods/web/eviction"),
    ("POST", "/api/v1/namespaces/shop/pods/web/exec"),
    ("POST", "/api/v1/namespaces/shop/serviceaccounts/default/token"),
    ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
    ("PATCH", "/apis/gateway.networking.k8s.io/v1/namespaces/shop/gateways/web"),
    ("POST", f"{ISTIO}/namespaces/shop/virtualservices"),
    ("PATCH", f"{ISTIO}/namespaces/shop/gateways/web/status"),
    ("DELETE", f"{ISTIO}/namespaces/shop/gateways"),
    ("DELETE", f"{ISTIO}/gateways"),
    ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
    ("POST", "/api"),
    ("get", "/api/v1/secrets"),
    ("HEAD", "/api/v1/secrets"),
    ("OPTIONS", "/"),
]


@pytest.mark.parametrize("path", SECRETS + TUNNELS)
def test_reading_is_refused(path: str) -> None:
    with pytest.raises(Forbidden):
        check_read(path, JSON)


@pytest.mark.parametrize("path", READABLE)
def test_other_reads_pass(path: str) -> None:
    check_read(path, JSON)


@pytest.mark.parametrize("accept", [METADATA, METADATA_LIST])
@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/secrets",
        "/api/v1/namespaces/shop/secrets/db",
        "/api/v1/secrets?includeObject=Object",
    ],
)
def test_metadata_of_secrets_may_be_read(path: str, accept: str) -> None:
    check_read(path, accept)


@pytest.mark.parametrize("accept", OTHER_FORMS)
def test_secrets_are_refused_in_every_other_form(accept: str) -> None:
    for path in SECRETS:
        with pytest.raises(Forbidden):
            check_read(path, accept)


@pytest.mark.parametrize(("method", "path"), UNWRITABLE)
def test_writing_is_refused(method: str, path: str) -> None:
    with pytest.raises(Forbidden):
        check_write(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{ISTIO}/namespaces/shop/gateways"),
        ("PATCH", f"{ISTIO}/namespaces/shop/gateways/web"),
        ("DELETE", f"{ISTIO}/namespaces/shop/gateways/web"),
        ("PATCH", "/apis/networking.istio.io/v1beta1/namespaces/gateways/gateways/web"),
        ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
    ],
)
def test_what_is_writable_passes(method: str, path: str) -> None:
    check_write(method, path)


def test_target_of_non_resource_paths_is_none() -> None:
    assert target_of("/version") is None
    assert target_of("/apis/apps/v1") is None


async def test_refused_requests_never_leave_the_process(simulated: SimulatedCluster) -> None:
    access = direct(simulated.url, simulated.token)
    client = KubeClient(access, connect_seconds=1, read_seconds=2)
    try:
        for path in SECRETS + TUNNELS:
            with pytest.raises(Forbidden):
                await client.request("GET", path)
            with pytest.raises(Forbidden):
                async for _ in client.watch(path, {}):
                    pass
            for accept in OTHER_FORMS:
                with pytest.raises(Forbidden):
                    await client.request(
                        "GET", path, query={"includeObject": "Object"}, accept=accept
                    )
        for method, path in UNWRITABLE:
            with pytest.raises(Forbidden):
                await client.request(method, path, body={})
    finally:
        await client.close()
    assert simulated.requests == []
