"""Istio Gateways: schema, unknown fields under each fieldValidation, and versions."""

import pytest

from tests.contracts.kubernetes_api.server import GATEWAYS, Obj, Server, gateway, ok, refused


@pytest.fixture
def path(namespace: str) -> str:
    """The collection of Gateways of the test's namespace."""
    return f"{GATEWAYS}/namespaces/{namespace}/gateways"


def with_unknown_fields() -> Obj:
    """A Gateway with one unknown field in its spec and one in a server."""
    obj = gateway("odd", colour="red")
    obj["spec"]["flavour"] = "sweet"
    return obj


async def test_unknown_fields_are_refused_under_strict(server: Server, path: str):
    response = await server.http.post(
        path, json=with_unknown_fields(), params={"fieldValidation": "Strict"}
    )
    body = refused(response, 400, "BadRequest")
    assert body["message"] == (
        'Gateway in version "v1" cannot be handled as a Gateway: strict decoding error: unknown '
        'field "spec.flavour", unknown field "spec.servers[0].colour"'
    )
    assert "details" not in body


async def test_unknown_fields_are_pruned_with_a_warning_by_default(server: Server, path: str):
    response = await server.http.post(path, json=with_unknown_fields())
    assert ok(response)["spec"] == gateway("odd")["spec"]
    assert response.headers.get_list("warning") == [
        '299 - "unknown field \\"spec.flavour\\""',
        '299 - "unknown field \\"spec.servers[0].colour\\""',
    ]


async def test_unknown_fields_are_pruned_silently_under_ignore(server: Server, path: str):
    response = await server.http.post(
        path, json=with_unknown_fields(), params={"fieldValidation": "Ignore"}
    )
    assert ok(response)["spec"] == gateway("odd")["spec"]
    assert "warning" not in response.headers


async def test_strict_update_refuses_unknown_fields(server: Server, path: str):
    created = await server.create(path, gateway("one"))
    created["spec"]["flavour"] = "sweet"
    response = await server.http.put(
        f"{path}/one", json=created, params={"fieldValidation": "Strict"}
    )
    body = refused(response, 400, "BadRequest")
    assert body["message"] == (
        'Gateway in version "v1" cannot be handled as a Gateway: strict decoding error: unknown '
        'field "spec.flavour"'
    )


@pytest.mark.parametrize("kind", ["merge", "json"])
async def test_strict_patch_refuses_unknown_fields(server: Server, path: str, kind: str):
    await server.create(path, gateway("one"))
    patch: object = {"spec": {"flavour": "sweet"}}
    if kind == "json":
        patch = [{"op": "add", "path": "/spec/flavour", "value": "sweet"}]
    response = await server.patch(f"{path}/one", kind, patch, fieldValidation="Strict")
    body = refused(response, 422, "Invalid")
    cause = body["details"]["causes"][0]
    assert cause["field"] == "patch"
    assert cause["message"].endswith('strict decoding error: unknown field "spec.flavour"')


async def test_apply_refuses_unknown_fields(server: Server, path: str):
    obj = gateway("one")
    obj["spec"]["flavour"] = "sweet"
    response = await server.patch(
        f"{path}/one", "apply", obj, fieldManager="alice", fieldValidation="Strict"
    )
    assert not response.is_success
    assert ".spec.flavour: field not declared in schema" in response.json()["message"]


async def test_unknown_directive_is_422(server: Server, path: str):
    response = await server.http.post(path, json=gateway("one"), params={"fieldValidation": "Hard"})
    body = refused(response, 422, "Invalid")
    assert body["details"]["causes"][0]["field"] == "fieldValidation"


UNCHECKED = {
    "reason": "FieldValueInvalid",
    "message": "Invalid value: null: some validation rules were not checked because the object "
    "was invalid; correct the existing errors to complete validation",
    "field": "<nil>",
}


@pytest.mark.parametrize("missing", ["port", "hosts"])
async def test_server_needs_port_and_hosts(server: Server, path: str, missing: str):
    obj = gateway("one")
    del obj["spec"]["servers"][0][missing]
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    assert body["message"] == (
        f'Gateway.networking.istio.io "one" is invalid: [spec.servers[0].{missing}: Required '
        f"value, <nil>: {UNCHECKED['message']}]"
    )
    assert body["details"] == {
        "name": "one",
        "group": "networking.istio.io",
        "kind": "Gateway",
        "causes": [
            {
                "reason": "FieldValueRequired",
                "message": "Required value",
                "field": f"spec.servers[0].{missing}",
            },
            UNCHECKED,
        ],
    }


@pytest.mark.parametrize("missing", ["number", "protocol", "name"])
async def test_port_needs_number_protocol_and_name(server: Server, path: str, missing: str):
    obj = gateway("one")
    del obj["spec"]["servers"][0]["port"][missing]
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    assert body["details"]["causes"] == [
        {
            "reason": "FieldValueRequired",
            "message": "Required value",
            "field": f"spec.servers[0].port.{missing}",
        },
        UNCHECKED,
    ]


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (
            {"hosts": "shop.example.com"},
            "spec.servers[0].hosts",
            'Invalid value: "string": spec.servers[0].hosts in body must be of type array: '
            '"string"',
        ),
        (
            {"port": {"number": "80", "name": "http", "protocol": "HTTP"}},
            "spec.servers[0].port.number",
            'Invalid value: "string": spec.servers[0].port.number in body must be of type integer: '
            '"string"',
        ),
        (
            {"tls": {"httpsRedirect": "yes"}},
            "spec.servers[0].tls.httpsRedirect",
            'Invalid value: "string": spec.servers[0].tls.httpsRedirect in body must be of type '
            'boolean: "string"',
        ),
    ],
)
async def test_wrong_types_are_422(
    server: Server, path: str, change: Obj, field: str, message: str
):
    body = refused(await server.http.post(path, json=gateway("one", **change)), 422, "Invalid")
    assert body["details"]["causes"] == [
        {"reason": "FieldValueTypeInvalid", "message": message, "field": field},
        UNCHECKED,
    ]


async def test_unknown_enum_value_lists_the_known(server: Server, path: str):
    obj = gateway("one", tls={"mode": "SECURE"})
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    cause = body["details"]["causes"][0]
    assert cause["reason"] == "FieldValueNotSupported"
    assert cause["field"] == "spec.servers[0].tls.mode"
    assert cause["message"] == (
        'Unsupported value: "SECURE": supported values: "PASSTHROUGH", "SIMPLE", "MUTUAL", '
        '"AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"'
    )


async def test_negative_port_is_422(server: Server, path: str):
    obj = gateway("one", port={"number": -1, "name": "http", "protocol": "HTTP"})
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    assert body["details"]["causes"][0] == {
        "reason": "FieldValueInvalid",
        "message": "Invalid value: -1: spec.servers[0].port.number in body should be greater than "
        "or equal to 0",
        "field": "spec.servers[0].port.number",
    }


@pytest.mark.parametrize(
    ("tls", "messages"),
    [
        (
            {"credentialName": "a", "credentialNames": ["b"]},
            ["only one of credentialName or credentialNames can be set"],
        ),
        (
            {"credentialNames": ["b"], "tlsCertificates": [{"privateKey": "/x"}]},
            [
                "only one of credentialNames or tlsCertificates can be set",
                "only one of credentialName or tlsCertificates can be set",
            ],
        ),
    ],
)
async def test_rules_of_the_schema_are_evaluated(
    server: Server, path: str, tls: Obj, messages: list[str]
):
    obj = gateway("one", tls={"mode": "SIMPLE"} | tls)
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    field = "spec.servers[0].tls"
    assert body["details"]["causes"] == [
        {"reason": "FieldValueInvalid", "message": f"Invalid value: {message}", "field": field}
        for message in messages
    ]


async def test_null_is_dropped(server: Server, path: str):
    obj = gateway("one")
    obj["spec"]["servers"][0]["bind"] = None
    created = await server.create(path, obj)
    assert created["spec"] == gateway("one")["spec"]


@pytest.mark.parametrize("where", ["metadata", "root"])
async def test_strict_covers_the_whole_object(server: Server, path: str, where: str):
    obj = gateway("one")
    (obj["metadata"] if where == "metadata" else obj)["colour"] = "red"
    response = await server.http.post(path, json=obj, params={"fieldValidation": "Strict"})
    field = "metadata.colour" if where == "metadata" else "colour"
    body = refused(response, 400, "BadRequest")
    assert body["message"].endswith(f'strict decoding error: unknown field "{field}"')


async def test_body_without_a_kind_is_400(server: Server, path: str):
    obj = {"metadata": {"name": "one"}, "spec": {}}
    body = refused(await server.http.post(path, json=obj), 400, "BadRequest")
    assert body["message"].startswith(
        "the object provided is unrecognized (must be of type Gateway): Object 'Kind' is missing "
    )


async def test_body_of_another_kind_is_422(server: Server, path: str):
    obj = gateway("one") | {"kind": "Sidecar"}
    body = refused(await server.http.post(path, json=obj), 422, "Invalid")
    assert body["message"] == (
        'Sidecar.networking.istio.io "one" is invalid: kind: Invalid value: "Sidecar": must be '
        "Gateway"
    )


async def test_dry_run_validates_like_the_real_thing(server: Server, path: str):
    obj = gateway("one")
    del obj["spec"]["servers"][0]["hosts"]
    params = {"dryRun": "All", "fieldValidation": "Strict"}
    refused(await server.http.post(path, json=obj, params=params), 422, "Invalid")
    ok(await server.http.post(path, json=gateway("one"), params=params))
    refused(await server.http.get(f"{path}/one"), 404, "NotFound")


async def test_body_of_another_version_is_refused(server: Server, path: str):
    response = await server.http.post(path, json=gateway("one", version="v1beta1"))
    body = refused(response, 400, "BadRequest")
    assert body["message"] == (
        "the API version in the data (networking.istio.io/v1beta1) does not match the expected "
        "API version (networking.istio.io/v1)"
    )


async def test_definition_publishes_the_schema(server: Server):
    root = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    crd = await server.get(f"{root}/gateways.networking.istio.io")
    versions = {version["name"]: version for version in crd["spec"]["versions"]}
    assert {"v1", "v1beta1", "v1alpha3"} <= versions.keys()
    schema = versions["v1"]["schema"]["openAPIV3Schema"]
    items = schema["properties"]["spec"]["properties"]["servers"]["items"]
    assert set(items["required"]) == {"port", "hosts"}
    assert set(items["properties"]["port"]["required"]) == {"number", "protocol", "name"}
    assert items["properties"].keys() == {"bind", "defaultEndpoint", "hosts", "name", "port", "tls"}
    tls = items["properties"]["tls"]["properties"]
    assert {"credentialName", "credentialNames", "tlsCertificates", "mode"} <= tls.keys()
    assert any(
        condition["type"] == "Established" and condition["status"] == "True"
        for condition in crd["status"]["conditions"]
    )
