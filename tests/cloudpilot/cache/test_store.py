"""The store against a plain dict: any sequence of changes, told completely and in order."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cloudpilot.cache.store import Key, Store
from cloudpilot.kube.objects.meta import KubeObject, Metadata

NAMES = st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from("xyz"))
VERSIONS = st.integers(0, 4).map(lambda n: str(n) if n else "")


def an_object(key: Key, version: str) -> KubeObject:
    return KubeObject(Metadata(name=key[1], namespace=key[0], resource_version=version))


class StoreMachine(RuleBasedStateMachine):
    """`told` is what a listener knows who only ever hears the differences."""

    @initialize()
    def start(self) -> None:
        self.store: Store[KubeObject] = Store()
        self.model: dict[Key, KubeObject] = {}
        self.told: dict[Key, KubeObject] = {}

    @rule(key=NAMES, version=VERSIONS)
    def upsert(self, key: Key, version: str) -> None:
        obj = an_object(key, version)
        assert self.store.upsert(obj) is self.model.get(key)
        self.model[key] = self.told[key] = obj

    @rule(key=NAMES)
    def remove(self, key: Key) -> None:
        assert self.store.remove(key) is self.model.pop(key, None)
        self.told.pop(key, None)

    @rule(keys=st.lists(st.tuples(NAMES, VERSIONS), max_size=6))
    def replace(self, keys: list[tuple[Key, str]]) -> None:
        objects = [an_object(key, version) for key, version in keys]
        for old, new in self.store.replace(objects):
            key = (old or new).metadata.namespace, (old or new).metadata.name  # type: ignore[union-attr]
            assert (old is None) is (key not in self.told)
            if new is None:
                del self.told[key]
            else:
                self.told[key] = new
        self.model = {(obj.namespace, obj.name): obj for obj in objects}

    @invariant()
    def same_as_the_model(self) -> None:
        assert len(self.store) == len(self.model)
        assert list(self.store.list()) == [self.model[key] for key in sorted(self.model)]
        assert sorted(map(id, self.store)) == sorted(map(id, self.model.values()))
        for namespace in ("", "a", "b", "c"):
            mine = [self.model[key] for key in sorted(self.model) if key[0] == namespace]
            assert list(self.store.list(namespace)) == mine
            assert self.store.count(namespace) == len(mine)
        for key, obj in self.model.items():
            assert self.store.get(*key) is obj
        assert self.told == self.model


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


def test_object_listed_twice_is_told_once() -> None:
    store: Store[KubeObject] = Store()
    first, second = an_object(("a", "x"), "1"), an_object(("a", "x"), "2")
    assert list(store.replace([first, second])) == [(None, second)]
    assert len(store) == 1


def test_asking_for_what_is_not_there_changes_nothing() -> None:
    store: Store[KubeObject] = Store()
    assert store.get("a", "x") is None
    assert store.remove(("a", "x")) is None
    assert list(store.list("a")) == list(store.list()) == []


def test_other_content_under_the_same_version_is_told() -> None:
    store: Store[KubeObject] = Store()
    before, after = an_object(("a", "x"), "1"), an_object(("a", "x"), "1")
    after.metadata.labels = {"restored": "from a backup"}
    store.upsert(before)
    assert list(store.replace([after])) == [(before, after)]
    assert list(store.replace([after])) == []
