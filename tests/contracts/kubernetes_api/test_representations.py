"""Tables and metadata-only objects, in lists, single objects and watches."""

import pytest

from tests.contracts.kubernetes_api.server import Server, config_map, pod, refused

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
CONTENT = "dmVyeSBzZWNyZXQ="


@pytest.fixture
async def secrets(server: Server, namespace: str) -> str:
    """The path of a collection with two Secrets."""
    path = f"/api/v1/namespaces/{namespace}/secrets"
    for name in ("one", "two"):
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "data": {"password": CONTENT},
        }
        await server.create(path, secret)
    return path


async def test_table_of_secrets_counts_without_content(server: Server, secrets: str):
    params = {"includeObject": "None", "limit": "1"}
    response = await server.http.get(secrets, headers={"Accept": TABLE}, params=params)
    body = response.json()
    assert (body["kind"], body["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert body["metadata"]["remainingItemCount"] == 1
    assert body["metadata"]["continue"]
    assert [c["name"] for c in body["columnDefinitions"]] == ["Name", "Type", "Data", "Age"]
    assert body["columnDefinitions"][2]["type"] == "string"
    assert [row["cells"][:3] for row in body["rows"]] == [["one", "Opaque", 1]]
    assert body["rows"][0].get("object") is None
    assert CONTENT not in response.text


async def test_table_rows_carry_metadata_by_default(server: Server, secrets: str):
    response = await server.http.get(secrets, headers={"Accept": TABLE})
    row = response.json()["rows"][0]["object"]
    assert (row["kind"], row["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert row["metadata"]["name"] == "one"
    assert CONTENT not in response.text


async def test_table_of_pods_has_the_columns_of_kubectl(server: Server, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/pods"
    await server.create(path, pod("web"))
    body = (await server.http.get(path, headers={"Accept": TABLE})).json()
    assert [(c["name"], c["priority"]) for c in body["columnDefinitions"]] == [
        ("Name", 0),
        ("Ready", 0),
        ("Status", 0),
        ("Restarts", 0),
        ("Age", 0),
        ("IP", 1),
        ("Node", 1),
        ("Nominated Node", 1),
        ("Readiness Gates", 1),
    ]
    cells = body["rows"][0]["cells"]
    assert cells[:4] == ["web", "0/1", "Pending", "0"]
    assert cells[5:] == ["<none>", "<none>", "<none>", "<none>"]


async def test_table_of_a_single_object(server: Server, secrets: str):
    body = (await server.http.get(f"{secrets}/one", headers={"Accept": TABLE})).json()
    assert body["kind"] == "Table"
    assert len(body["rows"]) == 1


async def test_metadata_only_list(server: Server, secrets: str):
    response = await server.http.get(secrets, headers={"Accept": PARTIAL_LIST})
    body = response.json()
    assert body["kind"] == "PartialObjectMetadataList"
    assert body["apiVersion"] == "meta.k8s.io/v1"
    item = body["items"][0]
    assert (item["kind"], item["apiVersion"]) == ("PartialObjectMetadata", "meta.k8s.io/v1")
    assert item["metadata"]["name"] == "one"
    assert item.keys() == {"kind", "apiVersion", "metadata"}


async def test_metadata_only_object(server: Server, secrets: str):
    body = (await server.http.get(f"{secrets}/one", headers={"Accept": PARTIAL})).json()
    assert body["kind"] == "PartialObjectMetadata"
    assert "data" not in body


async def test_first_acceptable_type_wins(server: Server, secrets: str):
    headers = {"Accept": f"application/unheard-of, {TABLE}, application/json"}
    assert (await server.http.get(secrets, headers=headers)).json()["kind"] == "Table"


async def test_unacceptable_type_is_406(server: Server, secrets: str):
    response = await server.http.get(secrets, headers={"Accept": "text/html"})
    body = refused(response, 406, "NotAcceptable")
    assert body["message"].startswith("406: Not Acceptable")


async def test_unknown_include_object_is_400(server: Server, secrets: str):
    params = {"includeObject": "Everything"}
    response = await server.http.get(secrets, headers={"Accept": TABLE}, params=params)
    body = refused(response, 400, "BadRequest")
    assert "must be 'Metadata', 'Object', 'None', or empty" in body["message"]


async def test_watched_table_has_columns_once(server: Server, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    version = (await server.get(path))["metadata"]["resourceVersion"]
    async with server.watch(path, TABLE, resourceVersion=version, includeObject="None") as watch:
        await server.create(path, config_map("one", a="1"))
        kind, table = await watch.event()
        assert (kind, table["kind"]) == ("ADDED", "Table")
        assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Data", "Age"]
        assert table["rows"][0]["cells"][:2] == ["one", 1]
        assert table["rows"][0].get("object") is None
        await server.http.delete(f"{path}/one")
        kind, table = await watch.event()
        assert kind == "DELETED"
        assert not table.get("columnDefinitions")


async def test_watched_metadata(server: Server, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    version = (await server.get(path))["metadata"]["resourceVersion"]
    async with server.watch(path, PARTIAL, resourceVersion=version) as watch:
        await server.create(path, config_map("one", a="1"))
        kind, obj = await watch.event()
    assert (kind, obj["kind"], obj["apiVersion"]) == (
        "ADDED",
        "PartialObjectMetadata",
        "meta.k8s.io/v1",
    )
    assert "data" not in obj
