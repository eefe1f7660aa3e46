"""Who set a field, as managedFields tell it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cloudpilot.kube.differences import Item
from cloudpilot.kube.managed_fields import ManagedFields

IMAGE = ("spec", "template", "spec", "containers", Item("web"), "image")


def entry(manager: str, time: str, fields: dict[str, Any], subresource: str = "") -> dict[str, Any]:
    return {
        "manager": manager,
        "operation": "Update",
        "time": time,
        "subresource": subresource,
        "fieldsV1": fields,
    }


def containers(name: str, *fields: str) -> dict[str, Any]:
    item: dict[str, Any] = {".": {}, **{f"f:{field}": {} for field in fields}}
    key = f"k:{json.dumps({'name': name})}"
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": {key: item}}}}}


def managed(*entries: dict[str, Any]) -> ManagedFields:
    return ManagedFields(json.dumps({"metadata": {"managedFields": list(entries)}}).encode())


def test_owner_of_the_very_field_is_named() -> None:
    found = managed(
        entry("helm", "2026-01-01T10:00:00Z", containers("web", "command", "name")),
        entry("kubectl-set", "2026-01-01T09:00:00Z", containers("web", "image")),
        entry("argocd", "2026-01-01T11:00:00Z", containers("sidecar", "image")),
    ).of(IMAGE)
    assert found is not None
    assert (found.name, found.owns) == ("kubectl-set", True)


def test_last_of_several_owners_is_named() -> None:
    found = managed(
        entry("helm", "2026-01-01T10:00:00Z", containers("web", "image")),
        entry("kubectl-set", "2026-01-01T12:00:00Z", containers("web", "image")),
    ).of(IMAGE)
    assert found is not None
    assert found.name == "kubectl-set"


def test_owner_of_an_atomic_list_owns_what_is_in_it() -> None:
    servers = entry("istioctl", "2026-01-01T10:00:00Z", {"f:spec": {"f:servers": {}}})
    other = entry("kubectl", "2026-01-01T11:00:00Z", {"f:metadata": {"f:labels": {"f:a": {}}}})
    found = managed(servers, other).of(("spec", "servers", Item("https"), "hosts"))
    assert found is not None
    assert (found.name, found.owns) == ("istioctl", True)


def test_nearest_manager_stands_in_for_an_unknown_owner() -> None:
    found = managed(
        entry("helm", "2026-01-01T10:00:00Z", containers("web", "command")),
        entry("kubectl", "2026-01-01T11:00:00Z", {"f:metadata": {"f:labels": {}}}),
    ).of(IMAGE)
    assert found is not None
    assert (found.name, found.owns) == ("helm", False)


def test_writers_of_the_status_do_not_count() -> None:
    status: dict[str, Any] = {"f:status": {"f:replicas": {}}}
    found = managed(entry("kube-controller-manager", "2026-01-01T10:00:00Z", status, "status"))
    assert found.newest() is None
    assert found.of(IMAGE) is None


@pytest.mark.parametrize(
    "raw",
    [
        None,
        b"",
        b"nonsense",
        b"[]",
        b"{}",
        b'{"metadata": {"managedFields": null}}',
        b'{"metadata": {"managedFields": [{"fieldsV1": null}]}}',
        b'{"metadata": {"managedFields": [{"manager": "x", "fieldsV1": {"f:spec": 7}}]}}',
        b'{"metadata": {"managedFields": [{"manager": "x", "fieldsV1": {"k:{": {}}}]}}',
    ],
)
def test_odd_bookkeeping_owns_nothing(raw: bytes | None) -> None:
    found = ManagedFields(raw).of(IMAGE)
    assert found is None or not found.owns


def test_leader_election_is_recognised() -> None:
    annotations: dict[str, Any] = {"f:control-plane.alpha.kubernetes.io/leader": {}}
    leader = {"f:metadata": {"f:annotations": annotations}}
    assert managed(entry("controller", "2026-01-01T10:00:00Z", leader)).only_elects()
    assert not managed(entry("kubectl", "2026-01-01T10:00:00Z", {"f:data": {}})).only_elects()
