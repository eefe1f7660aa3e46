"""get and list: paging, selectors and resourceVersion semantics."""

import pytest

from tests.contracts.kubernetes_api.server import (
    GATEWAYS,
    Server,
    config_map,
    deployment,
    gateway,
    names,
    ok,
    pod,
    refused,
)

FIVE = [f"page-{letter}" for letter in "abcde"]
ON_PAGES = {"labelSelector": "on=pages"}


@pytest.fixture
async def five(server: Server, namespace: str) -> str:
    """The path of a collection with five labelled ConfigMaps and one of the system."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for position, name in enumerate(FIVE):
        labels = {"on": "pages", "parity": "even" if position % 2 else "odd"}
        await server.create(path, config_map(name, labels))
    return path


async def test_get_of_a_missing_object_is_404(server: Server, namespace: str):
    response = await server.http.get(f"/api/v1/namespaces/{namespace}/configmaps/nothing")
    body = refused(response, 404, "NotFound")
    assert body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "nothing" not found',
        "reason": "NotFound",
        "details": {"name": "nothing", "kind": "configmaps"},
        "code": 404,
    }


async def test_404_of_a_grouped_resource_names_the_group(server: Server, namespace: str):
    response = await server.http.get(f"{GATEWAYS}/namespaces/{namespace}/gateways/nothing")
    body = refused(response, 404, "NotFound")
    assert body["message"] == 'gateways.networking.istio.io "nothing" not found'
    assert body["details"] == {
        "name": "nothing",
        "group": "networking.istio.io",
        "kind": "gateways",
    }


async def test_list_has_kind_version_and_resource_version(server: Server, five: str):
    body = await server.get(five)
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(body["metadata"]["resourceVersion"]) > 0
    assert "kind" not in body["items"][0]


async def test_items_of_custom_lists_carry_kind_and_version(server: Server, namespace: str):
    path = f"{GATEWAYS}/namespaces/{namespace}/gateways"
    await server.create(path, gateway("one"))
    body = await server.get(path.replace("/v1/", "/v1beta1/"))
    assert (body["kind"], body["apiVersion"]) == ("GatewayList", "networking.istio.io/v1beta1")
    item = body["items"][0]
    assert (item["kind"], item["apiVersion"]) == ("Gateway", "networking.istio.io/v1beta1")


async def test_list_of_a_missing_namespace_is_empty(server: Server):
    body = await server.get("/api/v1/namespaces/no-such-namespace/pods")
    assert body["items"] == []


async def test_list_across_namespaces_is_in_key_order(server: Server, five: str):
    body = await server.get("/api/v1/configmaps")
    keys = [f"{i['metadata']['namespace']}/{i['metadata']['name']}" for i in body["items"]]
    assert keys == sorted(keys)


# -- paging ------------------------------------------------------------------------------------


async def test_pages_follow_each_other_and_end(server: Server, five: str):
    seen, token, pages = [], "", 0
    while pages < 10:
        body = await server.get(five, limit="2", **({"continue": token} if token else {}))
        seen += names(body)
        pages += 1
        token = body["metadata"].get("continue", "")
        if not token:
            break
    assert seen == sorted([*FIVE, "kube-root-ca.crt"])
    assert pages == 3


async def test_first_page_counts_the_remaining(server: Server, five: str):
    body = await server.get(five, limit="1")
    assert body["metadata"]["remainingItemCount"] == 5
    assert len(body["items"]) == 1


async def test_last_page_counts_nothing(server: Server, five: str):
    body = await server.get(five, limit="500")
    assert "remainingItemCount" not in body["metadata"]
    assert "continue" not in body["metadata"]


async def test_pages_of_a_selection_do_not_count(server: Server, five: str):
    body = await server.get(five, limit="2", **ON_PAGES)
    assert "remainingItemCount" not in body["metadata"]
    assert body["metadata"]["continue"]
    rest = await server.get(
        five, limit="2", **ON_PAGES, **{"continue": body["metadata"]["continue"]}
    )
    assert names(rest) == FIVE[2:4]


async def test_continued_list_is_consistent_with_its_first_page(server: Server, five: str):
    first = await server.get(five, limit="2")
    await server.http.delete(f"{five}/page-d")
    await server.create(five, config_map("page-c2"))
    rest = await server.get(five, limit="10", **{"continue": first["metadata"]["continue"]})
    assert "page-d" in names(rest)
    assert "page-c2" not in names(rest)
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_garbage_as_continue_token_is_400(server: Server, five: str):
    response = await server.http.get(five, params={"limit": "2", "continue": "garbage"})
    body = refused(response, 400, "BadRequest")
    assert body["message"].startswith("invalid continue token: continue key is not valid")


async def test_limit_that_is_no_number_is_400(server: Server, five: str):
    refused(await server.http.get(five, params={"limit": "many"}), 400, "BadRequest")


# -- selectors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("on=pages", FIVE),
        ("on==pages,parity=odd", FIVE[::2]),
        ("on=pages,parity!=odd", FIVE[1::2]),
        ("parity in (odd, even)", FIVE),
        ("parity in (odd)", FIVE[::2]),
        ("on,parity notin (odd)", FIVE[1::2]),
        ("parity", FIVE),
        ("!parity", ["kube-root-ca.crt"]),
        ("on=elsewhere", []),
    ],
)
async def test_label_selectors(server: Server, five: str, selector: str, expected: list[str]):
    assert names(await server.get(five, labelSelector=selector)) == sorted(expected)


@pytest.mark.parametrize(
    "selector", ["a in", "a in (b", "=x", "a=b=c", "-bad-=x", "a>x", "a=b,,c", "a=" + 70 * "x"]
)
async def test_bad_label_selector_is_400(server: Server, five: str, selector: str):
    response = await server.http.get(five, params={"labelSelector": selector})
    body = refused(response, 400, "BadRequest")
    assert body["message"]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("metadata.name=page-b", ["page-b"]),
        ("metadata.name!=kube-root-ca.crt", FIVE),
        ("metadata.name=page-b,metadata.name=page-c", []),
    ],
)
async def test_field_selectors_by_name(
    server: Server, five: str, selector: str, expected: list[str]
):
    assert names(await server.get(five, fieldSelector=selector)) == expected


async def test_field_selector_by_namespace(server: Server, five: str, namespace: str):
    selector = f"metadata.namespace={namespace},metadata.name=page-a"
    body = await server.get("/api/v1/configmaps", fieldSelector=selector)
    assert names(body) == ["page-a"]


@pytest.mark.parametrize(
    ("collection", "message"),
    [
        (
            "/api/v1/pods",
            "field label not supported: spec.colour",
        ),
        (
            "/apis/apps/v1/deployments",
            '"spec.colour" is not a known field selector: only "metadata.name", '
            '"metadata.namespace"',
        ),
        (
            "/apis/networking.istio.io/v1/gateways",
            "field label not supported: spec.colour",
        ),
    ],
)
async def test_unknown_field_selector_is_400(server: Server, collection: str, message: str):
    response = await server.http.get(collection, params={"fieldSelector": "spec.colour=red"})
    assert refused(response, 400, "BadRequest")["message"] == message


async def test_pods_by_node_and_phase(server: Server, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/pods"
    await server.create(path, pod("lonely"))
    assert names(await server.get(path, fieldSelector="spec.nodeName=")) == ["lonely"]
    assert names(await server.get(path, fieldSelector="status.phase=Pending")) == ["lonely"]
    assert names(await server.get(path, fieldSelector="status.phase!=Pending")) == []
    assert names(await server.get(path, fieldSelector="spec.nodeName=node-1")) == []


async def test_events_by_involved_object_type_and_reason(server: Server, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/events"
    for name, reason in (("one", "Failed"), ("two", "BackOff")):
        involved = {"kind": "Pod", "name": f"pod-{name}", "namespace": namespace}
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name},
            "involvedObject": involved,
            "reason": reason,
            "type": "Warning",
            "message": "contract",
        }
        await server.create(path, event)
    assert names(await server.get(path, fieldSelector="involvedObject.name=pod-one")) == ["one"]
    assert names(await server.get(path, fieldSelector="reason=BackOff")) == ["two"]
    both = await server.get(path, fieldSelector="type=Warning,involvedObject.kind=Pod")
    assert names(both) == ["one", "two"]


async def test_events_are_readable_in_their_new_group(server: Server, namespace: str):
    path = f"/api/v1/namespaces/{namespace}/events"
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "seen-twice"},
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": namespace},
        "reason": "Pulled",
        "type": "Normal",
        "message": "words",
        "count": 3,
    }
    await server.create(path, event)
    new = f"/apis/events.k8s.io/v1/namespaces/{namespace}/events/seen-twice"
    body = await server.get(new)
    assert (body["apiVersion"], body["note"], body["reason"]) == (
        "events.k8s.io/v1",
        "words",
        "Pulled",
    )
    assert body["regarding"]["name"] == "web"
    assert body["deprecatedCount"] == 3


# -- resourceVersion ---------------------------------------------------------------------------


async def test_resource_version_zero_lists_everything(server: Server, five: str):
    body = await server.get(five, resourceVersion="0")
    assert set(FIVE) <= set(names(body))


async def test_resource_version_zero_knows_no_pages(server: Server, five: str):
    body = await server.get(five, resourceVersion="0", limit="1")
    assert len(body["items"]) == 6
    assert body["metadata"].keys() == {"resourceVersion"}


async def test_not_older_than_sees_the_write_it_names(server: Server, five: str):
    created = await server.create(five, config_map("page-z"))
    body = await server.get(
        five,
        resourceVersion=created["metadata"]["resourceVersion"],
        resourceVersionMatch="NotOlderThan",
    )
    assert "page-z" in names(body)


async def test_exact_lists_the_past(server: Server, five: str):
    before = await server.get(five)
    await server.http.delete(f"{five}/page-a")
    body = await server.get(
        five,
        resourceVersion=before["metadata"]["resourceVersion"],
        resourceVersionMatch="Exact",
    )
    assert names(body) == names(before)


async def test_match_without_version_is_422(server: Server, five: str):
    response = await server.http.get(five, params={"resourceVersionMatch": "Exact"})
    body = refused(response, 422, "Invalid")
    assert body["message"] == (
        'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
        "resourceVersionMatch is forbidden unless resourceVersion is provided"
    )


async def test_version_of_the_far_future_is_504(server: Server, five: str):
    params = {"resourceVersion": "99999999", "resourceVersionMatch": "NotOlderThan"}
    response = await server.http.get(five, params=params)
    body = refused(response, 504, "Timeout")
    assert body["message"].startswith("Timeout: Too large resource version: 99999999, current: ")
    assert body["details"]["causes"] == [
        {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    ]
    assert body["details"]["retryAfterSeconds"] == 1


async def test_version_that_is_no_number_is_400(server: Server, five: str):
    response = await server.http.get(five, params={"resourceVersion": "new"})
    refused(response, 400, "BadRequest")


async def test_all_versions_of_a_gateway_are_one_object(server: Server, namespace: str):
    created = await server.create(f"{GATEWAYS}/namespaces/{namespace}/gateways", gateway("one"))
    for version in ("v1", "v1beta1", "v1alpha3"):
        path = f"/apis/networking.istio.io/{version}/namespaces/{namespace}/gateways/one"
        body = await server.get(path)
        assert body["apiVersion"] == f"networking.istio.io/{version}"
        assert body["metadata"]["uid"] == created["metadata"]["uid"]
        assert body["spec"] == created["spec"]


async def test_scale_is_a_view_of_the_deployment(server: Server, namespace: str):
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    created = await server.create(path, deployment("web"))
    scale = ok(await server.http.get(f"{path}/web/scale"))
    assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert scale["metadata"]["uid"] == created["metadata"]["uid"]
    assert scale["status"] == {"replicas": 0, "selector": "app=web"}
