"""Results as the model sees them: fenced, whole or honestly cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import taint
from agent.budget import CHARS_PER_TOKEN, fence, fit, unfence

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=20,
)


def size(data: dict[str, Any]) -> int:
    """Return the characters of the fenced data."""
    return len(fence(data, operation="x"))


def test_a_small_result_is_left_alone() -> None:
    data = {"total": 1, "items": [{"name": "a"}]}
    assert fit(data, 400) is data


def test_a_long_list_says_how_much_is_shown_and_how_to_narrow_it() -> None:
    data = {"total": 2_000, "items": [{"name": f"pod-{n}", "node": "x" * 40} for n in range(2_000)]}
    cut = fit(data, 1_000, ["namespace", "failing"])
    shown = len(cut["items"])
    assert 20 < shown < 100
    assert cut["note"] == [f"items: shown {shown} of 2000; narrow it with namespace, failing"]
    assert size(cut) <= 1_000 * CHARS_PER_TOKEN


def test_long_texts_are_cut_when_lists_are_not_enough() -> None:
    cut = fit({"items": [{"log": "x" * 50_000}]}, 500)
    assert "long texts are cut off" in cut["note"]
    assert size(cut) <= 500 * CHARS_PER_TOKEN


def test_what_cannot_be_cut_is_not_shown_and_says_so() -> None:
    cut = fit({f"key-{n}": n for n in range(5_000)}, 300)
    assert "too large" in cut["note"][0]
    assert size(cut) <= 300 * CHARS_PER_TOKEN


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=30), st.integers(200, 400))
def test_nothing_exceeds_its_budget_or_leaves_its_fence(data: dict[str, Any], tokens: int) -> None:
    text = fence(fit(json.loads(json.dumps(data)), tokens), operation="list_pods")
    assert len(text) <= tokens * CHARS_PER_TOKEN
    assert text.count("<") == 2
    assert unfence(text) is not None


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_what_is_fenced_can_be_read_back(data: dict[str, Any]) -> None:
    assert unfence(fence(data, operation="x")) == data


def test_a_name_cannot_break_out_of_the_fences_label() -> None:
    assert fence({}, cluster='a"><b').startswith('<data cluster="a___b">')


@pytest.mark.parametrize("text", ["", "no fence", "<data>\n[1]\n</data>", "<data>\n{\n</data>"])
def test_text_that_is_no_data_is_none(text: str) -> None:
    assert unfence(text) is None


def test_objects_with_free_text_are_named() -> None:
    pods = {
        "cluster": "demo",
        "items": [
            {"namespace": "shop", "name": "a", "message": "boom"},
            {"namespace": "shop", "name": "b", "message": None},
        ],
    }
    assert taint.objects_with_text("list_pods", pods) == ["pod shop/a"]
    one = {
        "pod": {"namespace": "shop", "name": "a"},
        "containers": [{"name": "app"}],
        "events": [{"message": "x"}],
    }
    assert taint.objects_with_text("get_pod", one) == ["pod shop/a"]
