"""Indexes: after any series of changes equal to ones that are computed from scratch."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cloudpilot.cache.index import INDEXES, Indexer
from cloudpilot.cache.store import Store
from cloudpilot.kube.kinds import KINDS
from tests.cloudpilot.graph.decoding import decoded

POD: dict[str, Any] = {
    "spec": {
        "nodeName": "n-1",
        "serviceAccountName": "robot",
        "priorityClassName": "high",
        "imagePullSecrets": [{"name": "registry"}],
        "initContainers": [{"name": "i", "envFrom": [{"secretRef": {"name": "init"}}]}],
        "containers": [
            {
                "name": "c",
                "envFrom": [{"configMapRef": {"name": "settings"}}],
                "env": [
                    {"name": "PLAIN", "value": "1"},
                    {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "more", "key": "k"}}},
                    {"name": "B", "valueFrom": {"secretKeyRef": {"name": "password", "key": "k"}}},
                    {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
                ],
            }
        ],
        "volumes": [
            {"name": "a", "configMap": {"name": "files"}},
            {"name": "b", "secret": {"secretName": "certificate"}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
            {
                "name": "d",
                "projected": {
                    "sources": [
                        {"configMap": {"name": "kube-root-ca.crt"}},
                        {"secret": {"name": "projected"}},
                        {"serviceAccountToken": {"path": "token"}},
                    ]
                },
            },
            {"name": "e", "emptyDir": {}},
        ],
    }
}


def values(index: str, kind: str, **parts: Any) -> set[str]:
    return set(INDEXES[index](decoded(kind, "o", "shop", **parts)))


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ("node", {"n-1"}),
        ("namespace", {"shop"}),
        ("serviceaccount", {"shop/robot"}),
        ("priorityclass", {"high"}),
        ("persistentvolumeclaim", {"shop/data"}),
        ("configmap", {f"shop/{n}" for n in ("settings", "more", "files", "kube-root-ca.crt")}),
        (
            "secret",
            {f"shop/{n}" for n in ("registry", "init", "password", "certificate", "projected")},
        ),
    ],
)
def test_a_pod_is_found_by_everything_it_names(index: str, expected: set[str]) -> None:
    assert values(index, "Pod", **POD) == expected


def test_a_template_is_found_by_what_its_pods_will_name() -> None:
    template = {"spec": {"template": POD}}
    job = {"spec": {"jobTemplate": template}}
    for kind, parts in (("Deployment", template), ("DaemonSet", template), ("CronJob", job)):
        assert values("configmap", kind, **parts) == values("configmap", "Pod", **POD)
        assert values("serviceaccount", kind, **parts) == {"shop/robot"}


HTTP = {"route": [{"destination": {"host": "cart"}}, {"destination": {"host": "cart.eu"}}]}
TCP = {"route": [{"destination": {"host": "db.data.svc.cluster.local"}}]}
BACKEND = {"backend": {"service": {"name": "cart", "port": {"number": 80}}}}


@pytest.mark.parametrize(
    ("kind", "spec", "index", "expected"),
    [
        ("VirtualService", {"hosts": ["a.com", "b.com"]}, "host", {"a.com", "b.com"}),
        ("VirtualService", {"http": [HTTP], "tcp": [TCP]}, "service", {"shop/cart", "data/db"}),
        ("VirtualService", {"http": [HTTP]}, "destination", {"cart.eu"}),
        ("VirtualService", {"gateways": ["mesh", "a", "b/c"]}, "gateway", {"shop/a", "b/c"}),
        ("VirtualService", {"http": [{"mirror": {"host": "m"}}]}, "service", {"shop/m"}),
        ("Gateway", {"servers": [{"hosts": ["x/a.com", "*"]}, {}]}, "host", {"a.com", "*"}),
        ("DestinationRule", {"host": "*.data.svc.cluster.local"}, "service", set()),
        ("DestinationRule", {"host": "cart"}, "service", {"shop/cart"}),
        ("ServiceEntry", {"hosts": ["*.example.com"]}, "host", {"*.example.com"}),
        ("Ingress", {"rules": [{"host": "a.com"}, {}]}, "host", {"a.com"}),
        ("Ingress", {"rules": [{"http": {"paths": [BACKEND]}}]}, "service", {"shop/cart"}),
        ("Ingress", {"tls": [{"secretName": "tls"}]}, "secret", {"shop/tls"}),
        ("Ingress", {"ingressClassName": "nginx"}, "ingressclass", {"nginx"}),
        ("HTTPRoute", {"hostnames": ["a.com"]}, "host", {"a.com"}),
        (
            "HTTPRoute",
            {"parentRefs": [{"name": "g"}, {"name": "h", "namespace": "x"}]},
            "gateway.gateway.networking.k8s.io",
            {"shop/g", "x/h"},
        ),
        ("GRPCRoute", {"rules": [{"backendRefs": [{"name": "s"}]}]}, "service", {"shop/s"}),
        (
            "HorizontalPodAutoscaler",
            {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "w"}},
            "deployment",
            {"shop/w"},
        ),
        ("PersistentVolumeClaim", {"volumeName": "pv"}, "persistentvolume", {"pv"}),
        ("PersistentVolumeClaim", {"storageClassName": "ssd"}, "storageclass", {"ssd"}),
        ("StatefulSet", {"serviceName": "headless"}, "service", {"shop/headless"}),
    ],
)
def test_objects_are_found_by_what_their_specs_name(
    kind: str, spec: dict[str, Any], index: str, expected: set[str]
) -> None:
    assert values(index, kind, spec=spec) == expected


def test_bindings_are_found_by_role_and_account() -> None:
    parts = {
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": [
            {"kind": "ServiceAccount", "name": "robot"},
            {"kind": "ServiceAccount", "name": "other", "namespace": "x"},
            {"kind": "User", "name": "ann"},
        ],
    }
    assert values("clusterrole", "RoleBinding", **parts) == {"view"}
    assert values("role", "RoleBinding", **parts) == set()
    assert values("serviceaccount", "RoleBinding", **parts) == {"shop/robot", "x/other"}


def test_an_index_nobody_asked_for_is_not_built() -> None:
    read: list[str] = []

    def node(pod: Any) -> list[str]:
        read.append(pod.name)
        return [pod.spec.node_name]

    store: Store[Any] = Store()
    indexer: Indexer[Any] = Indexer(store, {"node": node})
    pod = decoded("Pod", "a", "shop", **POD)
    indexer.update(store.upsert(pod), pod)
    assert read == []
    assert indexer.by("node", "n-1") == [pod]
    assert indexer.by("node", "n-2") == []
    assert read == ["a"]


def slow_node(pod: Any) -> list[str]:
    """Slow enough for several slices on any machine."""
    time.sleep(0.0002)
    return [pod.spec.node_name]


async def test_an_index_is_built_in_slices_while_the_store_changes() -> None:
    store: Store[Any] = Store()
    indexer: Indexer[Any] = Indexer(store, {"node": slow_node})
    for number in range(300):
        store.upsert(decoded("Pod", f"p-{number}", "shop", spec={"nodeName": "old"}))
    building = asyncio.create_task(indexer.prepare("node"))
    changed = 0
    while not building.done():
        await asyncio.sleep(0)
        first, last = (f"p-{changed}", f"p-{299 - changed}")
        moved = decoded("Pod", first, "shop", spec={"nodeName": "new"})
        indexer.update(store.upsert(moved), moved)
        indexer.update(store.remove(("shop", last)), None)
        changed += 1
    for node in ("old", "new"):
        expected = [pod for pod in store.list() if pod.spec.node_name == node]
        assert indexer.by("node", node) == expected
    assert changed > 1


async def test_a_store_that_is_replaced_meanwhile_leaves_no_old_entries() -> None:
    store: Store[Any] = Store()
    indexer: Indexer[Any] = Indexer(store, {"node": slow_node})
    for number in range(300):
        store.upsert(decoded("Pod", f"p-{number}", "shop", spec={"nodeName": "old"}))
    building = asyncio.create_task(indexer.prepare("node"))
    await asyncio.sleep(0)
    tuple(store.replace([decoded("Pod", "p-1", "shop", spec={"nodeName": "new"})]))
    indexer.clear()
    await building
    assert indexer.by("node", "old") == []
    assert [pod.name for pod in indexer.by("node", "new")] == ["p-1"]


NAMES = st.sampled_from("abcd")
SPACES = st.sampled_from(["shop", "data"])
LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y"]))
CONFIG_MAPS = st.lists(st.sampled_from(["m-1", "m-2"]), max_size=2)


class IndexMachine(RuleBasedStateMachine):
    """A store of pods with two indexers: one lives through everything, one starts late."""

    def __init__(self) -> None:
        super().__init__()
        self.store: Store[Any] = Store()
        self.indexer: Indexer[Any] = Indexer(self.store)
        for index in INDEXES:
            self.indexer.by(index, "")

    @rule(name=NAMES, space=SPACES, labels=LABELS, node=NAMES, owner=NAMES, maps=CONFIG_MAPS)
    def upserted(
        self, name: str, space: str, labels: dict[str, str], node: str, owner: str, maps: list[str]
    ) -> None:
        volumes = [{"configMap": {"name": one}} for one in maps]
        spec = {"nodeName": node, "volumes": volumes}
        owners = [{"kind": "ReplicaSet", "name": owner, "uid": owner}]
        pod = decoded("Pod", name, space, labels=labels, ownerReferences=owners, spec=spec)
        self.indexer.update(self.store.upsert(pod), pod)

    @rule(name=NAMES, space=SPACES)
    def removed(self, name: str, space: str) -> None:
        self.indexer.update(self.store.remove((space, name)), None)

    @rule(names=st.lists(NAMES, unique=True))
    def replaced(self, names: list[str]) -> None:
        tuple(self.store.replace([decoded("Pod", name, "shop") for name in names]))
        self.indexer.clear()

    @invariant()
    def equals_one_from_scratch(self) -> None:
        for index, function in INDEXES.items():
            seen = {value for pod in self.store for value in function(pod)} | {"", "gone"}
            for value in seen:
                expected = [pod for pod in self.store.list() if value in set(function(pod))]
                assert self.indexer.by(index, value) == expected
                assert self.indexer.count(index, value) == len(expected)


TestIndexes = IndexMachine.TestCase
TestIndexes.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_index_bears_an_object_with_nothing_in_it(kind: str) -> None:
    obj = decoded(kind, "o", "")
    assert {index: list(function(obj)) for index, function in INDEXES.items()}
