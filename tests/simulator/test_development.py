"""How faults develop and how the right fix heals them; time is moved on by the tests."""

import json

import pytest

from simulator import SimulatedCluster
from simulator.behaviour import Behaviour
from simulator.scene import Namespace, Node, Scene, Workload
from tests.simulator.client import (
    Obj,
    client_of,
    container_of,
    events_about,
    is_ready,
    pods_of,
    scale,
    set_image,
    until,
)

GOOD = "registry.example.com/shop/storefront:4.12.0"


def test_crash_loop_goes_on(own_shop: SimulatedCluster):
    before = pods_of(own_shop, "shop", "cart")[0]
    name = before["metadata"]["name"]
    count = events_about(own_shop, name, "BackOff")[0]["count"]
    own_shop.advance(15 * 60)
    after = pods_of(own_shop, "shop", "cart")[0]
    assert container_of(after)["restartCount"] >= container_of(before)["restartCount"] + 2
    assert events_about(own_shop, name, "BackOff")[0]["count"] > count


def test_image_pull_is_tried_again_and_again(own_shop: SimulatedCluster):
    pod = next(p for p in pods_of(own_shop, "shop", "storefront") if not is_ready(p))
    name = pod["metadata"]["name"]
    before = events_about(own_shop, name, "BackOff")[0]["count"]
    own_shop.advance(60)
    assert events_about(own_shop, name, "BackOff")[0]["count"] >= before + 3


def test_full_disk_ends_in_pressure_and_an_eviction(own_shop: SimulatedCluster):
    own_shop.advance(10 * 60)
    node = own_shop.store.get("nodes", "worker-2")
    assert node
    conditions = {c["type"]: c["status"] for c in node["status"]["conditions"]}
    assert conditions["DiskPressure"] == "True"
    assert node["spec"]["taints"][0]["key"] == "node.kubernetes.io/disk-pressure"
    assert events_about(own_shop, "worker-2", "NodeHasDiskPressure")
    pods = pods_of(own_shop, "observability", "loki")
    evicted = [pod for pod in pods if pod["status"].get("reason") == "Evicted"]
    assert len(evicted) == 1
    assert evicted[0]["status"]["phase"] == "Failed"
    assert "low on resource: ephemeral-storage" in evicted[0]["status"]["message"]
    (waiting,) = [pod for pod in pods if pod["status"]["phase"] == "Pending"]
    (event,) = events_about(own_shop, waiting["metadata"]["name"], "FailedScheduling")
    assert "untolerated taint {node.kubernetes.io/disk-pressure: }" in event["message"]


def test_right_image_heals_the_rollout(own_shop: SimulatedCluster):
    set_image(own_shop, "shop", "storefront", GOOD)
    own_shop.advance(60)
    pods = pods_of(own_shop, "shop", "storefront")
    assert len(pods) == 3
    assert all(is_ready(pod) for pod in pods)
    assert {pod["spec"]["containers"][0]["image"] for pod in pods} == {GOOD}
    status = (own_shop.store.get("deployments", "storefront", "shop") or {})["status"]
    assert status["updatedReplicas"] == status["availableReplicas"] == 3


def test_rollback_heals_the_rollout(own_shop: SimulatedCluster):
    set_image(own_shop, "shop", "storefront", "registry.example.com/shop/storefront:4.11.3")
    own_shop.advance(60)
    assert all(is_ready(pod) for pod in pods_of(own_shop, "shop", "storefront"))


def test_higher_limit_ends_the_oom_kills(own_shop: SimulatedCluster):
    def change(obj: Obj) -> None:
        resources = obj["spec"]["template"]["spec"]["containers"][0]["resources"]
        resources["limits"]["memory"] = "512Mi"

    own_shop.store.edit("deployments", "cart", "shop", change)
    own_shop.advance(20 * 60)
    for pod in pods_of(own_shop, "shop", "cart"):
        assert is_ready(pod)
        assert container_of(pod)["restartCount"] == 0


def test_corrected_selector_brings_endpoints(own_shop: SimulatedCluster):
    def change(obj: Obj) -> None:
        obj["spec"]["selector"] = {"app": "search"}

    own_shop.store.edit("services", "search", "shop", change)
    own_shop.advance(1)
    labels = {"kubernetes.io/service-name": "search"}
    (endpoint_slice,) = own_shop.store.list("endpointslices", "shop", labels)
    assert len(endpoint_slice["endpoints"]) == 2
    assert endpoint_slice["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


def test_broken_image_stops_a_rollout_and_keeps_the_old_pods(own_shop: SimulatedCluster):
    broken = "registry.example.com/shop/storefront:4.12.0-rc1"
    set_image(own_shop, "shop", "catalog", broken)
    own_shop.advance(120)
    pods = pods_of(own_shop, "shop", "catalog")
    assert sum(is_ready(pod) for pod in pods) == 2
    assert sum(not is_ready(pod) for pod in pods) == 1


@pytest.mark.parametrize("replicas", [0, 1, 5])
def test_scaling_creates_and_deletes_pods(own_shop: SimulatedCluster, replicas: int):
    scale(own_shop, "shop", "catalog", replicas)
    own_shop.advance(30)
    pods = pods_of(own_shop, "shop", "catalog")
    assert len(pods) == replicas
    assert all(is_ready(pod) for pod in pods)
    status = (own_shop.store.get("deployments", "catalog", "shop") or {})["status"]
    assert status["replicas"] == replicas
    assert status.get("readyReplicas", 0) == replicas


def test_deleted_pod_is_replaced(own_shop: SimulatedCluster):
    victim = pods_of(own_shop, "shop", "catalog")[0]["metadata"]["name"]
    own_shop.store.delete("pods", victim, "shop")
    own_shop.advance(10)
    names = {pod["metadata"]["name"] for pod in pods_of(own_shop, "shop", "catalog")}
    assert len(names) == 2
    assert victim not in names


def one_workload(behaviour: Behaviour) -> Scene:
    """A scene with one Deployment of one image."""
    workload = Workload(name="app", namespace="default", image=behaviour.image, age="1s")
    return Scene(nodes=(Node("node-1"),), images=(behaviour,), workloads=(workload,))


async def test_failing_readiness_probe_shows_as_unhealthy():
    scene = one_workload(Behaviour("example.com/app:1", fault="unready"))
    async with SimulatedCluster(scene) as sim:
        sim.advance(60)
        (pod,) = pods_of(sim, "default", "app")
        assert pod["status"]["phase"] == "Running"
        assert not is_ready(pod)
        (event,) = events_about(sim, pod["metadata"]["name"], "Unhealthy")
        assert event["count"] >= 4


async def test_crash_keeps_its_exit_code():
    scene = one_workload(
        Behaviour("example.com/app:1", fault="crash", exit_code=3, survives_seconds=2)
    )
    async with SimulatedCluster(scene) as sim:
        sim.advance(20)
        (pod,) = pods_of(sim, "default", "app")
        terminated = container_of(pod)["lastState"]["terminated"]
        assert (terminated["exitCode"], terminated["reason"]) == (3, "Error")


async def test_speed_makes_live_faults_develop_faster():
    scene = one_workload(Behaviour("example.com/app:1", fault="crash", survives_seconds=10))
    async with SimulatedCluster(scene, speed=2000.0) as sim:
        await until(lambda: container_of(pods_of(sim, "default", "app")[0])["restartCount"] >= 2)


async def test_rollout_of_an_image_that_is_nowhere_fails_as_in_a_real_cluster():
    scene = Scene(
        nodes=(Node("one"),),
        namespaces=(Namespace("web"),),
        workloads=(Workload("front", "web", "registry.example.com/front:1", replicas=2),),
    )
    async with SimulatedCluster(scene) as sim, client_of(sim) as client:
        containers = [{"name": "front", "image": "registry.example.com/front:missing"}]
        answer = await client.patch(
            "/apis/apps/v1/namespaces/web/deployments/front",
            params={"fieldManager": "kubectl-set"},
            content=json.dumps({"spec": {"template": {"spec": {"containers": containers}}}}),
            headers={"Content-Type": "application/strategic-merge-patch+json"},
        )
        writers = {e["manager"]: e for e in answer.json()["metadata"]["managedFields"]}
        owned = writers["kubectl-set"]["fieldsV1"]["f:spec"]["f:template"]["f:spec"]
        assert "f:image" in owned["f:containers"]['k:{"name":"front"}']
        sim.advance(60)
        assert len(sim.store.list("replicasets", "web")) == 2
        [failing] = [pod for pod in pods_of(sim, "web", "front") if not is_ready(pod)]
        assert container_of(failing)["state"]["waiting"]["reason"] == "ImagePullBackOff"
        name = failing["metadata"]["name"]
        assert events_about(sim, name, "Failed")
        assert events_about(sim, "front", "ScalingReplicaSet")
        front = sim.store.get("deployments", "front", "web")
        assert front is not None
        assert front["status"]["unavailableReplicas"] == 1
        sim.advance(60)
        set_image(sim, "web", "front", "registry.example.com/front:2")
        sim.advance(60)
        assert all(is_ready(pod) for pod in pods_of(sim, "web", "front"))
        sim.advance(3700)
        assert not events_about(sim, name, "Failed"), "events live for an hour"
