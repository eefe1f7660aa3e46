"""Discovery, health and who gets in."""

import pytest

from tests.contracts.kubernetes_api.server import Server, ok, refused


async def test_version_names_a_kubernetes_release(server: Server):
    version = await server.get("/version")
    assert version["major"] == "1"
    assert version["gitVersion"].startswith("v1.")


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/livez"])
async def test_health_answers_ok_in_plain_text(server: Server, path: str):
    response = await server.http.get(path)
    assert (response.status_code, response.text) == (200, "ok")


async def test_core_api_lists_v1(server: Server):
    body = await server.get("/api")
    assert body["kind"] == "APIVersions"
    assert body["versions"] == ["v1"]


async def test_groups_have_a_preferred_version(server: Server):
    body = await server.get("/apis")
    assert body["kind"] == "APIGroupList"
    groups = {group["name"]: group for group in body["groups"]}
    assert groups["apps"]["preferredVersion"] == {"groupVersion": "apps/v1", "version": "v1"}
    istio = groups["networking.istio.io"]
    assert istio["preferredVersion"]["version"] == "v1"
    assert {v["version"] for v in istio["versions"]} == {"v1", "v1beta1", "v1alpha3"}


async def test_one_group_is_described_alone(server: Server):
    body = await server.get("/apis/apps")
    assert (body["kind"], body["apiVersion"], body["name"]) == ("APIGroup", "v1", "apps")


@pytest.mark.parametrize(
    ("path", "name", "kind", "namespaced", "short_names"),
    [
        ("/api/v1", "pods", "Pod", True, ["po"]),
        ("/api/v1", "nodes", "Node", False, ["no"]),
        ("/api/v1", "namespaces", "Namespace", False, ["ns"]),
        ("/api/v1", "secrets", "Secret", True, None),
        ("/apis/apps/v1", "deployments", "Deployment", True, ["deploy"]),
        ("/apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice", True, None),
        ("/apis/networking.istio.io/v1", "gateways", "Gateway", True, ["gw"]),
        ("/apis/networking.istio.io/v1beta1", "gateways", "Gateway", True, ["gw"]),
        ("/apis/networking.istio.io/v1", "virtualservices", "VirtualService", True, ["vs"]),
        ("/apis/networking.istio.io/v1alpha3", "envoyfilters", "EnvoyFilter", True, None),
        ("/apis/telemetry.istio.io/v1", "telemetries", "Telemetry", True, ["telemetry"]),
        (
            "/apis/autoscaling/v2",
            "horizontalpodautoscalers",
            "HorizontalPodAutoscaler",
            True,
            ["hpa"],
        ),
        ("/apis/policy/v1", "poddisruptionbudgets", "PodDisruptionBudget", True, ["pdb"]),
    ],
)
async def test_resources_of_a_version(
    server: Server, path: str, name: str, kind: str, namespaced: bool, short_names: list | None
):
    body = await server.get(path)
    assert body["kind"] == "APIResourceList"
    assert body["groupVersion"] == path.removeprefix("/apis/").removeprefix("/api/")
    entry = next(r for r in body["resources"] if r["name"] == name)
    assert entry["kind"] == kind
    assert entry["namespaced"] is namespaced
    assert entry.get("shortNames") == short_names
    assert {"get", "list", "watch", "create", "patch", "delete"} <= set(entry["verbs"])


async def test_subresources_are_listed(server: Server):
    resources = {r["name"]: r for r in (await server.get("/apis/apps/v1"))["resources"]}
    assert resources["deployments/scale"]["kind"] == "Scale"
    assert resources["deployments/scale"]["group"] == "autoscaling"
    assert "deployments/status" in resources
    core = {r["name"]: r for r in (await server.get("/api/v1"))["resources"]}
    assert core["pods/log"]["verbs"] == ["get"]


async def test_unknown_resource_is_404_without_details(server: Server):
    body = refused(await server.http.get("/api/v1/unheardof"), 404, "NotFound")
    assert body["message"] == "the server could not find the requested resource"
    assert body["details"] == {}


async def test_unknown_group_is_404(server: Server):
    response = await server.http.get("/apis/nobody.example.com/v1/things")
    assert (response.status_code, response.text.strip()) == (404, "404 page not found")


async def test_wrong_token_is_401(server: Server):
    headers = {"Authorization": "Bearer wrong"}
    response = await server.anonymous.get("/api/v1/pods", headers=headers)
    body = refused(response, 401, "Unauthorized")
    assert body["message"] == "Unauthorized"


async def test_forbidden_names_user_verb_resource_and_scope(server: Server):
    body = refused(await server.stranger.get("/api/v1/secrets"), 403, "Forbidden")
    assert body["message"] == (
        'secrets is forbidden: User "cloudpilot" cannot list resource "secrets" in API group "" '
        "at the cluster scope"
    )
    assert body["details"] == {"kind": "secrets"}


async def test_forbidden_in_a_namespace_names_it_and_the_object(server: Server):
    path = "/apis/apps/v1/namespaces/default/deployments/web"
    body = refused(await server.stranger.get(path), 403, "Forbidden")
    assert body["message"] == (
        'deployments.apps "web" is forbidden: User "cloudpilot" cannot get resource "deployments" '
        'in API group "apps" in the namespace "default"'
    )
    assert body["details"] == {"name": "web", "group": "apps", "kind": "deployments"}


async def test_forbidden_subresource_is_spelled_out(server: Server):
    path = "/api/v1/namespaces/default/pods/web/log"
    body = refused(await server.stranger.get(path), 403, "Forbidden")
    assert 'cannot get resource "pods/log" in API group ""' in body["message"]


@pytest.mark.parametrize(("who", "allowed"), [("http", True), ("stranger", False)])
async def test_access_review_says_what_the_caller_may(server: Server, who: str, allowed: bool):
    attributes = {"verb": "list", "resource": "pods", "namespace": "default"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    response = await getattr(server, who).post(path, json=review)
    assert response.status_code == 201
    body = ok(response)
    assert body["status"]["allowed"] is allowed
    assert body["spec"]["resourceAttributes"] == attributes


async def test_empty_access_review_is_422(server: Server):
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    body = refused(await server.http.post(path, json={"spec": {}}), 422, "Invalid")
    assert body["message"].endswith(
        "exactly one of nonResourceAttributes or resourceAttributes must be specified"
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/pods"),
        ("GET", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"),
        ("PUT", "/api/v1/namespaces/default/configmaps"),
    ],
)
async def test_verb_that_a_resource_lacks_is_405(server: Server, method: str, path: str):
    response = await server.http.request(method, path, json={})
    body = refused(response, 405, "MethodNotAllowed")
    assert body["message"] == "the server does not allow this method on the requested resource"
