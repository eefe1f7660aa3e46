"""The shipped manifests on a real API server: accepted as they are, and their roles no wider."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.clusters import Cluster, ClusterSource
from cloudpilot.kube import access
from cloudpilot.settings import KubernetesSettings
from tests.controlplane.api import Api
from tests.controlplane.cluster import ControlPlane
from tests.deploy.manifests import (
    NAMESPACE,
    READER,
    SERVICE_ACCOUNT,
    WRITER,
    Object,
    grants,
    objects,
    one,
)

ISTIO = "networking.istio.io"
FOR_EVERYBODY = {"authentication.k8s.io", "authorization.k8s.io", "certificates.k8s.io"}
"""Groups of which the API server itself gives every ServiceAccount something: who am I, what may I
do, which certificate authorities are trusted."""

REFUSED = [
    ("get", "", "secrets"),
    ("list", "", "secrets"),
    ("watch", "", "secrets"),
    ("create", "", "pods/exec"),
    ("get", "", "pods/exec"),
    ("create", "", "pods/portforward"),
    ("create", "", "serviceaccounts/token"),
    ("get", "", "configmaps"),
    ("create", "", "pods"),
    ("delete", "", "pods"),
    ("patch", "apps", "deployments"),
    ("get", "", "nodes/proxy"),
    ("delete", "", "namespaces"),
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings"),
    ("escalate", "rbac.authorization.k8s.io", "clusterroles"),
    ("impersonate", "", "users"),
]
GATEWAY_WRITES = [(verb, ISTIO, "gateways") for verb in ("create", "patch", "delete")]


@pytest.fixture(scope="module")
async def installed(control_plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    """The cluster with what the reader's manifest says of identity and rights."""
    kinds = ("Namespace", "ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    await control_plane.admin.apply(*(one(kind) for kind in kinds))
    yield control_plane
    for kind in ("ClusterRoleBinding", "ClusterRole"):
        await control_plane.admin.delete(await control_plane.admin.path(one(kind)))
    await control_plane.delete_namespace(NAMESPACE)


@pytest.fixture
async def kubeconfig(installed: ControlPlane) -> Path:
    """A kubeconfig with a token of the shipped ServiceAccount, as the Pod would have."""
    return await installed.service_account_kubeconfig(NAMESPACE, SERVICE_ACCOUNT)


@pytest.fixture
def identity(kubeconfig: Path, tmp_path: Path) -> tuple[str, Path]:
    """The token of that kubeconfig, and the file of its certificate authority."""
    content = yaml.safe_load(kubeconfig.read_text())
    authority = tmp_path / "ca.crt"
    data = content["clusters"][0]["cluster"]["certificate-authority-data"]
    authority.write_bytes(base64.b64decode(data))
    return content["users"][0]["user"]["token"], authority


@pytest.fixture
async def pod(installed: ControlPlane, identity: tuple[str, Path]) -> AsyncIterator[Api]:
    """A client that is nothing but the shipped ServiceAccount."""
    async with Api(installed.url, *identity) as client:
        yield client


async def test_every_shipped_object_is_accepted_strictly(installed: ControlPlane, namespace: str):
    for item in [*objects(READER), *(_in(namespace, item) for item in objects(WRITER))]:
        accepted = await installed.admin.request(
            "PATCH",
            await installed.admin.path(item),
            json=item,
            params={
                "fieldManager": "manifest-check",
                "fieldValidation": "Strict",
                "force": "true",
                "dryRun": "All",
            },
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        # Pod Security and unknown fields speak here.
        assert "warning" not in accepted.headers, (item["kind"], accepted.headers["warning"])


async def test_rights_of_the_service_account_are_the_manifest_and_nothing_else(pod: Api):
    review = await pod.create(_rules_review("default"))
    rules = review["status"]["resourceRules"]
    assert not review["status"]["incomplete"]
    given = {
        (group, resource, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if group not in FOR_EVERYBODY
    }
    assert given == set(grants(READER))


async def test_reads_of_the_manifest_are_allowed_everywhere(pod: Api):
    for group, resource, verb in grants(READER):
        assert await _may(pod, verb, group, resource), (verb, group, resource)


async def test_secrets_writes_and_exec_are_refused(pod: Api, namespace: str):
    for verb, group, resource in [*REFUSED, *GATEWAY_WRITES]:
        assert not await _may(pod, verb, group, resource), (verb, group, resource)
        assert not await _may(pod, verb, group, resource, namespace), (verb, group, resource)


async def test_writer_allows_gateways_of_its_namespace_only(
    installed: ControlPlane, pod: Api, namespace: str
):
    await installed.admin.apply(*(_in(namespace, item) for item in objects(WRITER)))

    async def allowed() -> bool:
        answers = [await _may(pod, *right, namespace) for right in GATEWAY_WRITES]
        return all(answers)

    await installed.eventually(allowed, "the writer's role in force")
    for right in GATEWAY_WRITES:
        assert not await _may(pod, *right), right
        assert not await _may(pod, *right, NAMESPACE), right
    assert not await _may(pod, "update", ISTIO, "gateways", namespace)
    assert not await _may(pod, "deletecollection", ISTIO, "gateways", namespace)
    assert not await _may(pod, "create", ISTIO, "virtualservices", namespace)


async def test_mirror_is_live_with_the_shipped_role_but_for_secrets(
    installed: ControlPlane, kubeconfig: Path
):
    settings = KubernetesSettings(kubeconfig=kubeconfig, in_cluster=False)
    cluster = Cluster("shipped", await access.instant(settings), ClusterSource.INSTANT, settings)

    async def watching() -> bool:
        statuses = {kind: state.status for kind, state in cluster.cache.states().items()}
        refused = statuses.pop("Secret") is SyncStatus.FORBIDDEN
        return refused and set(statuses.values()) == {SyncStatus.LIVE}

    cluster.start()
    try:
        await installed.eventually(watching, "every kind watched, Secrets refused")
        assert "secrets" in cluster.cache.states()["Secret"].reason
        assert await cluster.uid()
    finally:
        await cluster.close()


def _in(namespace: str, item: Object) -> Object:
    """As `kubectl apply --namespace` sends it."""
    return {**item, "metadata": {**item["metadata"], "namespace": namespace}}


def _rules_review(namespace: str) -> Object:
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "metadata": {},
        "spec": {"namespace": namespace},
    }


async def _may(client: Api, verb: str, group: str, resource: str, namespace: str = "") -> bool:
    """What the API server says to this user; no namespace means all of them."""
    name, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": name, "subresource": subresource}
    review = await client.create(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "metadata": {},
            "spec": {"resourceAttributes": {**attributes, "namespace": namespace}},
        }
    )
    return review["status"]["allowed"]
