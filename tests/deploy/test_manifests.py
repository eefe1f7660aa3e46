"""The manifests give least privilege, and fit each other, the image and the program."""

import re
from pathlib import Path

import yaml

from cloudpilot.kube.kinds import KINDS
from cloudpilot.settings import load_settings
from integrations.terminal import arguments
from tests.contracts.tree import ROOT
from tests.deploy.manifests import (
    NAMESPACE,
    READER,
    SERVICE_ACCOUNT,
    WRITER,
    container,
    grants,
    objects,
    one,
)

READS = {"get", "list", "watch"}
WRITES = {"create", "patch", "delete"}
METRICS = {("metrics.k8s.io", "nodes"), ("metrics.k8s.io", "pods")}
NEVER = {"exec", "attach", "portforward", "proxy", "token", "secrets"}


def test_reader_gives_reads_and_nothing_else():
    assert {verb for _, _, verb in grants(READER)} <= READS
    roles = [item["kind"] for item in objects(READER) if "Role" in item["kind"]]
    assert roles == ["ClusterRole", "ClusterRoleBinding"]


def test_reader_gives_what_the_mirror_lists_and_watches_but_for_secrets():
    mirrored = {(kind.group, kind.plural) for kind in KINDS.values()} - {("", "secrets")}
    for verb in ("list", "watch"):
        given = {(group, resource) for group, resource, can in grants(READER) if can == verb}
        assert given == mirrored | (METRICS if verb == "list" else set())


def test_reader_gives_single_objects_only_where_one_is_read():
    given = {(group, resource) for group, resource, verb in grants(READER) if verb == "get"}
    assert given == {("", "namespaces"), ("", "pods/log"), ("networking.istio.io", "gateways")}


def test_writer_gives_the_writable_kinds_in_one_namespace():
    writable = {(kind.group, kind.plural) for kind in KINDS.values() if kind.writable}
    assert set(grants(WRITER)) == {(*kind, verb) for kind in writable for verb in WRITES}
    assert [item["kind"] for item in objects(WRITER)] == ["Role", "RoleBinding"]
    assert all("namespace" not in item["metadata"] for item in objects(WRITER))


def test_no_role_names_a_wildcard_or_what_is_never_given():
    for name in (READER, WRITER):
        for grant in grants(name):
            assert not NEVER & set(re.split("/", grant[1])), grant
            assert "*" not in "".join(grant), grant
            assert grant[2] not in {"escalate", "bind", "impersonate", "update", "deletecollection"}


def test_roles_are_bound_to_the_one_service_account():
    subject = {"kind": "ServiceAccount", "name": SERVICE_ACCOUNT, "namespace": NAMESPACE}
    for name in (READER, WRITER):
        [binding] = [item for item in objects(name) if item["kind"].endswith("Binding")]
        [role] = [item for item in objects(name) if item["kind"].endswith("Role")]
        assert binding["subjects"] == [subject]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert one("ServiceAccount")["metadata"]["name"] == SERVICE_ACCOUNT


def test_pod_can_do_nothing_it_need_not():
    pod = one("Deployment")["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert not any("hostPath" in volume for volume in pod["volumes"])
    enforced = one("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"]
    assert enforced == "restricted"


def test_pod_is_the_only_one_on_its_database_and_bounded():
    deployment = one("Deployment")["spec"]
    assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
    assert container()["resources"]["requests"]["memory"] == "256Mi"
    assert container()["resources"]["limits"] == {"memory": "512Mi"}


def test_every_part_finds_the_other():
    deployment, service = one("Deployment")["spec"], one("Service")["spec"]
    labels = deployment["template"]["metadata"]["labels"].items()
    for selector in (
        deployment["selector"]["matchLabels"],
        service["selector"],
        one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    [port] = container()["ports"]
    [offered] = service["ports"]
    assert offered["targetPort"] == port["name"]
    kinds = ("startup", "liveness", "readiness")
    probes = [container()[f"{kind}Probe"]["httpGet"] for kind in kinds]
    assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
    assert {probe["port"] for probe in probes} == {port["name"]}
    mounted = {mount["name"] for mount in container()["volumeMounts"]}
    assert mounted == {v["name"] for v in deployment["template"]["spec"]["volumes"]}


def test_arguments_and_configuration_are_accepted(tmp_path: Path):
    python, program, *given = container()["args"]
    assert (python, (ROOT / program).is_file()) == ("python", True)
    parsed = arguments.parse(given)
    config = tmp_path / "config.yaml"
    config.write_text(one("ConfigMap")["data"][parsed.config.name])
    variables = {item["name"]: "a-token-of-32-different-letters!" for item in container()["env"]}
    settings = load_settings(
        config=config, overrides=arguments.overrides(parsed), environ=variables
    )
    assert settings.mode == "instant"
    assert settings.server.port == container()["ports"][0]["containerPort"]
    assert settings.kubernetes.in_cluster is True
    assert f"{SERVICE_ACCOUNT}.{NAMESPACE}.svc" in settings.server.allowed_hosts


def test_configuration_is_mounted_where_the_arguments_look_for_it():
    config = arguments.parse(container()["args"][2:]).config
    [mount] = [mount for mount in container()["volumeMounts"] if mount["name"] == "config"]
    assert str(config.parent) == mount["mountPath"]


def test_token_comes_from_a_secret_that_is_not_shipped():
    [token] = [item for item in container()["env"] if item["name"] == "CLOUDPILOT_TOKEN"]
    reference = token["valueFrom"]["secretKeyRef"]
    assert "optional" not in reference
    assert "Secret" not in {item["kind"] for name in (READER, WRITER) for item in objects(name)}
    readme = (ROOT / "README.md").read_text()
    assert f"create secret generic {reference['name']}" in readme
    assert f"--from-literal={reference['key']}=" in readme


def test_every_object_of_the_namespace_says_so():
    cluster_wide = {"Namespace", "ClusterRole", "ClusterRoleBinding"}
    inside = [item for item in objects(READER) if item["kind"] not in cluster_wide]
    assert {item["metadata"].get("namespace") for item in inside} == {NAMESPACE}


def test_manifests_hold_no_yaml_that_surprises():
    for path in sorted((ROOT / "deploy").glob("*.yaml")):
        assert yaml.safe_dump(list(yaml.safe_load_all(path.read_text())))
        assert not re.search(r"[&*]\w+\s*$|!!", path.read_text(), flags=re.MULTILINE), path
