"""The small controller set: workloads, namespaces and owners, driven through the store."""

from simulator import SimulatedCluster
from tests.simulator.client import Obj, is_ready, pods_of

CONTAINER = {"name": "app", "image": "example.com/app:1"}


def workload(kind: str, name: str = "app", replicas: int | None = 2) -> Obj:
    """A workload of one of the apps kinds."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [dict(CONTAINER)]}}
    spec: Obj = {"selector": {"matchLabels": labels}, "template": template}
    if replicas is not None:
        spec["replicas"] = replicas
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}


def test_stateful_set_numbers_its_pods(empty: SimulatedCluster):
    empty.store.create(workload("StatefulSet"))
    empty.advance(10)
    names = [pod["metadata"]["name"] for pod in pods_of(empty, "default", "app")]
    assert names == ["app-0", "app-1"]
    status = (empty.store.get("statefulsets", "app", "default") or {})["status"]
    assert status["readyReplicas"] == 2


def test_daemon_set_follows_the_nodes(empty: SimulatedCluster):
    empty.store.create(workload("DaemonSet", replicas=None))
    empty.advance(10)
    node = empty.store.get("nodes", "node-1")
    assert node
    node["metadata"] = {"name": "node-2", "labels": {"kubernetes.io/hostname": "node-2"}}
    empty.store.create(node)
    empty.advance(10)
    pods = pods_of(empty, "default", "app")
    assert {pod["spec"]["nodeName"] for pod in pods} == {"node-1", "node-2"}


def test_deleted_deployment_takes_its_pods_along(empty: SimulatedCluster):
    empty.store.create(workload("Deployment"))
    empty.advance(10)
    assert len(pods_of(empty, "default", "app")) == 2
    empty.store.delete("deployments", "app", "default")
    empty.advance(10)
    assert empty.store.list("replicasets", "default") == []
    assert pods_of(empty, "default", "app") == []


def test_paused_deployment_does_not_roll(empty: SimulatedCluster):
    obj = workload("Deployment")
    obj["spec"]["paused"] = True
    empty.store.create(obj)
    empty.advance(10)
    assert pods_of(empty, "default", "app") == []


def test_recreate_strategy_replaces_all_at_once(empty: SimulatedCluster):
    obj = workload("Deployment")
    obj["spec"]["strategy"] = {"type": "Recreate"}
    empty.store.create(obj)
    empty.advance(10)

    def change(deployment: Obj) -> None:
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "example.com/app:2"

    empty.store.edit("deployments", "app", "default", change)
    empty.advance(20)
    pods = pods_of(empty, "default", "app")
    assert [pod["spec"]["containers"][0]["image"] for pod in pods] == ["example.com/app:2"] * 2
    assert all(is_ready(pod) for pod in pods)


def test_cordoned_node_takes_no_new_pod(empty: SimulatedCluster):
    def cordon(node: Obj) -> None:
        node["spec"]["unschedulable"] = True

    empty.store.edit("nodes", "node-1", "", cordon)
    empty.store.create(workload("Deployment", replicas=1))
    empty.advance(10)
    (pod,) = pods_of(empty, "default", "app")
    assert pod["status"]["phase"] == "Pending"
    assert "nodeName" not in pod["spec"]


def test_namespace_is_furnished_and_emptied(empty: SimulatedCluster):
    metadata: Obj = {"name": "team"}
    empty.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    empty.advance(1)
    assert empty.store.get("serviceaccounts", "default", "team")
    assert empty.store.get("configmaps", "kube-root-ca.crt", "team")

    def going(obj: Obj) -> None:
        obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    empty.store.edit("namespaces", "team", "", going)
    empty.advance(1)
    assert empty.store.get("namespaces", "team") is None
    assert empty.store.list("configmaps", "team") == []


def test_endpoints_follow_readiness(empty: SimulatedCluster):
    empty.store.create(workload("Deployment"))
    service = {"selector": {"app": "app"}, "ports": [{"port": 80, "targetPort": 8080}]}
    metadata = {"name": "app", "namespace": "default"}
    empty.store.create(
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service}
    )
    empty.advance(10)
    endpoints = empty.store.get("endpoints", "app", "default")
    assert endpoints
    assert len(endpoints["subsets"][0]["addresses"]) == 2
    assert endpoints["subsets"][0]["ports"] == [{"port": 8080, "protocol": "TCP"}]
