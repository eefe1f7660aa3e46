"""Pod logs: which container, and what is refused before any log is read."""

import pytest

from tests.contracts.kubernetes_api.server import Server, pod, refused


@pytest.fixture
async def pods(server: Server, namespace: str) -> str:
    """The collection of pods, with two that no node takes."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    await server.create(path, pod("single"))
    await server.create(path, pod("double", "app", "helper"))
    return path


async def test_log_of_a_missing_pod_is_404(server: Server, pods: str):
    body = refused(await server.http.get(f"{pods}/nothing/log"), 404, "NotFound")
    assert body["message"] == 'pods "nothing" not found'


async def test_container_must_be_chosen_where_there_are_two(server: Server, pods: str):
    body = refused(await server.http.get(f"{pods}/double/log"), 400, "BadRequest")
    assert body["message"] == (
        "a container name must be specified for pod double, choose one of: [app helper]"
    )


async def test_unknown_container_is_400(server: Server, pods: str):
    response = await server.http.get(f"{pods}/single/log", params={"container": "other"})
    body = refused(response, 400, "BadRequest")
    assert body["message"] == "container other is not valid for pod single"


async def test_log_of_a_pod_without_a_node_is_empty(server: Server, pods: str):
    response = await server.http.get(f"{pods}/single/log")
    assert (response.status_code, response.text) == (204, "")


@pytest.mark.parametrize(
    ("params", "field", "message"),
    [
        ({"tailLines": "-1"}, "tailLines", "Invalid value: -1: must be greater than or equal to 0"),
        ({"sinceSeconds": "0"}, "sinceSeconds", "Invalid value: 0: must be greater than 0"),
        ({"limitBytes": "0"}, "limitBytes", "Invalid value: 0: must be greater than 0"),
    ],
)
async def test_bad_log_options_are_422(
    server: Server, pods: str, params: dict[str, str], field: str, message: str
):
    body = refused(await server.http.get(f"{pods}/single/log", params=params), 422, "Invalid")
    assert body["details"]["causes"] == [
        {"reason": "FieldValueInvalid", "message": message, "field": field}
    ]
