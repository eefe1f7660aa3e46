"""An object's past: its fields now, less the changes since, are its fields then."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cloudpilot.cache.delta import Delta
from cloudpilot.db.journal_records import Entry
from cloudpilot.journal.changes import changes
from cloudpilot.journal.facts import facts_of, fields_of, rewind
from cloudpilot.kube.kinds import KINDS
from tests.cloudpilot.journal.objects import NOW, mirrored, pod

KIND = KINDS["Deployment"]
NAMES = st.sampled_from(["web", "proxy", "log.shipper"])
VALUES = st.one_of(
    st.text("abc/:.-", min_size=1, max_size=8), st.integers(0, 9), st.booleans(), st.none()
)


@st.composite
def containers(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(NAMES, unique=True, max_size=3))
    fields = st.dictionaries(st.sampled_from(["image", "command", "tty"]), VALUES)
    variables = st.lists(
        st.sampled_from(["MODE", "API_TOKEN", "LEVEL"]), unique=True, max_size=3
    ).flatmap(
        lambda keys: st.tuples(*(st.text("xyz", min_size=1) for _ in keys)).map(
            lambda texts: [{"name": k, "value": t} for k, t in zip(keys, texts, strict=True)]
        )
    )
    return [{**draw(fields), "name": name, "env": draw(variables)} for name in names]


@st.composite
def specs(draw: st.DrawFn) -> dict[str, Any]:
    selectors = st.dictionaries(
        st.sampled_from(["app", "team/x", "a.b"]), st.text("ab", min_size=1)
    )
    ports = st.lists(st.integers(1, 9), max_size=3)
    return {
        "replicas": draw(st.one_of(st.none(), st.integers(0, 5))),
        "selector": draw(st.one_of(st.none(), selectors)),
        "ports": draw(st.one_of(st.none(), ports)),
        "template": {"containers": draw(containers())},
    }


STATES = st.one_of(st.none(), st.tuples(specs(), st.dictionaries(NAMES, st.text("ab", min_size=1))))


def state(found: tuple[dict[str, Any], dict[str, str]] | None) -> Any:
    if found is None:
        return None
    spec, labels = found
    obj = mirrored("Deployment", {"metadata": {"name": "cart", "labels": labels}})
    obj.body = json.dumps({"spec": spec}).encode()
    return obj


def known(obj: Any) -> dict[str, str] | None:
    return None if obj is None else fields_of(facts_of(KIND, obj))


@settings(max_examples=60, deadline=None)
@given(st.lists(STATES, min_size=2, max_size=6))
def test_every_past_state_is_recovered_from_the_last_one(found: list[Any]) -> None:
    history = [state(item) for item in found]
    entries: list[list[Entry]] = [
        changes(Delta(KIND, old, new), NOW) if old or new else []
        for old, new in zip(history, history[1:], strict=False)
    ]
    fields = known(history[-1])
    for past, told in zip(reversed(history[:-1]), reversed(entries), strict=True):
        for entry in reversed(told):
            fields = rewind(fields, entry)
        assert fields == known(past)


def test_restarts_of_a_pod_are_rewound() -> None:
    kind = KINDS["Pod"]
    old, new = mirrored("Pod", pod(restarts=1)), mirrored("Pod", pod(restarts=4))
    fields: dict[str, str] | None = fields_of(facts_of(kind, new))
    for entry in reversed(changes(Delta(kind, old, new), NOW)):
        fields = rewind(fields, entry)
    assert fields == fields_of(facts_of(kind, old))


def test_facts_of_secret_shape_are_masked() -> None:
    variables = [{"name": "API_TOKEN", "value": "canary"}]
    spec = {"template": {"spec": {"containers": [{"name": "web", "env": variables}]}}}
    obj = mirrored("Deployment", {"metadata": {"name": "cart"}, "spec": spec})
    assert "canary" not in str(fields_of(facts_of(KIND, obj)))
