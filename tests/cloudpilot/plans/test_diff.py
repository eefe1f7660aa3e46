from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloudpilot.kube.redact import MASK
from cloudpilot.plans.canonical import canonical_json
from cloudpilot.plans.diff import MARKER, clean, diff, field_hash, leaves, merge_patch, show_path

KEYS = st.sampled_from(["a", "b", "name", "port", "x.y"])
VALUES = st.recursive(
    st.booleans() | st.integers(0, 3) | st.sampled_from(["http", "https", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
)
SPECS = st.fixed_dictionaries({"spec": st.dictionaries(KEYS, VALUES, max_size=4)})


def gateway(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u1",
            "resourceVersion": "7",
            "generation": 2,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "managedFields": [{"manager": "kubectl"}],
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                MARKER: "an-older-plan",
            },
        },
        "spec": spec,
        "status": {"conditions": []},
    }


def server(name: str, *hosts: str) -> dict[str, Any]:
    return {"port": {"name": name, "number": 80, "protocol": "HTTP"}, "hosts": list(hosts)}


@given(SPECS, SPECS)
def test_there_is_a_difference_exactly_if_the_objects_differ(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert bool(diff(before, after)) == (canonical_json(before) != canonical_json(after))


@given(SPECS)
def test_an_object_does_not_differ_from_itself(obj: dict[str, Any]) -> None:
    assert diff(obj, deepcopy(obj)) == []


@given(SPECS, SPECS)
def test_comparing_changes_neither_object(before: dict[str, Any], after: dict[str, Any]) -> None:
    copies = deepcopy((before, after))
    diff(before, after)
    assert (before, after) == copies


@given(SPECS, SPECS)
def test_a_patch_changes_its_leaves_and_nothing_else(
    before: dict[str, Any], patch: dict[str, Any]
) -> None:
    after = merge_patch(before, patch)
    again = merge_patch(after, patch)
    assert canonical_json(again) == canonical_json(after)
    touched = leaves(patch)
    for path in touched:
        if path == ("spec",):
            continue  # an empty patch of a mapping sets nothing
        wanted: Any = patch
        for key in path:
            wanted = wanted[key]
        if wanted != {}:
            assert field_hash(after, path) == field_hash(patch, path)


def test_a_merge_patch_follows_the_standard() -> None:
    before = {"a": "b", "c": {"d": "e", "f": "g"}, "list": [1, 2]}
    assert merge_patch(before, {"a": "z", "c": {"f": None}, "list": [3]}) == {
        "a": "z",
        "c": {"d": "e"},
        "list": [3],
    }
    assert merge_patch({"a": "foo"}, "bar") == "bar"
    assert merge_patch("foo", {"a": {"b": None}}) == {"a": {}}


def test_bookkeeping_of_the_server_is_no_difference() -> None:
    before, after = gateway(selector={"a": "b"}), gateway(selector={"a": "b"})
    after["metadata"] |= {"resourceVersion": "99", "generation": 3, "uid": "u2"}
    after["metadata"]["managedFields"] = []
    after["metadata"]["annotations"] = {MARKER: "this-plan"}
    after["status"] = {"conditions": [{"type": "Ready"}]}
    assert diff(before, after) == []
    assert clean(before) == {"spec": {"selector": {"a": "b"}}}


def test_servers_are_compared_by_the_name_of_their_port() -> None:
    before = gateway(servers=[server("http", "a.example.com")])
    after = gateway(servers=[server("new", "*"), server("http", "a.example.com", "b.example.com")])
    assert {item.path for item in diff(before, after)} == {
        "spec.servers[http].hosts",
        "spec.servers[new].hosts",
        "spec.servers[new].port.name",
        "spec.servers[new].port.number",
        "spec.servers[new].port.protocol",
    }


def test_another_order_of_servers_is_a_difference() -> None:
    one, two = server("one", "a.example.com"), server("two", "b.example.com")
    [change] = diff(gateway(servers=[one, two]), gateway(servers=[two, one]))
    assert (change.path, change.after) == ("spec.servers (order)", ["two", "one"])


def test_a_secret_that_replaces_a_secret_shows_as_a_change_but_not_itself() -> None:
    one, two = "ghp_" + "a" * 36, "ghp_" + "b" * 36
    before, after = gateway(token=one), gateway(token=two)
    before["metadata"]["annotations"]["note"] = f"password: {one}"
    after["metadata"]["annotations"]["note"] = f"password: {two}"
    changes = diff(before, after)
    assert {item.path for item in changes} == {"metadata.annotations.note", "spec.token"}
    assert all(MASK in str(item.before) and MASK in str(item.after) for item in changes)
    assert one not in str(changes)
    assert two not in str(changes)


def test_paths_of_files_with_keys_are_shown() -> None:
    tls = {"mode": "SIMPLE", "privateKey": "/etc/certs/tls.key", "credentialName": "shop-cert"}
    changes = {item.path: item.after for item in diff(gateway(), gateway(tls=tls))}
    assert changes["spec.tls.credentialName"] == "shop-cert"


def test_null_and_missing_are_one_and_keys_with_dots_are_quoted() -> None:
    assert diff(gateway(a=None), gateway()) == []
    assert field_hash({"a": None}, ("a",)) == field_hash({}, ("a",))
    assert show_path(("metadata", "labels", "app.kubernetes.io/name")) == (
        'metadata.labels["app.kubernetes.io/name"]'
    )
