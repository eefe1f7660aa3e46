"""update: conflicts, dry runs, generations, status and scale."""

import pytest

from tests.contracts.kubernetes_api.server import (
    GATEWAYS,
    Obj,
    Server,
    config_map,
    deployment,
    eventually,
    gateway,
    ok,
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


async def test_update_replaces(server: Server, path: str):
    obj = await server.create(path, config_map("one", a="1", b="2"))
    obj["data"] = {"a": "3"}
    updated = ok(await server.http.put(f"{path}/one", json=obj))
    assert updated["data"] == {"a": "3"}
    assert int(updated["metadata"]["resourceVersion"]) > int(obj["metadata"]["resourceVersion"])
    assert updated["metadata"]["uid"] == obj["metadata"]["uid"]


async def test_update_from_an_old_version_is_409(server: Server, path: str):
    obj = await server.create(path, config_map("one"))
    await server.patch(f"{path}/one", "merge", {"data": {"a": "1"}})
    body = refused(await server.http.put(f"{path}/one", json=obj), 409, "Conflict")
    assert body["message"] == (
        'Operation cannot be fulfilled on configmaps "one": the object has been modified; please '
        "apply your changes to the latest version and try again"
    )
    assert body["details"] == {"name": "one", "kind": "configmaps"}


async def test_update_without_version_wins_on_built_in_kinds(server: Server, path: str):
    await server.create(path, config_map("one"))
    updated = ok(await server.http.put(f"{path}/one", json=config_map("one", a="1")))
    assert updated["data"] == {"a": "1"}


async def test_update_without_version_is_422_on_custom_kinds(server: Server, namespace: str):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    await server.create(path, gateway("one"))
    body = refused(await server.http.put(f"{path}/one", json=gateway("one")), 422, "Invalid")
    assert body["message"] == (
        'gateways.networking.istio.io "one" is invalid: metadata.resourceVersion: Invalid value: '
        "0: must be specified for an update"
    )


async def test_update_of_a_missing_object_is_404(server: Server, path: str):
    response = await server.http.put(f"{path}/nothing", json=config_map("nothing"))
    assert refused(response, 404, "NotFound")["message"] == 'configmaps "nothing" not found'


async def test_update_that_changes_nothing_keeps_the_version(server: Server, path: str):
    obj = await server.create(path, config_map("one", a="1"))
    again = ok(await server.http.put(f"{path}/one", json=obj))
    assert again["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]


async def test_update_under_another_name_is_400(server: Server, path: str):
    await server.create(path, config_map("one"))
    response = await server.http.put(f"{path}/one", json=config_map("two"))
    body = refused(response, 400, "BadRequest")
    assert body["message"] == (
        "the name of the object (two) does not match the name on the URL (one)"
    )


async def test_update_with_another_uid_is_409(server: Server, path: str):
    obj = await server.create(path, config_map("one"))
    obj["metadata"]["uid"] = "00000000-0000-4000-8000-000000000000"
    body = refused(await server.http.put(f"{path}/one", json=obj), 409, "Conflict")
    assert "Precondition failed: UID in precondition: 00000000" in body["message"]


async def test_immutable_selector_is_422(server: Server, deployments: str):
    obj = await server.create(deployments, deployment("web"))
    del obj["metadata"]["resourceVersion"]  # the controller writes the status meanwhile
    obj["spec"]["selector"]["matchLabels"] = {"app": "web", "tier": "front"}
    obj["spec"]["template"]["metadata"]["labels"] = {"app": "web", "tier": "front"}
    body = refused(await server.http.put(f"{deployments}/web", json=obj), 422, "Invalid")
    cause = body["details"]["causes"][0]
    assert cause["field"] == "spec.selector"
    assert cause["message"].endswith(": field is immutable")


# -- dry run -----------------------------------------------------------------------------------


async def test_dry_run_of_create_stores_nothing(server: Server, path: str):
    response = await server.http.post(path, json=config_map("one"), params={"dryRun": "All"})
    assert response.status_code == 201
    metadata = response.json()["metadata"]
    assert metadata["uid"]
    assert metadata["creationTimestamp"]
    assert "resourceVersion" not in metadata
    refused(await server.http.get(f"{path}/one"), 404, "NotFound")


async def test_dry_run_of_update_shows_the_outcome(server: Server, path: str):
    obj = await server.create(path, config_map("one"))
    wanted = obj | {"data": {"a": "1"}}
    response = await server.http.put(f"{path}/one", json=wanted, params={"dryRun": "All"})
    assert ok(response)["data"] == {"a": "1"}
    now = await server.get(f"{path}/one")
    assert not now.get("data")
    assert now["metadata"]["resourceVersion"] == obj["metadata"]["resourceVersion"]


async def test_dry_run_shows_the_generation_to_come(server: Server, deployments: str):
    await server.create(deployments, deployment("web"))
    patch = {"spec": {"template": {"spec": {"dnsPolicy": "Default"}}}}
    response = await server.patch(f"{deployments}/web", "merge", patch, dryRun="All")
    assert ok(response)["metadata"]["generation"] == 2
    assert (await server.get(f"{deployments}/web"))["metadata"]["generation"] == 1


async def test_dry_run_still_validates_and_conflicts(server: Server, path: str):
    await server.create(path, config_map("one"))
    params = {"dryRun": "All"}
    taken = await server.http.post(path, json=config_map("one"), params=params)
    refused(taken, 409, "AlreadyExists")
    invalid = await server.http.post(path, json=config_map("Bad_Name"), params=params)
    refused(invalid, 422, "Invalid")


async def test_unknown_dry_run_is_422(server: Server, path: str):
    response = await server.http.post(path, json=config_map("one"), params={"dryRun": "Some"})
    body = refused(response, 422, "Invalid")
    assert body["message"] == (
        'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported '
        'values: "All"'
    )


# -- generation, status and scale --------------------------------------------------------------


async def test_generation_counts_spec_changes_only(server: Server, namespace: str):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    await server.create(path, gateway("one"))
    labelled = await server.patch(f"{path}/one", "merge", {"metadata": {"labels": {"a": "b"}}})
    assert ok(labelled)["metadata"]["generation"] == 1
    changed = await server.patch(f"{path}/one", "merge", {"spec": {"selector": {"app": "other"}}})
    assert ok(changed)["metadata"]["generation"] == 2


async def put_status(server: Server, path: str, obj: Obj) -> Obj:
    """Replace a status through the subresource."""
    return ok(await server.http.put(f"{path}/status", json=obj))


async def test_status_is_written_through_its_subresource_only(server: Server, deployments: str):
    obj = await server.create(deployments, deployment("web"))
    path = f"{deployments}/web"
    ignored = await server.patch(path, "merge", {"status": {"replicas": 7}})
    assert ok(ignored)["status"].get("replicas", 0) == 0
    fresh = await server.get(path)
    del fresh["metadata"]["resourceVersion"]  # its controller writes the status too
    fresh["status"] = {"replicas": 3, "observedGeneration": 1}
    fresh["spec"]["replicas"] = 9
    updated = await put_status(server, path, fresh)
    assert updated["status"]["replicas"] == 3
    assert updated["spec"]["replicas"] == obj["spec"]["replicas"]
    assert updated["metadata"]["generation"] == 1


async def test_status_of_a_custom_object(server: Server, namespace: str):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    obj = await server.create(path, gateway("one") | {"status": {"observedGeneration": 5}})
    assert "status" not in obj
    obj["status"] = {"observedGeneration": 1}
    updated = await put_status(server, f"{path}/one", obj)
    assert updated["metadata"]["generation"] == 1
    assert (await server.get(f"{path}/one"))["status"]["observedGeneration"]


async def test_scale_changes_the_replicas(server: Server, deployments: str):
    await server.create(deployments, deployment("web"))

    async def scaled() -> bool:
        scale = await server.get(f"{deployments}/web/scale")
        scale["spec"]["replicas"] = 2
        response = await server.http.put(f"{deployments}/web/scale", json=scale)
        if response.status_code == 409:  # the controller wrote the status meanwhile
            return False
        assert ok(response)["spec"] == {"replicas": 2}
        return True

    await eventually(scaled)
    patched = await server.patch(f"{deployments}/web/scale", "merge", {"spec": {"replicas": 1}})
    assert ok(patched)["spec"] == {"replicas": 1}
    assert (await server.get(f"{deployments}/web"))["spec"]["replicas"] == 1


async def test_negative_scale_is_422(server: Server, deployments: str):
    await server.create(deployments, deployment("web"))
    patch = {"spec": {"replicas": -1}}
    response = await server.patch(f"{deployments}/web/scale", "merge", patch)
    body = refused(response, 422, "Invalid")
    assert body["message"] == (
        'Scale.autoscaling "web" is invalid: spec.replicas: Invalid value: -1: must be greater '
        "than or equal to 0"
    )
