"""JSON, merge and strategic merge patches."""

import pytest

from tests.contracts.kubernetes_api.server import (
    Obj,
    Server,
    containers_of,
    ok,
    refused,
)

# -- merge patch -------------------------------------------------------------------------------


async def test_merge_patch_sets_and_removes(server: Server, one: str):
    patched = ok(await server.patch(one, "merge", {"data": {"a": None, "c": "3"}}))
    assert patched["data"] == {"b": "2", "c": "3"}


async def test_merge_patch_replaces_lists(server: Server, gate: str):
    port = {"number": 443, "name": "tls", "protocol": "TLS"}
    servers = [{"port": port, "hosts": ["a.example.com"], "tls": {"mode": "PASSTHROUGH"}}]
    patched = ok(await server.patch(gate, "merge", {"spec": {"servers": servers}}))
    assert patched["spec"]["servers"] == servers
    assert patched["spec"]["selector"] == {"app": "ingress"}


async def test_merge_patch_with_an_old_version_is_409(server: Server, one: str):
    patch = {"metadata": {"resourceVersion": "1"}, "data": {"a": "9"}}
    body = refused(await server.patch(one, "merge", patch), 409, "Conflict")
    assert body["message"].startswith('Operation cannot be fulfilled on configmaps "one": the ')


async def test_patch_with_the_current_version_passes(server: Server, one: str):
    version = (await server.get(one))["metadata"]["resourceVersion"]
    patch = {"metadata": {"resourceVersion": version}, "data": {"a": "9"}}
    assert ok(await server.patch(one, "merge", patch))["data"]["a"] == "9"


async def test_patch_that_changes_nothing_keeps_the_version(server: Server, one: str):
    before = await server.get(one)
    after = ok(await server.patch(one, "merge", {"data": {"a": "1"}}))
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_patch_of_a_missing_object_is_404(server: Server, one: str):
    response = await server.patch(one + "-less", "merge", {"data": {}})
    assert refused(response, 404, "NotFound")["message"] == 'configmaps "one-less" not found'


async def test_broken_patch_is_400(server: Server, one: str):
    headers = {"Content-Type": "application/merge-patch+json"}
    response = await server.http.patch(one, content=b"{", headers=headers)
    body = refused(response, 400, "BadRequest")
    assert body["message"] == "invalid JSON patch"


async def test_unknown_patch_type_is_415(server: Server, one: str):
    headers = {"Content-Type": "application/json"}
    response = await server.http.patch(one, content=b"{}", headers=headers)
    body = refused(response, 415, "UnsupportedMediaType")
    assert body["message"] == "415: Unsupported Media Type"
    assert body["details"] == {}


async def test_patch_that_breaks_the_object_is_422(server: Server, web: str):
    body = refused(await server.patch(web, "merge", {"spec": {"replicas": -3}}), 422, "Invalid")
    assert body["details"]["causes"][0]["field"] == "spec.replicas"


async def test_patch_cannot_change_the_uid(server: Server, one: str):
    body = refused(await server.patch(one, "merge", {"metadata": {"uid": "x"}}), 422, "Invalid")
    assert body["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": 'Invalid value: "x": field is immutable',
            "field": "metadata.uid",
        }
    ]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"name": "two"}, "the name of the object (two) does not match the name on the URL (one)"),
        (
            {"name": None},
            "the name of the object (one based on URL) was undeterminable: name must be provided",
        ),
        (
            {"namespace": "elsewhere"},
            "the namespace of the provided object does not match the namespace sent on the request",
        ),
    ],
)
async def test_patch_cannot_move_the_object(server: Server, one: str, metadata: Obj, message: str):
    response = await server.patch(one, "merge", {"metadata": metadata})
    assert refused(response, 400, "BadRequest")["message"] == message


async def test_patch_cannot_change_the_kind(server: Server, gate: str):
    body = refused(await server.patch(gate, "merge", {"kind": "Sidecar"}), 422, "Invalid")
    assert body["message"] == (
        'Sidecar.networking.istio.io "gate" is invalid: kind: Invalid value: "Sidecar": must be '
        "Gateway"
    )


async def test_patch_to_a_wrong_type_is_422(server: Server, one: str):
    body = refused(await server.patch(one, "merge", {"data": "text"}), 422, "Invalid")
    assert body["details"]["causes"][0]["field"] == "patch"


async def test_force_is_for_apply_only(server: Server, one: str):
    response = await server.patch(one, "merge", {"data": {"a": "9"}}, force="true")
    body = refused(response, 422, "Invalid")
    assert body["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for '
        "non-apply patch"
    )


# -- JSON patch --------------------------------------------------------------------------------


async def test_json_patch_operates_in_order(server: Server, one: str):
    operations = [
        {"op": "test", "path": "/data/a", "value": "1"},
        {"op": "replace", "path": "/data/a", "value": "9"},
        {"op": "add", "path": "/data/c", "value": "3"},
        {"op": "remove", "path": "/data/b"},
        {"op": "copy", "from": "/data/c", "path": "/data/d"},
        {"op": "move", "from": "/data/c", "path": "/data/e"},
        {"op": "add", "path": "/metadata/annotations", "value": {"example.com/x": "y"}},
        {"op": "add", "path": "/metadata/annotations/example.com~1z", "value": "w"},
    ]
    patched = ok(await server.patch(one, "json", operations))
    assert patched["data"] == {"a": "9", "d": "3", "e": "3"}
    assert patched["metadata"]["annotations"] == {"example.com/x": "y", "example.com/z": "w"}


async def test_json_patch_edits_lists(server: Server, gate: str):
    operations = [
        {"op": "add", "path": "/spec/servers/0/hosts/-", "value": "last.example.com"},
        {"op": "add", "path": "/spec/servers/0/hosts/0", "value": "first.example.com"},
    ]
    patched = ok(await server.patch(gate, "json", operations))
    assert patched["spec"]["servers"][0]["hosts"] == [
        "first.example.com",
        "shop.example.com",
        "last.example.com",
    ]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/data/a", "value": "other"},
        {"op": "remove", "path": "/data/missing"},
        {"op": "unheard-of", "path": "/data/a"},
        {"op": "add", "path": "data", "value": "x"},
        {"op": "add"},
        {"op": "add", "path": "/spec/missing/deep", "value": "x"},
    ],
)
async def test_json_patch_that_does_not_fit_is_422_and_does_nothing(
    server: Server, one: str, operation: Obj
):
    operations = [{"op": "add", "path": "/data/z", "value": "z"}, operation]
    body = refused(await server.patch(one, "json", operations), 422, "Invalid")
    assert body["message"] == "the server rejected our request due to an error in our request"
    assert body["details"] == {}
    assert "z" not in (await server.get(one))["data"]


async def test_json_patch_replaces_what_was_not_there(server: Server, one: str):
    operations = [{"op": "replace", "path": "/data/new", "value": "x"}]
    assert ok(await server.patch(one, "json", operations))["data"]["new"] == "x"


async def test_json_patch_must_be_a_list(server: Server, one: str):
    body = refused(await server.patch(one, "json", {"data": {}}), 400, "BadRequest")
    assert body["message"] == (
        "error decoding patch: json: cannot unmarshal object into Go value of type "
        "[]handlers.jsonPatchOp"
    )


# -- strategic merge patch ---------------------------------------------------------------------


async def test_strategic_patch_merges_containers_by_name(server: Server, web: str):
    sidecar = {"name": "sidecar", "image": "example.com/sidecar:1"}
    containers = [{"name": "web", "image": "example.com/web:2"}, sidecar]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    found = containers_of(ok(await server.patch(web, "strategic-merge", patch)))
    images = {container["name"]: container["image"] for container in found}
    assert images == {"web": "example.com/web:2", "sidecar": "example.com/sidecar:1"}
    kept = next(container for container in found if container["name"] == "web")
    assert kept["env"] == [{"name": "A", "value": "1"}]


async def test_strategic_patch_merges_env_and_ports_by_key(server: Server, web: str):
    container = {
        "name": "web",
        "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "9"}],
        "ports": [{"containerPort": 9090}],
    }
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    found = containers_of(ok(await server.patch(web, "strategic-merge", patch)))[0]
    assert {e["name"]: e["value"] for e in found["env"]} == {"A": "9", "B": "2"}
    assert {p["containerPort"] for p in found["ports"]} == {8080, 9090}


async def test_strategic_patch_deletes_an_item(server: Server, web: str):
    env = [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}]
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": env}]}}}}
    found = containers_of(ok(await server.patch(web, "strategic-merge", patch)))[0]
    assert found["env"] == [{"name": "C", "value": "3"}]


async def test_strategic_patch_replaces_on_request(server: Server, web: str):
    containers = [{"name": "only", "image": "example.com/only:1"}, {"$patch": "replace"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    found = containers_of(ok(await server.patch(web, "strategic-merge", patch)))
    assert [container["name"] for container in found] == ["only"]


async def test_strategic_patch_merges_finalizers(server: Server, one: str):
    await server.patch(one, "merge", {"metadata": {"finalizers": ["example.com/a"]}})
    patch = {"metadata": {"finalizers": ["example.com/b"]}}
    patched = ok(await server.patch(one, "strategic-merge", patch))
    assert set(patched["metadata"]["finalizers"]) == {"example.com/a", "example.com/b"}
    ok(await server.patch(one, "merge", {"metadata": {"finalizers": None}}))


async def test_strategic_patch_needs_the_merge_key(server: Server, web: str):
    containers = [{"image": "example.com/web:2"}]
    patch = {"spec": {"template": {"spec": {"containers": containers}}}}
    body = refused(await server.patch(web, "strategic-merge", patch), 500, "")
    assert body["message"] == (
        "map: map[image:example.com/web:2] does not contain declared merge key: name"
    )


async def test_quantity_that_is_none_is_422(server: Server, web: str):
    container = {"name": "web", "resources": {"limits": {"memory": "banana"}}}
    patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
    body = refused(await server.patch(web, "strategic-merge", patch), 422, "Invalid")
    assert "quantities must match the regular expression" in body["message"]


async def test_restart_annotation_bumps_the_generation(server: Server, web: str):
    annotations = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    patch = {"spec": {"template": {"metadata": {"annotations": annotations}}}}
    patched = ok(await server.patch(web, "strategic-merge", patch))
    assert patched["metadata"]["generation"] == 2


async def test_strategic_patch_of_a_custom_object_is_415(server: Server, gate: str):
    response = await server.patch(gate, "strategic-merge", {"spec": {}})
    body = refused(response, 415, "UnsupportedMediaType")
    assert body["message"].startswith(
        "the body of the request was in an unknown format - accepted media types include: "
        "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    )
