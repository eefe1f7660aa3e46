"""Sharing: what is equal is the same, and what an object says is never changed by it."""

from __future__ import annotations

import copy

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from cloudpilot.cache.sharing import Sharing
from cloudpilot.kube.objects.meta import Condition
from cloudpilot.kube.objects.pod import Pod

WORDS = st.sampled_from(["", "a", "b", "x" * 200])


def pod(name: str, node: str = "node-1", *, owner: str = "rs", since: str = "t1") -> Pod:
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": since}
    return msgspec.convert(
        {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": f"uid of {name}",
                "resourceVersion": since,
                "labels": {"app": "cart"},
                "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": owner}],
            },
            "spec": {
                "nodeName": node,
                "containers": [{"name": "c", "image": f"image of {owner}"}],
            },
            "status": {"phase": "Running", "conditions": [ready, {"type": "Initialized"}]},
        },
        Pod,
    )


def fresh(_namespace: str, _name: str) -> None:
    """Nothing is held."""


def test_pods_of_one_controller_share_what_they_have_in_common() -> None:
    sharing: Sharing[Pod] = Sharing(fresh)
    first, _other, second = (
        sharing.share(each)
        for each in (
            pod("cart-1"),
            pod("web-1", owner="other"),
            pod("cart-2", node="node-2", since="t2"),
        )
    )
    assert second.spec.containers is first.spec.containers
    assert second.metadata.labels is first.metadata.labels
    assert second.metadata.owner_references is first.metadata.owner_references
    assert second.status.conditions[1] is first.status.conditions[1]
    assert second.status.conditions[0] is not first.status.conditions[0]
    assert second.status.conditions[0].type is first.status.conditions[0].type
    assert (second.name, second.spec.node_name) == ("cart-2", "node-2")


def test_state_that_is_held_already_is_not_held_twice() -> None:
    held = pod("cart-1")
    sharing: Sharing[Pod] = Sharing(lambda _namespace, _name: held)
    assert sharing.share(pod("cart-1")) is held
    newer = sharing.share(pod("cart-1", since="t2"))
    assert newer is not held
    assert newer.spec is held.spec
    assert newer.metadata.resource_version == "t2"


def test_strings_that_recur_among_strangers_are_one() -> None:
    sharing: Sharing[Pod] = Sharing(fresh)
    one = sharing.share(pod("a-1", node="-".join(["node", "7"]), owner="a"))
    sharing.share(pod("b-1", node="elsewhere", owner="b"))
    two = sharing.share(pod("c-1", node="-".join(["node", "7"]), owner="c"))
    assert one.spec.node_name is two.spec.node_name


pods = st.builds(
    pod, WORDS, WORDS, owner=st.sampled_from(["", "a", "b"]), since=st.sampled_from(["t1", "t2"])
)


@given(st.lists(pods, max_size=12))
def test_no_object_is_changed_by_sharing(objects: list[Pod]) -> None:
    held: dict[tuple[str, str], Pod] = {}
    sharing: Sharing[Pod] = Sharing(lambda namespace, name: held.get((namespace, name)))
    told = [copy.deepcopy(obj) for obj in objects]
    shared = [sharing.share(obj) for obj in objects]
    for before, after in zip(told, shared, strict=True):
        held[after.namespace, after.name] = after
        assert after == before
    assert shared == told


def test_parts_of_another_length_or_missing_are_their_own() -> None:
    sharing: Sharing[Pod] = Sharing(fresh)
    first = sharing.share(pod("cart-1"))
    more = pod("cart-2")
    more.status.conditions = (*more.status.conditions, Condition("Ready"))
    assert len(sharing.share(more).status.conditions) == 3
    none = pod("cart-3")
    none.status.conditions = ()
    assert sharing.share(none).status.conditions == ()
    assert len(first.status.conditions) == 2
