"""The controller at the top of an object."""

from __future__ import annotations

from typing import Any

from cloudpilot.graph.owners import Find, top_owner
from cloudpilot.kube.objects.meta import KubeObject
from tests.cloudpilot.journal.objects import mirrored, pod


def owned(kind: str, name: str, owner: tuple[str, str] | None) -> KubeObject:
    metadata: dict[str, Any] = {"name": name}
    if owner:
        reference = {"kind": owner[0], "name": owner[1], "controller": True}
        metadata["ownerReferences"] = [reference]
    return mirrored(kind, {"metadata": metadata})


def among(*objects: tuple[str, KubeObject]) -> Find:
    known = {(kind, obj.namespace, obj.name): obj for kind, obj in objects}
    return lambda kind, namespace, name: known.get((kind, namespace, name))


def test_pod_belongs_to_the_deployment_of_its_replica_set() -> None:
    find = among(
        ("ReplicaSet", owned("ReplicaSet", "cart-abc", ("Deployment", "cart"))),
        ("Deployment", owned("Deployment", "cart", None)),
    )
    assert top_owner(mirrored("Pod", pod()), find) == ("Deployment", "cart")


def test_replica_set_that_is_gone_is_looked_through_by_the_pods_hash() -> None:
    obj = mirrored("Pod", pod(labels={"pod-template-hash": "abc"}))
    assert top_owner(obj, among()) == ("Deployment", "cart")


def test_without_a_hash_the_replica_set_itself_is_named() -> None:
    assert top_owner(mirrored("Pod", pod()), among()) == ("ReplicaSet", "cart-abc")


def test_object_without_a_controller_has_no_owner() -> None:
    assert top_owner(owned("Deployment", "cart", None), among()) == ("", "")


def test_owners_in_a_circle_end() -> None:
    find = among(
        ("Job", owned("Job", "a", ("CronJob", "b"))),
        ("CronJob", owned("CronJob", "b", ("Job", "a"))),
    )
    assert top_owner(owned("Job", "a", ("CronJob", "b")), find)[1] in ("a", "b")
