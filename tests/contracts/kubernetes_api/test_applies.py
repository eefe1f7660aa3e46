"""Server-side apply: owners, conflicts, force, removal."""

from tests.contracts.kubernetes_api.server import (
    Obj,
    Server,
    config_map,
    containers_of,
    gateway,
    ok,
    refused,
)


async def test_apply_creates_then_updates(server: Server, one: str):
    path = one + "-applied"
    obj = config_map("one-applied", a="1")
    first = await server.patch(path, "apply", obj, fieldManager="alice")
    assert first.status_code == 201
    entry = first.json()["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"]) == ("alice", "Apply")
    assert entry["fieldsV1"] == {"f:data": {"f:a": {}}}
    second = await server.patch(
        path, "apply", config_map("one-applied", a="2"), fieldManager="alice"
    )
    assert second.status_code == 200
    assert second.json()["data"] == {"a": "2"}


async def test_apply_without_a_manager_is_422(server: Server, one: str):
    response = await server.patch(one, "apply", config_map("one"))
    body = refused(response, 422, "Invalid")
    assert body["message"] == (
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for '
        "apply patch"
    )


async def test_apply_of_a_field_with_another_owner_is_409_unless_forced(server: Server, one: str):
    path = one + "-shared"
    await server.patch(path, "apply", config_map("one-shared", a="1"), fieldManager="alice")
    theirs = config_map("one-shared", a="2")
    response = await server.patch(path, "apply", theirs, fieldManager="bob")
    body = refused(response, 409, "Conflict")
    assert body["message"] == 'Apply failed with 1 conflict: conflict with "alice": .data.a'
    assert body["details"] == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "alice"',
                "field": ".data.a",
            }
        ]
    }
    forced = await server.patch(path, "apply", theirs, fieldManager="bob", force="true")
    assert ok(forced)["data"] == {"a": "2"}


async def test_apply_conflicts_with_an_update_too(server: Server, one: str):
    response = await server.patch(one, "apply", config_map("one", a="7"), fieldManager="bob")
    body = refused(response, 409, "Conflict")
    assert body["message"] == (
        'Apply failed with 1 conflict: conflict with "python-httpx" using v1: .data.a'
    )


async def test_several_apply_conflicts_are_listed(server: Server, web: str):
    obj: Obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 3,
            "template": {"spec": {"containers": [{"name": "web", "image": "example.com/web:2"}]}},
        },
    }
    body = refused(await server.patch(web, "apply", obj, fieldManager="bob"), 409, "Conflict")
    assert body["message"] == (
        'Apply failed with 2 conflicts: conflicts with "python-httpx" using apps/v1:\n'
        '- .spec.replicas\n- .spec.template.spec.containers[name="web"].image'
    )
    assert [cause["field"] for cause in body["details"]["causes"]] == [
        ".spec.replicas",
        '.spec.template.spec.containers[name="web"].image',
    ]


async def test_apply_of_the_same_value_shares_the_field(server: Server, one: str):
    applied = ok(await server.patch(one, "apply", config_map("one", a="1"), fieldManager="bob"))
    assert {e["manager"] for e in applied["metadata"]["managedFields"]} == {"python-httpx", "bob"}


async def test_apply_removes_what_its_manager_no_longer_names(server: Server, one: str):
    path = one + "-shrinking"
    full = config_map("one-shrinking", a="1", b="2")
    await server.patch(path, "apply", full, fieldManager="alice")
    await server.patch(path, "merge", {"data": {"c": "3"}})
    less = config_map("one-shrinking", a="1")
    applied = ok(await server.patch(path, "apply", less, fieldManager="alice"))
    assert applied["data"] == {"a": "1", "c": "3"}


async def test_apply_merges_containers_by_name(server: Server, web: str):
    obj: Obj = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "template": {
                "spec": {"containers": [{"name": "agent", "image": "example.com/agent:1"}]}
            }
        },
    }
    applied = ok(await server.patch(web, "apply", obj, fieldManager="bob"))
    assert {container["name"] for container in containers_of(applied)} == {"web", "agent"}


async def test_apply_as_a_dry_run_stores_nothing(server: Server, one: str):
    path = one + "-imagined"
    obj = config_map("one-imagined", a="1")
    response = await server.patch(path, "apply", obj, fieldManager="alice", dryRun="All")
    assert response.status_code == 201
    refused(await server.http.get(path), 404, "NotFound")


async def test_apply_of_a_custom_object(server: Server, gate: str):
    obj = gateway("gate")
    obj["spec"]["servers"][0]["hosts"] = ["new.example.com"]
    response = await server.patch(gate, "apply", obj, fieldManager="bob", force="true")
    assert ok(response)["spec"]["servers"][0]["hosts"] == ["new.example.com"]
    assert response.json()["metadata"]["generation"] == 2
