"""Scenes: what they contain at their first moment, and how they are read."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from simulator import SimulatedCluster, many
from simulator.scene import Scene, load_scene, seconds_of
from simulator.store import parse_timestamp
from tests.simulator.client import container_of, events_about, is_ready, pods_of

BROKEN = {"storefront", "cart"}


def test_shop_has_three_nodes_and_a_dozen_workloads_in_three_namespaces(shop: SimulatedCluster):
    assert len(shop.store.list("nodes")) == 3
    workloads = [
        workload
        for resource in ("deployments", "statefulsets", "daemonsets")
        for namespace in ("shop", "payments", "observability")
        for workload in shop.store.list(resource, namespace)
    ]
    assert len(workloads) >= 12


def test_image_that_cannot_be_pulled_leaves_the_old_pods_serving(shop: SimulatedCluster):
    pods = pods_of(shop, "shop", "storefront")
    failing = [pod for pod in pods if not is_ready(pod)]
    assert len(pods) - len(failing) == 3
    waiting = container_of(failing[0])["state"]["waiting"]
    assert waiting["reason"] == "ImagePullBackOff"
    assert "storefront:4.12.0-rc1: not found" in waiting["message"]
    assert events_about(shop, failing[0]["metadata"]["name"], "Failed")
    assert events_about(shop, failing[0]["metadata"]["name"], "BackOff")[0]["count"] > 5


def test_container_that_outgrows_its_limit_is_oom_killed_in_a_loop(shop: SimulatedCluster):
    for pod in pods_of(shop, "shop", "cart"):
        status = container_of(pod)
        last = status["lastState"]["terminated"]
        assert (last["reason"], last["exitCode"]) == ("OOMKilled", 137)
        assert status["restartCount"] >= 5
        assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "192Mi"


def test_service_with_the_wrong_selector_has_no_endpoints(shop: SimulatedCluster):
    service = shop.store.get("services", "search", "shop")
    assert service
    assert not shop.store.list("pods", "shop", service["spec"]["selector"])
    slices = shop.store.list("endpointslices", "shop", {"kubernetes.io/service-name": "search"})
    assert [s["endpoints"] for s in slices] == [[]]
    assert all(is_ready(pod) for pod in pods_of(shop, "shop", "search"))


def test_two_gateways_claim_one_host_and_port(shop: SimulatedCluster):
    claims = [
        (server["port"]["number"], host)
        for gateway in shop.store.list("gateways")
        for server in gateway["spec"]["servers"]
        for host in server["hosts"]
    ]
    assert claims.count((443, "shop.example.com")) == 2


def test_filling_disk_announces_itself(shop: SimulatedCluster):
    warnings = events_about(shop, "worker-2", "ImageGCFailed")
    assert "over the high threshold" in warnings[-1]["message"]


def test_everything_else_is_healthy(shop: SimulatedCluster):
    for pod in shop.store.list("pods"):
        if pod["metadata"]["labels"]["app"] not in BROKEN:
            assert is_ready(pod), pod["metadata"]["name"]


def test_pods_are_owned_up_to_their_workload(shop: SimulatedCluster):
    for pod in shop.store.list("pods"):
        owner = pod["metadata"]["ownerReferences"][0]
        if owner["kind"] != "ReplicaSet":
            assert owner["kind"] in ("StatefulSet", "DaemonSet")
            continue
        namespace = pod["metadata"]["namespace"]
        replica_set = shop.store.get("replicasets", owner["name"], namespace)
        assert replica_set
        assert replica_set["metadata"]["uid"] == owner["uid"]
        top = replica_set["metadata"]["ownerReferences"][0]
        assert top["name"] == pod["metadata"]["labels"]["app"]


def test_endpoint_slices_hold_exactly_the_ready_pods(shop: SimulatedCluster):
    for service in shop.store.list("services"):
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        labels = {"kubernetes.io/service-name": name}
        (endpoint_slice,) = shop.store.list("endpointslices", namespace, labels)
        ready = {
            endpoint["targetRef"]["name"]
            for endpoint in endpoint_slice["endpoints"]
            if endpoint["conditions"]["ready"]
        }
        selected = shop.store.list("pods", namespace, service["spec"]["selector"])
        assert ready == {pod["metadata"]["name"] for pod in selected if is_ready(pod)}


def test_times_are_relative_to_now(shop: SimulatedCluster):
    (deployment,) = [d for d in shop.store.list("deployments", "shop", {"app": "cart"})]
    age = datetime.now(UTC) - parse_timestamp(deployment["metadata"]["creationTimestamp"])
    assert timedelta(days=20) <= age < timedelta(days=20, hours=1)


def test_events_are_forgotten_after_an_hour(shop: SimulatedCluster):
    oldest = min(parse_timestamp(event["lastTimestamp"]) for event in shop.store.list("events"))
    assert datetime.now(UTC) - oldest < timedelta(hours=1, minutes=2)


async def test_scenes_are_repeatable():
    names = []
    for _ in range(2):
        async with SimulatedCluster("shop") as sim:
            names.append([pod["metadata"]["name"] for pod in sim.store.list("pods")])
    assert names[0] == names[1]


def test_unknown_scene_names_the_known():
    with pytest.raises(ValueError, match="only empty, shop"):
        load_scene("nowhere")


def test_unknown_field_in_a_scene_is_refused():
    with pytest.raises(msgspec.ValidationError, match="colour"):
        msgspec.convert({"nodes": [{"name": "one", "colour": "red"}]}, Scene)


@pytest.mark.parametrize(("age", "seconds"), [("90s", 90), ("1d12h", 129600), ("3m", 180)])
def test_ages_are_read(age: str, seconds: int):
    assert seconds_of(age) == seconds


@pytest.mark.parametrize("age", ["", "soon", "3", "m3", "-1m"])
def test_bad_ages_are_refused(age: str):
    with pytest.raises(ValueError, match="not an age"):
        seconds_of(age)


async def test_load_scene_runs_as_many_pods_as_asked_for():
    async with SimulatedCluster(many(nodes=20, pods=150)) as sim:
        pods = sim.store.list("pods")
        assert len(sim.store.list("nodes")) == 20
        assert len(pods) == 150
        assert all(is_ready(pod) for pod in pods)
