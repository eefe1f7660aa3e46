"""Custom kinds come and go with their CustomResourceDefinition, version by version."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.contracts.kubernetes_api.server import Obj, Server, eventually, names, ok, refused

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def definition(group: str, **served: bool) -> Obj:
    """Widgets of a group, stored as v1, served in these versions."""
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "shortNames": ["wd"]},
            "versions": [
                {
                    "name": version,
                    "served": wanted,
                    "storage": version == "v1",
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": schema}}
                    },
                }
                for version, wanted in served.items()
            ],
        },
    }


def widget(group: str, name: str, **spec: Any) -> Obj:
    return {
        "apiVersion": f"{group}/v1",
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": spec,
    }


async def has_status(server: Server, path: str, status: int) -> None:
    async def answered() -> bool:
        return (await server.http.get(path)).status_code == status

    await eventually(answered)


@pytest.fixture
async def group(server: Server) -> AsyncIterator[str]:
    """An API group with one served kind, Widget, in v1 and v1beta1."""
    group = f"g{secrets.token_hex(4)}.example.com"
    await server.create(DEFINITIONS, definition(group, v1beta1=True, v1=True))
    await has_status(server, f"/apis/{group}/v1/widgets", 200)
    yield group
    await server.http.delete(f"{DEFINITIONS}/widgets.{group}")


async def test_definition_is_completed_and_established(server: Server, group: str):
    path = f"{DEFINITIONS}/widgets.{group}"

    async def established() -> bool:
        conditions = (await server.get(path))["status"]["conditions"] or []
        return {c["type"]: c["status"] for c in conditions} == {
            "NamesAccepted": "True",
            "Established": "True",
        }

    await eventually(established)
    found = await server.get(path)
    wanted = {"plural": "widgets", "singular": "widget", "shortNames": ["wd"], "kind": "Widget"}
    assert found["spec"]["names"] == wanted | {"listKind": "WidgetList"}
    assert found["status"]["acceptedNames"] == found["spec"]["names"]
    assert found["status"]["storedVersions"] == ["v1"]
    assert "finalizers" not in found["metadata"]


async def test_nothing_of_an_undefined_group_is_found(server: Server):
    for path in ("", "/v1", "/v1/widgets"):
        response = await server.http.get(f"/apis/nobody.example.com{path}")
        assert (response.status_code, response.text.strip()) == (404, "404 page not found")


async def test_discovery_lists_served_versions_preferred_first(server: Server, group: str):
    found = await server.get(f"/apis/{group}")
    assert [v["version"] for v in found["versions"]] == ["v1", "v1beta1"]
    assert found["preferredVersion"] == {"groupVersion": f"{group}/v1", "version": "v1"}
    [resource] = (await server.get(f"/apis/{group}/v1"))["resources"]
    assert (resource["name"], resource["kind"], resource["namespaced"]) == (
        "widgets",
        "Widget",
        True,
    )
    assert resource["shortNames"] == ["wd"]


async def test_objects_are_held_against_the_schema_of_the_definition(
    server: Server, group: str, namespace: str
):
    path = f"/apis/{group}/v1/namespaces/{namespace}/widgets"
    made = await server.create(path, widget(group, "one", size=3, colour="red"))
    assert made["spec"] == {"size": 3}
    response = await server.http.post(path, json=widget(group, "two", size="big"))
    body = refused(response, 422, "Invalid")
    assert "spec.size in body must be of type integer" in body["message"]


async def test_version_that_is_no_longer_served_is_not_found(
    server: Server, group: str, namespace: str
):
    path = f"/apis/{group}/v1/namespaces/{namespace}/widgets"
    await server.create(path, widget(group, "one", size=1))
    old = f"/apis/{group}/v1beta1/widgets"
    await has_status(server, old, 200)
    spec = definition(group, v1beta1=False, v1=True)["spec"]
    async with server.watch(f"/apis/{group}/v1/widgets") as watch:
        assert (await watch.event())[0] == "ADDED"
        ok(await server.patch(f"{DEFINITIONS}/widgets.{group}", "merge", {"spec": spec}))
        assert await watch.rest() == [], "a changed definition ends the watches"
    await has_status(server, old, 404)
    await has_status(server, path, 200)  # while it sets up its storage anew it says 429
    assert [v["version"] for v in (await server.get(f"/apis/{group}"))["versions"]] == ["v1"]
    assert names(await server.get(path)) == ["one"]


async def test_deleted_definition_takes_its_objects_watches_and_paths_along(
    server: Server, group: str, namespace: str
):
    path = f"/apis/{group}/v1/namespaces/{namespace}/widgets"
    await server.create(path, widget(group, "one", size=1))
    async with server.watch(f"/apis/{group}/v1/widgets") as watch:
        assert (await watch.event())[0] == "ADDED"
        leaving = ok(await server.http.delete(f"{DEFINITIONS}/widgets.{group}"))
        assert leaving["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
        assert "deletionTimestamp" in leaving["metadata"]
        rest = await watch.rest()
    assert [(kind, obj["metadata"]["name"]) for kind, obj in rest] == [("DELETED", "one")]
    for gone in (path, f"/apis/{group}/v1", f"/apis/{group}"):
        await has_status(server, gone, 404)
        assert (await server.http.get(gone)).text.strip() == "404 page not found"
    refused(await server.http.get(f"{DEFINITIONS}/widgets.{group}"), 404, "NotFound")
    await server.create(DEFINITIONS, definition(group, v1=True))
    await has_status(server, path, 200)
    assert names(await server.get(path)) == [], "it begins anew"


async def test_definition_that_contradicts_itself_is_422(server: Server):
    body = definition("odd.example.com", v1=True)
    body["metadata"]["name"] = "gadgets.odd.example.com"
    answer = refused(await server.http.post(DEFINITIONS, json=body), 422, "Invalid")
    assert answer["details"]["causes"] == [
        {
            "reason": "FieldValueInvalid",
            "message": 'Invalid value: "gadgets.odd.example.com": must be '
            'spec.names.plural+"."+spec.group',
            "field": "metadata.name",
        }
    ]


async def test_definition_without_names_or_schema_is_422(server: Server):
    body = definition("odd.example.com", v1=True)
    body["spec"]["names"] = {}
    del body["spec"]["versions"][0]["schema"]
    answer = refused(await server.http.post(DEFINITIONS, json=body), 422, "Invalid")
    assert {cause["field"] for cause in answer["details"]["causes"]} >= {
        "spec.names.plural",
        "spec.names.kind",
        "spec.versions[0].schema.openAPIV3Schema",
    }
