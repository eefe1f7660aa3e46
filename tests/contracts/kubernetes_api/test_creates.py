"""create: admission, defaults, validation, malformed bodies."""

import re

import pytest

from tests.contracts.kubernetes_api.server import (
    GATEWAYS,
    Obj,
    Server,
    config_map,
    deployment,
    gateway,
    ok,
    pod,
    refused,
)


@pytest.fixture
def path(namespace: str) -> str:
    """The collection of ConfigMaps of the test's namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


@pytest.fixture
def deployments(namespace: str) -> str:
    """The collection of Deployments of the test's namespace."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"


async def test_create_fills_the_metadata(server: Server, path: str, namespace: str):
    response = await server.http.post(path, json=config_map("one", a="1"))
    assert response.status_code == 201
    metadata = response.json()["metadata"]
    assert metadata["namespace"] == namespace
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", metadata["uid"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", metadata["creationTimestamp"])
    assert int(metadata["resourceVersion"]) > 0
    assert "generation" not in metadata
    entry = metadata["managedFields"][0]
    assert entry["operation"] == "Update"
    assert entry["manager"] == "python-httpx"
    assert "f:a" in entry["fieldsV1"]["f:data"]


async def test_custom_objects_and_workloads_start_at_generation_one(
    server: Server, deployments: str, namespace: str
):
    created = await server.create(deployments, deployment("web"))
    assert created["metadata"]["generation"] == 1
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    assert (await server.create(path, gateway("one")))["metadata"]["generation"] == 1


async def test_generate_name_appends_five_characters(server: Server, path: str):
    obj = config_map("")
    obj["metadata"] = {"generateName": "job-"}
    created = await server.create(path, obj)
    assert re.fullmatch(r"job-[a-z0-9]{5}", created["metadata"]["name"])
    assert created["metadata"]["generateName"] == "job-"


async def test_name_that_is_taken_is_409(server: Server, path: str):
    await server.create(path, config_map("one"))
    body = refused(await server.http.post(path, json=config_map("one")), 409, "AlreadyExists")
    assert body["message"] == 'configmaps "one" already exists'
    assert body["details"] == {"name": "one", "kind": "configmaps"}


async def test_missing_namespace_is_404(server: Server):
    response = await server.http.post(
        "/api/v1/namespaces/no-such-namespace/configmaps", json=config_map("one")
    )
    body = refused(response, 404, "NotFound")
    assert body["message"] == 'namespaces "no-such-namespace" not found'
    assert body["details"] == {"name": "no-such-namespace", "kind": "namespaces"}


async def test_missing_namespace_is_404_for_custom_objects(server: Server):
    path = f"{GATEWAYS}/namespaces/no-such-namespace/gateways"
    body = refused(await server.http.post(path, json=gateway("one")), 404, "NotFound")
    assert body["message"] == 'namespaces "no-such-namespace" not found'


async def test_invalid_name_is_422_with_its_cause(server: Server, path: str):
    body = refused(await server.http.post(path, json=config_map("Bad_Name")), 422, "Invalid")
    rule = (
        'Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case '
        "alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
        "character (e.g. 'example.com', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )
    assert body["message"] == f'ConfigMap "Bad_Name" is invalid: metadata.name: {rule}'
    assert body["details"] == {
        "name": "Bad_Name",
        "kind": "ConfigMap",
        "causes": [{"reason": "FieldValueInvalid", "message": rule, "field": "metadata.name"}],
    }


async def test_service_ports_are_checked(server: Server, namespace: str):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 0}]},
    }
    response = await server.http.post(f"/api/v1/namespaces/{namespace}/services", json=service)
    body = refused(response, 422, "Invalid")
    text = "Invalid value: 0: must be between 1 and 65535, inclusive"
    assert body["message"] == (
        f'Service "web" is invalid: [spec.ports[0].port: {text}, spec.ports[0].targetPort: {text}]'
    )


async def test_no_name_at_all_is_422(server: Server, path: str):
    obj = config_map("")
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    assert body["message"] == (
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required'
    )


async def test_invalid_custom_name_names_the_group(server: Server, namespace: str):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    body = refused(await server.http.post(path, json=gateway("Bad_Name")), 422, "Invalid")
    title = 'Gateway.networking.istio.io "Bad_Name" is invalid: metadata.name: Invalid value: '
    assert body["message"].startswith(title)
    assert body["details"]["group"] == "networking.istio.io"


async def test_invalid_label_value_is_422(server: Server, path: str):
    obj = config_map("one", {"team": "not allowed!"})
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    cause = body["details"]["causes"][0]
    assert cause["field"] == "metadata.labels"
    assert cause["message"].startswith('Invalid value: "not allowed!": a valid label must be')


@pytest.mark.parametrize(
    ("metadata", "field", "message"),
    [
        ({"labels": {"bad key": "x"}}, "metadata.labels", 'Invalid value: "bad key": name part'),
        (
            {"annotations": {"bad key": "x"}},
            "metadata.annotations",
            'Invalid value: "bad key": name part',
        ),
        (
            {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x"}]},
            "metadata.ownerReferences[0].uid",
            "Required value: must not be empty",
        ),
        (
            {"finalizers": ["unqualified"]},
            "metadata.finalizers[0]",
            'Invalid value: "unqualified": name is neither a standard finalizer name nor is it',
        ),
    ],
)
async def test_invalid_metadata_is_422(
    server: Server, path: str, metadata: Obj, field: str, message: str
):
    obj = config_map("one")
    obj["metadata"] |= metadata
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    assert body["details"]["causes"][0]["field"] == field
    assert body["details"]["causes"][0]["message"].startswith(message)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (
            {"data": {"a": 1}},
            "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
        ),
        (
            {"data": []},
            "json: cannot unmarshal array into Go struct field ConfigMap.data of type "
            "map[string]string",
        ),
        (
            {"metadata": {"name": "one", "labels": {"a": 1}}},
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type "
            "string",
        ),
    ],
)
async def test_wrong_type_of_a_field_is_400(server: Server, path: str, change: Obj, error: str):
    response = await server.http.post(path, json=config_map("one") | change)
    body = refused(response, 400, "BadRequest")
    assert body["message"] == (
        f'ConfigMap in version "v1" cannot be handled as a ConfigMap: {error}'
    )


async def test_replicas_must_be_a_number(server: Server, deployments: str):
    obj = deployment("web")
    obj["spec"]["replicas"] = "3"
    body = refused(await server.http.post(deployments, json=obj), 400, "BadRequest")
    assert body["message"].endswith(
        "cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"
    )


async def test_container_names_must_differ(server: Server, deployments: str):
    obj = deployment("web")
    containers = obj["spec"]["template"]["spec"]["containers"]
    containers.append({"name": "web", "image": "example.com/other:1"})
    body = refused(await server.http.post(deployments, json=obj), 422, "Invalid")
    assert body["message"] == (
        'Deployment.apps "web" is invalid: spec.template.spec.containers[1].name: Duplicate value: '
        '"web"'
    )


async def test_unknown_strategy_is_422(server: Server, deployments: str):
    obj = deployment("web")
    obj["spec"]["strategy"] = {"type": "Sometimes"}
    body = refused(await server.http.post(deployments, json=obj), 422, "Invalid")
    assert 'supported values: "Recreate", "RollingUpdate"' in body["message"]


async def test_several_errors_are_all_named(server: Server, deployments: str):
    obj = deployment("web")
    obj["spec"]["template"]["spec"]["containers"] = []
    obj["spec"]["replicas"] = -1
    body = refused(await server.http.post(deployments, json=obj), 422, "Invalid")
    assert body["message"].startswith('Deployment.apps "web" is invalid: [spec.replicas: ')
    assert {cause["field"] for cause in body["details"]["causes"]} == {
        "spec.replicas",
        "spec.template.spec.containers",
    }


async def test_selector_that_misses_its_template_is_422(server: Server, deployments: str):
    obj = deployment("web")
    obj["spec"]["selector"]["matchLabels"] = {"app": "other"}
    body = refused(await server.http.post(deployments, json=obj), 422, "Invalid")
    assert body["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": 'Invalid value: {"app":"web"}: `selector` does not match template `labels`',
            "field": "spec.template.metadata.labels",
        }
    ]


async def test_namespace_of_body_and_path_must_agree(server: Server, path: str):
    obj = config_map("one")
    obj["metadata"]["namespace"] = "elsewhere"
    body = refused(await server.http.post(path, json=obj), 400, "BadRequest")
    assert body["message"] == (
        "the namespace of the provided object does not match the namespace sent on the request"
    )


async def test_body_of_another_version_is_400(server: Server, deployments: str):
    obj = deployment("web") | {"apiVersion": "apps/v1beta1"}
    response = await server.http.post(deployments, json=obj)
    refused(response, 400, "BadRequest")


async def test_body_of_another_kind_is_400(server: Server, path: str):
    obj = config_map("one") | {"kind": "Secret"}
    body = refused(await server.http.post(path, json=obj), 400, "BadRequest")
    assert body["message"].startswith('Secret in version "v1" cannot be handled as a ConfigMap: ')


async def test_broken_json_is_400(server: Server, path: str):
    headers = {"Content-Type": "application/json"}
    response = await server.http.post(path, content=b'{"kind": ', headers=headers)
    body = refused(response, 400, "BadRequest")
    assert body["message"].startswith(
        "the object provided is unrecognized (must be of type ConfigMap): "
    )


async def test_unknown_content_type_is_415(server: Server, path: str):
    headers = {"Content-Type": "text/plain"}
    response = await server.http.post(path, content=b"{}", headers=headers)
    body = refused(response, 415, "UnsupportedMediaType")
    assert body["message"].startswith(
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json, application/yaml"
    )


async def test_yaml_body_is_accepted(server: Server, path: str):
    headers = {"Content-Type": "application/yaml"}
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-yaml}\ndata: {a: '1'}\n"
    response = await server.http.post(path, content=text, headers=headers)
    assert ok(response)["data"] == {"a": "1"}


async def test_resource_version_at_create_is_refused(server: Server, path: str):
    obj = config_map("one")
    obj["metadata"]["resourceVersion"] = "7"
    body = refused(await server.http.post(path, json=obj), 500, "")
    assert body["message"] == "resourceVersion should not be set on objects to be created"


async def test_create_with_a_name_in_the_path_is_405(server: Server, path: str):
    response = await server.http.post(f"{path}/one", json=config_map("one"))
    body = refused(response, 405, "MethodNotAllowed")
    assert body["message"] == "the server does not allow this method on the requested resource"


async def test_pod_gets_its_defaults(server: Server, namespace: str):
    created = await server.create(f"/api/v1/namespaces/{namespace}/pods", pod("web"))
    assert created["status"]["phase"] == "Pending"
    assert created["status"]["qosClass"] == "BestEffort"
    spec = created["spec"]
    assert spec["restartPolicy"] == "Always"
    assert spec["serviceAccountName"] == "default"
    assert spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"


async def test_service_gets_an_address_and_target_ports(server: Server, namespace: str):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }
    created = await server.create(f"/api/v1/namespaces/{namespace}/services", service)
    spec = created["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert spec["ports"] == [{"protocol": "TCP", "port": 80, "targetPort": 80}]
