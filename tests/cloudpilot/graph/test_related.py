"""The object graph over a simulated cluster: both ends of every edge, and what is missing."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from cloudpilot.clusters import Cluster
from cloudpilot.graph.related import Relation, kinds_near, related
from cloudpilot.kube.kinds import KINDS, Kind
from simulator import SimulatedCluster
from tests.cloudpilot.graph.manifests import MESH, REST, WEB
from tests.cloudpilot.waiting import eventually


def kind_of(obj: dict[str, Any]) -> Kind:
    group = obj["apiVersion"].rpartition("/")[0]
    return next(k for k in KINDS.values() if (k.kind, k.group) == (obj["kind"], group))


async def create(simulated: SimulatedCluster, cluster: Cluster, manifest: str) -> None:
    """Create objects, and wait until they and what controllers make of them are mirrored."""
    objects = list(yaml.safe_load_all(manifest))
    for obj in objects:
        simulated.store.create(obj)
    await cluster.cache.wait_settled(10, KINDS)

    def mirrored() -> bool:
        made = [o for o in simulated.store.list("pods") if o["spec"].get("nodeName")]
        ready = [p for p in made if p["status"].get("phase") == "Running"]
        held = cluster.cache["Pod"].list()
        running = [pod for pod in held if pod.status.phase == "Running"]
        there = all(
            cluster.cache[kind_of(obj).name].get(
                obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
            )
            for obj in objects
        )
        slices = len(cluster.cache["EndpointSlice"]) == len(simulated.store.list("endpointslices"))
        return bool(there and slices and len(ready) == len(running) == len(held))

    await eventually(mirrored)


def edges(cluster: Cluster, kind: str, name: str, namespace: str = "default") -> set[str]:
    """Every relation in a line; `!` before what does not exist, `?` where that is not known."""
    return {line(one) for one in related(cluster.cache, kind, namespace, name)}


def line(one: Relation) -> str:
    mark = {True: "", False: "!", None: "?"}[one.exists]
    place = f"{one.namespace}/" if one.namespace not in ("", "default") else ""
    # What controllers make has a random end.
    made = one.kind in ("Pod", "ReplicaSet", "EndpointSlice")
    name = one.name.partition("-")[0] if made else one.name
    return f"{mark}{one.relation} {one.kind} {place}{name}".strip()


@pytest.fixture
async def web(simulated: SimulatedCluster, cluster: Cluster) -> Cluster:
    await create(simulated, cluster, WEB)
    return cluster


@pytest.fixture
async def mesh(simulated: SimulatedCluster, cluster: Cluster) -> Cluster:
    await create(simulated, cluster, MESH)
    return cluster


@pytest.fixture
async def rest(simulated: SimulatedCluster, cluster: Cluster) -> Cluster:
    await create(simulated, cluster, REST)
    return cluster


async def test_a_workload_knows_its_children_its_users_and_what_it_uses(web: Cluster) -> None:
    assert edges(web, "Deployment", "web") >= {
        "owns ReplicaSet web",
        "owns Pod web",
        "selected by Service web",
        "selected by PodDisruptionBudget web",
        "selected by NetworkPolicy deny-all",
        "scaled by HorizontalPodAutoscaler web",
        "uses ServiceAccount robot",
        "uses ConfigMap settings",
        "!uses ConfigMap tuning",
        "!uses Secret password",
    }


async def test_a_pod_knows_its_owners_up_to_the_top_and_its_node(web: Cluster) -> None:
    pod = next(pod for pod in web.cache["Pod"].list("default"))
    assert edges(web, "Pod", pod.name) >= {
        "owned by ReplicaSet web",
        "owned by Deployment web",
        "selected by Service web",
        "routed to by EndpointSlice web",
        "uses ConfigMap settings",
        "!uses Secret password",
    }
    assert any(one.relation == "runs on" for one in related(web.cache, "Pod", "default", pod.name))


async def test_needed_and_missing_comes_first_and_what_is_optional_is_not_needed(
    web: Cluster,
) -> None:
    found = related(web.cache, "Deployment", "default", "web")
    assert (found[0].kind, found[0].name, found[0].exists) == ("Secret", "password", False)
    tuning = next(one for one in found if one.name == "tuning")
    assert (tuning.optional, tuning.exists) == (True, False)
    assert found.index(tuning) > 1


async def test_a_service_knows_pods_endpoints_and_routes(web: Cluster) -> None:
    assert edges(web, "Service", "web") >= {
        "selects Pod web",
        "selects Deployment web",
        "has endpoints EndpointSlice web",
        "routed to by Ingress web",
    }
    [typo] = [one for one in related(web.cache, "Service", "default", "typo") if not one.exists]
    assert (typo.relation, typo.kind, typo.name) == ("selects", "Pod", "")
    assert typo.note == "no pod has app=wep"


async def test_an_ingress_names_what_is_missing(web: Cluster) -> None:
    assert edges(web, "Ingress", "web") == {
        "routes to Service web",
        "!routes to Service old",
        "!uses Secret certificate",
        "!of class IngressClass nginx",
    }


async def test_what_names_an_object_is_found_though_it_does_not_exist(web: Cluster) -> None:
    assert "used by Deployment web" in edges(web, "Secret", "password")
    assert edges(web, "Service", "old") == {"routed to by Ingress web"}
    assert edges(web, "Service", "unheard-of") == set()


async def test_users_of_a_config_map_are_told_once_with_every_way_of_use(web: Cluster) -> None:
    found = related(web.cache, "ConfigMap", "default", "settings")
    assert len({(one.relation, one.kind, one.name) for one in found}) == len(found)
    assert {one.kind for one in found} == {"Deployment", "Pod"}
    assert {one.note for one in found} == {"envFrom"}


async def test_a_virtual_service_resolves_hosts_as_istiod_does(mesh: Cluster) -> None:
    assert edges(mesh, "VirtualService", "shop") == {
        "routes to Service cart",
        "!routes to Host cart.default",
        "routes to ServiceEntry partners",
        "attached to Gateway gate",
        "!attached to Gateway kube-system/none",
    }
    found = related(mesh.cache, "VirtualService", "default", "shop")
    host = next(one for one in found if one.kind == "Host")
    assert (host.name, host.note) == ("cart.default", "no Service and no ServiceEntry has it")
    assert edges(mesh, "ServiceEntry", "partners") == set()


async def test_a_gateway_finds_certificates_beside_its_pods(mesh: Cluster) -> None:
    assert edges(mesh, "Gateway", "gate") == {
        "selects Pod kube-system/gate",
        "serves VirtualService shop",
        "uses Secret kube-system/certificate",
        "!uses Secret kube-system/lost",
    }
    assert edges(mesh, "Secret", "certificate", "kube-system") == {"used by Gateway gate"}
    assert edges(mesh, "Secret", "certificate", "default") == set()


async def test_policies_and_routes_are_seen_from_what_they_are_about(mesh: Cluster) -> None:
    assert edges(mesh, "Pod", "gate", "kube-system") >= {
        "selected by Gateway gate",
        "selected by PeerAuthentication kube-system/strict",
    }
    assert edges(mesh, "Service", "cart") == {
        "!selects Pod",
        "has endpoints EndpointSlice cart",
        "routed to by VirtualService shop",
        "routed to by HTTPRoute shop",
        "configured by DestinationRule cart",
    }
    assert edges(mesh, "HTTPRoute", "shop") == {
        "!attached to Gateway.gateway.networking.k8s.io none",
        "routes to Service cart",
    }


async def test_volumes_claims_and_classes_hang_together(rest: Cluster) -> None:
    assert edges(rest, "PersistentVolumeClaim", "data") >= {
        "bound to PersistentVolume disk",
        "used by Pod db",
        "!of class StorageClass ssd",
    }
    assert edges(rest, "PersistentVolume", "disk", "") >= {"bound to PersistentVolumeClaim data"}
    assert edges(rest, "StorageClass", "ssd", "") == {
        "class of PersistentVolume disk",
        "class of PersistentVolumeClaim data",
    }


async def test_an_owner_of_a_kind_we_do_not_know_is_named_without_a_verdict(
    rest: Cluster,
) -> None:
    assert "?owned by Database.example.com db" in edges(rest, "Pod", "db")


async def test_an_owner_whose_name_another_has_now_is_gone(
    simulated: SimulatedCluster, cluster: Cluster
) -> None:
    manifest = """
apiVersion: v1
kind: Pod
metadata:
  name: orphan
  namespace: default
  ownerReferences: [{apiVersion: v1, kind: Service, name: kubernetes, uid: of-an-older-one}]
spec: {containers: [{name: a, image: registry.example.com/a:1}]}
---
apiVersion: v1
kind: Service
metadata: {name: kubernetes, namespace: default}
spec: {ports: [{port: 443}]}
"""
    simulated.store.create(list(yaml.safe_load_all(manifest))[1])
    pod = list(yaml.safe_load_all(manifest))[0]
    await cluster.cache.wait_settled(10, KINDS)
    simulated.store.create(pod)
    cache = cluster.cache
    await eventually(lambda: cache["Pod"].get("default", "orphan") is not None)
    owner = next(
        one for one in related(cache, "Pod", "default", "orphan") if one.relation == "owned by"
    )
    assert (owner.exists, owner.note) == (False, "another object has its name now")


async def test_bindings_and_webhooks_name_what_is_missing(rest: Cluster) -> None:
    assert edges(rest, "RoleBinding", "reads") == {
        "!grants Role none",
        "grants to ServiceAccount default",
    }
    assert "has rights from RoleBinding reads" in edges(rest, "ServiceAccount", "default")
    webhook = edges(rest, "ValidatingWebhookConfiguration", "check", "")
    assert webhook == {"!calls Service gone"}
    assert edges(rest, "Service", "gone") == {"called by ValidatingWebhookConfiguration check"}


async def test_what_may_not_be_read_is_neither_there_nor_missing(
    simulated: SimulatedCluster, cluster: Cluster
) -> None:
    simulated.faults.deny("secrets")
    simulated.faults.close_watches()
    await eventually(lambda: not cluster.cache["Secret"].state.known)
    await create(simulated, cluster, WEB)
    assert "?uses Secret password" in edges(cluster, "Deployment", "web")


@pytest.mark.parametrize("kind", list(KINDS))
def test_near_kinds_are_ours_and_hold_the_kind_itself(kind: str) -> None:
    assert kind in kinds_near(kind) <= KINDS.keys()


def test_both_ends_of_an_edge_are_near_each_other() -> None:
    for kind in KINDS:
        for other in kinds_near(kind):
            assert kind in kinds_near(other) or other == "ServiceEntry", (kind, other)
