"""delete: preconditions, dry run, finalizers, propagation, collections, namespaces."""

import pytest

from tests.contracts.kubernetes_api.server import (
    GATEWAYS,
    Obj,
    Server,
    config_map,
    deployment,
    eventually,
    gateway,
    names,
    ok,
    refused,
)


@pytest.fixture
def path(namespace: str) -> str:
    """The collection of ConfigMaps of the test's namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


async def delete(server: Server, path: str, **options: object) -> Obj:
    """Delete with DeleteOptions in the body."""
    body = {"kind": "DeleteOptions", "apiVersion": "v1"} | options
    return ok(await server.http.request("DELETE", path, json=body))


async def test_delete_answers_with_a_success_status(server: Server, path: str):
    obj = await server.create(path, config_map("one"))
    response = await server.http.delete(f"{path}/one")
    assert ok(response) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {"name": "one", "kind": "configmaps", "uid": obj["metadata"]["uid"]},
    }
    refused(await server.http.get(f"{path}/one"), 404, "NotFound")


async def test_delete_of_a_custom_object_names_its_group(server: Server, namespace: str):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    obj = await server.create(path, gateway("one"))
    body = await delete(server, f"{path}/one")
    assert body["details"] == {
        "name": "one",
        "group": "networking.istio.io",
        "kind": "gateways",
        "uid": obj["metadata"]["uid"],
    }


async def test_delete_of_a_missing_object_is_404(server: Server, path: str):
    body = refused(await server.http.delete(f"{path}/nothing"), 404, "NotFound")
    assert body["message"] == 'configmaps "nothing" not found'


async def test_delete_of_a_service_answers_with_the_service(server: Server, namespace: str):
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"ports": [{"port": 80}]},
    }
    path = f"/api/v1/namespaces/{namespace}/services"
    await server.create(path, service)
    assert (await delete(server, f"{path}/web"))["kind"] == "Service"


@pytest.mark.parametrize(
    ("precondition", "message"),
    [
        (
            {"uid": "00000000-0000-4000-8000-000000000000"},
            "the UID in the precondition (00000000-0000-4000-8000-000000000000) does not match the "
            "UID in record (",
        ),
        (
            {"resourceVersion": "1"},
            "the ResourceVersion in the precondition (1) does not match the ResourceVersion in "
            "record (",
        ),
    ],
)
async def test_delete_whose_precondition_fails_is_409(
    server: Server, path: str, precondition: dict[str, str], message: str
):
    await server.create(path, config_map("one"))
    response = await server.http.request(
        "DELETE", f"{path}/one", json={"preconditions": precondition}
    )
    body = refused(response, 409, "Conflict")
    assert body["message"].startswith(
        f'Operation cannot be fulfilled on ConfigMap "one": {message}'
    )
    assert body["details"] == {"name": "one", "kind": "ConfigMap"}
    await server.get(f"{path}/one")


async def test_failed_precondition_of_a_custom_object_names_its_group(
    server: Server, namespace: str
):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    await server.create(path, gateway("one"))
    options = {"preconditions": {"uid": "other"}}
    response = await server.http.request("DELETE", f"{path}/one", json=options)
    body = refused(response, 409, "Conflict")
    assert body["message"].startswith(
        'Operation cannot be fulfilled on Gateway.networking.istio.io "one": the UID in the '
        "precondition (other) does not match the UID in record ("
    )


async def test_unknown_propagation_policy_is_422(server: Server, path: str):
    await server.create(path, config_map("one"))
    options = {"propagationPolicy": "Sideways"}
    response = await server.http.request("DELETE", f"{path}/one", json=options)
    body = refused(response, 422, "Invalid")
    assert body["message"] == (
        'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: '
        '"Sideways": supported values: "Foreground", "Background", "Orphan", "nil"'
    )


async def test_unknown_dry_run_of_delete_is_422(server: Server, path: str):
    await server.create(path, config_map("one"))
    response = await server.http.delete(f"{path}/one", params={"dryRun": "Some"})
    body = refused(response, 422, "Invalid")
    assert body["details"]["kind"] == "DeleteOptions"
    await server.get(f"{path}/one")


async def test_delete_whose_preconditions_hold_passes(server: Server, path: str):
    metadata = (await server.create(path, config_map("one")))["metadata"]
    preconditions = {n: metadata[n] for n in ("uid", "resourceVersion")}
    assert (await delete(server, f"{path}/one", preconditions=preconditions))["status"] == "Success"


@pytest.mark.parametrize("where", ["query", "body"])
async def test_dry_run_deletes_nothing(server: Server, path: str, where: str):
    await server.create(path, config_map("one"))
    if where == "query":
        ok(await server.http.delete(f"{path}/one", params={"dryRun": "All"}))
    else:
        await delete(server, f"{path}/one", dryRun=["All"])
    assert "deletionTimestamp" not in (await server.get(f"{path}/one"))["metadata"]


async def test_finalizer_keeps_the_object_until_it_is_taken_away(server: Server, path: str):
    obj = config_map("one")
    obj["metadata"]["finalizers"] = ["example.com/wait"]
    await server.create(path, obj)
    marked = await delete(server, f"{path}/one")
    assert marked["kind"] == "ConfigMap"
    assert marked["metadata"]["deletionTimestamp"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0
    again = await delete(server, f"{path}/one")
    assert again["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
    ok(await server.patch(f"{path}/one", "merge", {"metadata": {"finalizers": None}}))
    refused(await server.http.get(f"{path}/one"), 404, "NotFound")


async def test_foreground_deletion_marks_the_owner_first(server: Server, namespace: str):
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    await server.create(path, deployment("web"))

    async def has_replica_set() -> bool:
        sets = await server.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")
        return len(sets["items"]) == 1

    await eventually(has_replica_set)
    marked = await delete(server, f"{path}/web", propagationPolicy="Foreground")
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]

    async def gone() -> bool:
        sets = await server.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")
        owner = await server.http.get(f"{path}/web")
        return not sets["items"] and owner.status_code == 404

    await eventually(gone)


async def test_background_deletion_collects_what_was_owned(server: Server, namespace: str):
    root = f"/apis/apps/v1/namespaces/{namespace}"
    await server.create(f"{root}/deployments", deployment("web"))

    async def replica_sets(count: int) -> bool:
        return len((await server.get(f"{root}/replicasets"))["items"]) == count

    await eventually(lambda: replica_sets(1))
    body = await delete(server, f"{root}/deployments/web", propagationPolicy="Background")
    assert body["status"] == "Success"
    await eventually(lambda: replica_sets(0))


async def test_orphaning_keeps_what_was_owned(server: Server, namespace: str):
    root = f"/apis/apps/v1/namespaces/{namespace}"
    await server.create(f"{root}/deployments", deployment("web"))

    async def replica_sets(owned: bool) -> bool:
        items = (await server.get(f"{root}/replicasets"))["items"]
        return len(items) == 1 and ("ownerReferences" in items[0]["metadata"]) is owned

    await eventually(lambda: replica_sets(True))
    await delete(server, f"{root}/deployments/web", propagationPolicy="Orphan")
    await eventually(lambda: replica_sets(False))


async def test_delete_collection_takes_a_selection(server: Server, path: str):
    for name in ("one", "two", "three"):
        labels = {"doomed": "true"} if name != "two" else {"doomed": "false"}
        await server.create(path, config_map(name, labels))
    response = await server.http.delete(path, params={"labelSelector": "doomed=true"})
    body = ok(response)
    assert body["kind"] == "ConfigMapList"
    assert names(body) == ["one", "three"]
    left = await server.get(path, labelSelector="doomed")
    assert names(left) == ["two"]


async def test_going_namespace_takes_nothing_new(server: Server, namespace: str, path: str):
    await server.create(path, config_map("one") | {"immutable": False})
    blocked = config_map("blocker")
    blocked["metadata"]["finalizers"] = ["example.com/wait"]
    await server.create(path, blocked)
    marked = await delete(server, f"/api/v1/namespaces/{namespace}")
    assert marked["status"]["phase"] == "Terminating"
    assert marked["metadata"]["deletionTimestamp"]
    body = refused(await server.http.post(path, json=config_map("late")), 403, "Forbidden")
    assert body["message"] == (
        f'configmaps "late" is forbidden: unable to create new content in namespace {namespace} '
        "because it is being terminated"
    )
    assert body["details"]["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": f"namespace {namespace} is being terminated",
            "field": "metadata.namespace",
        }
    ]
    ok(await server.patch(f"{path}/blocker", "merge", {"metadata": {"finalizers": None}}))


async def test_default_namespace_cannot_be_deleted(server: Server):
    body = refused(await server.http.delete("/api/v1/namespaces/default"), 403, "Forbidden")
    assert body["message"] == (
        'namespaces "default" is forbidden: this namespace may not be deleted'
    )
