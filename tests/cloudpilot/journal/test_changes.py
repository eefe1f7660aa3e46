"""What a delta means to the journal, and what is noise."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cloudpilot.cache.delta import Delta
from cloudpilot.db.journal_records import Entry, What
from cloudpilot.journal.changes import changes
from cloudpilot.kube.kinds import KINDS
from tests.cloudpilot.journal.objects import (
    LONG_AGO,
    NOW,
    deployment,
    ended,
    mirrored,
    modified,
    pod,
    waiting,
)

IMAGE = "spec.template.spec.containers[web].image"


def told(delta: Delta) -> list[tuple[str, str, str | None, str | None]]:
    return [(e.what.value, e.field, e.before, e.after) for e in changes(delta, NOW)]


def only(delta: Delta) -> Entry:
    [found] = changes(delta, NOW)
    return found


def conditions(kind: str, name: str, *found: tuple[str, str]) -> dict[str, Any]:
    listed = [{"type": what, "status": status, "reason": "Because"} for what, status in found]
    return {"kind": kind, "metadata": {"name": name}, "status": {"conditions": listed}}


def test_new_image_is_told_with_field_values_and_manager() -> None:
    managed = [
        {
            "manager": "kubectl-set",
            "time": "2026-01-31T11:59:59Z",
            "fieldsV1": {
                "f:spec": {
                    "f:template": {
                        "f:spec": {"f:containers": {'k:{"name":"web"}': {"f:image": {}}}}
                    }
                }
            },
        }
    ]
    entry = only(modified("Deployment", deployment("web:1"), deployment("web:2"), managed))
    assert (entry.what, entry.field) == (What.IMAGE, IMAGE)
    assert (entry.before, entry.after, entry.who) == ("web:1", "web:2", "kubectl-set")
    assert (entry.kind, entry.namespace, entry.name) == ("Deployment", "shop", "cart")
    assert entry.time == NOW


def test_change_that_is_found_late_gets_the_time_of_its_manager() -> None:
    managed = [
        {
            "manager": "helm",
            "time": "2026-01-31T10:00:00Z",
            "fieldsV1": {"f:spec": {"f:replicas": {}}},
        }
    ]
    entry = only(modified("Deployment", deployment(), deployment(replicas=5), managed))
    assert (entry.what, entry.before, entry.after) == (What.REPLICAS, "2", "5")
    assert entry.time == NOW - timedelta(hours=2)


def test_unknown_writer_is_nobody() -> None:
    assert only(modified("Deployment", deployment("a:1"), deployment("a:2"))).who is None


def test_secret_shaped_values_are_masked_and_still_show_as_changed() -> None:
    def env(value: str, token: str) -> dict[str, Any]:
        variables = [{"name": "MODE", "value": value}, {"name": "API_TOKEN", "value": token}]
        containers = [{"name": "web", "image": "a:1", "env": variables}]
        return deployment(template={"spec": {"containers": containers}})

    found = told(modified("Deployment", env("fast", "canary-1"), env("slow", "canary-2")))
    prefix = "spec.template.spec.containers[web].env"
    assert found == [
        ("spec", f"{prefix}[MODE].value", "fast", "slow"),
        ("spec", f"{prefix}[API_TOKEN].value", "[masked]", "[masked]"),
    ]


def test_new_container_is_one_change() -> None:
    two = [{"name": "web", "image": "web:1"}, {"name": "proxy", "image": "proxy:1"}]
    [(what, field, before, after)] = told(
        modified("Deployment", deployment(), deployment(template={"spec": {"containers": two}}))
    )
    assert (what, field, before) == ("spec", "spec.template.spec.containers[proxy]", None)
    assert after == '{"name":"proxy","image":"proxy:1"}'


def test_long_values_are_cut() -> None:
    entry = only(modified("Deployment", deployment(), deployment(note="x" * 9_000)))
    assert entry.after is not None
    assert len(entry.after) == 1_000


def test_route_of_istio_is_a_route_change() -> None:
    def route(weight: int) -> dict[str, Any]:
        destination = {"destination": {"host": "cart", "subset": "v2"}, "weight": weight}
        spec = {"hosts": ["cart"], "http": [{"name": "main", "route": [destination]}]}
        return {"metadata": {"name": "cart"}, "spec": spec}

    entry = only(modified("VirtualService", route(10), route(90)))
    assert (entry.what, entry.field) == (What.ROUTE, "spec.http[main].route")
    assert '"weight":90' in (entry.after or "")


def test_labels_are_told_by_name() -> None:
    old = {**deployment(), "metadata": {"name": "cart", "labels": {"team": "a"}}}
    new = {**deployment(), "metadata": {"name": "cart", "labels": {"team": "b"}}}
    assert told(modified("Deployment", old, new)) == [("labels", "metadata.labels.team", "a", "b")]


def test_condition_that_turns_is_told_with_its_reason() -> None:
    old = conditions("Node", "node-1", ("Ready", "True"), ("DiskPressure", "False"))
    new = conditions("Node", "node-1", ("Ready", "Unknown"), ("DiskPressure", "True"))
    found = changes(modified("Node", old, new), NOW)
    assert [(e.field, e.before, e.after, e.reason) for e in found] == [
        ("status.conditions.DiskPressure", "False", "True", "Because"),
        ("status.conditions.Ready", "True", "Unknown", "Because"),
    ]


def test_only_bad_conditions_are_news_when_they_appear() -> None:
    old = conditions("Deployment", "cart")
    new = conditions("Deployment", "cart", ("Available", "False"), ("Progressing", "True"))
    assert told(modified("Deployment", old, new)) == [
        ("condition", "status.conditions.Available", None, "False")
    ]


def test_cordon_and_taint_of_a_node_are_told() -> None:
    old = {"metadata": {"name": "node-1"}}
    taint = {"key": "maintenance", "effect": "NoSchedule"}
    new = {"metadata": {"name": "node-1"}, "spec": {"unschedulable": True, "taints": [taint]}}
    assert told(modified("Node", old, new)) == [
        ("spec", "spec.taints.maintenance:NoSchedule", None, "true"),
        ("spec", "spec.unschedulable", None, "true"),
    ]


def test_content_of_a_config_map_is_told_without_itself() -> None:
    old = {"metadata": {"name": "settings", "resourceVersion": "1"}}
    new = {"metadata": {"name": "settings", "resourceVersion": "2"}}
    managed = [{"manager": "kubectl-edit", "time": LONG_AGO, "fieldsV1": {"f:data": {}}}]
    entry = only(modified("ConfigMap", old, new, managed))
    assert (entry.what, entry.field, entry.who) == (What.DATA, "data", "kubectl-edit")
    assert (entry.before, entry.after) == (None, None)


def test_leader_elections_are_noise() -> None:
    leader: dict[str, Any] = {"f:annotations": {"f:control-plane.alpha.kubernetes.io/leader": {}}}
    managed = [{"manager": "m", "time": LONG_AGO, "fieldsV1": {"f:metadata": leader}}]
    old = {"metadata": {"name": "lock", "resourceVersion": "1"}}
    new = {"metadata": {"name": "lock", "resourceVersion": "2"}}
    assert told(modified("ConfigMap", old, new, managed)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"replicas": 1, "readyReplicas": 1}, {"replicas": 1, "readyReplicas": 0}),
        (
            {"conditions": [{"type": "Progressing", "status": "True", "message": "a"}]},
            {"conditions": [{"type": "Progressing", "status": "True", "message": "b"}]},
        ),
    ],
)
def test_status_that_only_counts_is_noise(old: dict[str, Any], new: dict[str, Any]) -> None:
    before, after = ({**deployment(), "status": status} for status in (old, new))
    assert told(modified("Deployment", before, after)) == []


def test_objects_of_the_first_list_were_there_before() -> None:
    new = mirrored("Deployment", deployment())
    assert changes(Delta(KINDS["Deployment"], None, new, is_in_initial_list=True), NOW) == []


def test_what_is_out_of_sight_is_not_deleted() -> None:
    old = mirrored("Deployment", deployment())
    assert changes(Delta(KINDS["Deployment"], old, None, is_withdrawn=True), NOW) == []


def test_deleted_object_is_remembered_whole_and_masked() -> None:
    variables = [{"name": "PASSWORD", "value": "canary"}]
    containers = [{"name": "web", "image": "a:1", "env": variables}]
    old = mirrored("Deployment", deployment(template={"spec": {"containers": containers}}))
    entry = only(Delta(KINDS["Deployment"], old, None))
    assert entry.what is What.DELETED
    assert entry.who is None
    assert "a:1" in (entry.before or "")
    assert "canary" not in (entry.before or "")


def test_object_made_anew_between_two_looks_is_deleted_and_created() -> None:
    new = {**deployment(), "metadata": {"name": "cart", "uid": "2"}}
    assert [e.what for e in changes(modified("Deployment", deployment(), new), NOW)] == [
        What.DELETED,
        What.CREATED,
    ]


def test_pods_of_a_controller_are_not_told_when_they_begin() -> None:
    assert changes(Delta(KINDS["Pod"], None, mirrored("Pod", pod())), NOW) == []
    bare = pod(ownerReferences=[])
    assert only(Delta(KINDS["Pod"], None, mirrored("Pod", bare))).what is What.CREATED


def test_replica_sets_follow_from_their_deployment() -> None:
    old, new = ({"metadata": {"name": "cart-abc", "generation": n}} for n in (1, 2))
    assert told(modified("ReplicaSet", old, new)) == []


def test_restart_is_told_with_reason_exit_code_and_its_own_time() -> None:
    new = pod(restarts=3, last=ended(137, "OOMKilled", "2026-01-31T11:58:00Z"), ready=True)
    entry = only(modified("Pod", pod(restarts=2, ready=True), new))
    assert (entry.what, entry.before, entry.after) == (What.RESTART, "2", "3")
    assert entry.field == "status.containerStatuses[web].restartCount"
    assert (entry.reason, entry.exit_code) == ("OOMKilled", 137)
    assert entry.time == NOW - timedelta(minutes=2)


def test_pod_that_cannot_get_its_image_is_told() -> None:
    old = pod(waiting("ContainerCreating"), phase="Pending")
    new = pod(waiting("ImagePullBackOff", "not found"), phase="Pending")
    entry = only(modified("Pod", old, new))
    assert (entry.what, entry.reason, entry.exit_code) == (
        What.POD_FAILING,
        "ImagePullBackOff",
        None,
    )
    assert "web:1" in entry.message


def test_pod_that_loses_its_readiness_is_told() -> None:
    entry = only(modified("Pod", pod(ready=True), pod(ready=False)))
    assert (entry.what, entry.before, entry.after) == (What.READINESS, "True", "False")


@pytest.mark.parametrize(
    "starting", [waiting("ContainerCreating"), waiting("PodInitializing"), None]
)
def test_pod_that_starts_is_noise(starting: dict[str, Any] | None) -> None:
    old = pod(phase="Pending")
    new = pod(starting, phase="Pending" if starting else "Running")
    assert told(modified("Pod", old, new)) == []
