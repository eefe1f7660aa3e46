from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpilot.errors import InvalidArguments
from cloudpilot.plans.canonical import canonical_json, digest, refuse_control_characters

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


@given(JSON)
def test_what_is_encoded_reads_back_as_the_same_value(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value


@given(st.dictionaries(TEXT, SCALARS))
def test_the_order_of_keys_makes_no_difference(value: dict[str, Any]) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@given(JSON)
def test_a_trip_through_a_database_column_keeps_the_digest(value: Any) -> None:
    assert digest(json.loads(json.dumps(value))) == digest(value)


def test_numbers_are_written_as_the_standard_says() -> None:
    examples = {
        333333333.33333329: "333333333.3333333",
        1e30: "1e+30",
        4.5: "4.5",
        2e-3: "0.002",
        1e-27: "1e-27",
        1e21: "1e+21",
        1e-7: "1e-7",
        123456789012345680000.0: "123456789012345680000.0",
        -1.5e300: "-1.5e+300",
    }
    assert {number: canonical_json(number).decode() for number in examples} == examples


def test_text_is_escaped_as_the_standard_says() -> None:
    assert canonical_json('\u20ac$\x0f\nA\'B"\\"/') == '"€$\\u000f\\nA\'B\\"\\\\\\"/"'.encode()


def test_keys_are_sorted_by_utf16_code_units() -> None:
    value = {"\ufb33": 1, "\U0001f600": 2, "\u20ac": 3, "1": 4, "\r": 5}
    assert list(json.loads(canonical_json(value)).values()) == [5, 4, 3, 2, 1]


def test_one_and_true_and_one_point_zero_are_three_values() -> None:
    assert len({digest(value) for value in (1, 1.0, True, "1")}) == 4


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"hosts": ["ok", "\ud800"]}, "arguments.hosts[1]"),
        ({"\udfff": 1}, "arguments"),
        ({"port": {"number": 2**64}}, "arguments.port.number"),
        ({"port": -(2**63) - 1}, "arguments.port"),
        ({"weight": float("nan")}, "arguments.weight"),
        ({"weight": float("-inf")}, "arguments.weight"),
        ({1: "x"}, "arguments"),
        ({"at": object()}, "arguments.at"),
    ],
)
def test_what_has_no_one_meaning_is_refused_by_field(value: Any, field: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        canonical_json(value)
    assert refused.value.details["fields"][0]["field"] == field


def test_deep_nesting_is_refused_before_it_breaks_the_stack() -> None:
    value: Any = []
    for _ in range(5000):
        value = [value]
    with pytest.raises(InvalidArguments, match="nested deeper"):
        canonical_json(value)


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x7f", "\x85", "\r"])
def test_control_characters_are_refused_by_field(character: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        refuse_control_characters({"servers": [{"hosts": [f"a{character}b"]}]})
    assert refused.value.details["fields"][0]["field"] == "arguments.servers[0].hosts[0]"


def test_a_tab_and_a_line_break_are_plain_text() -> None:
    refuse_control_characters({"text": "a\tb\nc"})
