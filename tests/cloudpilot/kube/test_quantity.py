"""Quantities against an independent reading of the Kubernetes grammar in exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloudpilot.kube.quantity import (
    cpu_millicores,
    memory_bytes,
    parse_quantity,
)

SUFFIXES = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    **{unit: Fraction(1000**power) for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Fraction(1024**power) for power, unit in enumerate("KMGTPE", start=1)},
}
NUMBERS = st.tuples(
    st.sampled_from(["", "+", "-"]),
    st.from_regex(r"(?:[0-9]{1,12}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})", fullmatch=True),
).map("".join)


def exact(number: str) -> Fraction:
    """Read a decimal digit by digit, sharing nothing with the code under test."""
    sign = -1 if number.startswith("-") else 1
    whole, _, rest = number.lstrip("+-").partition(".")
    return sign * Fraction(int((whole + rest) or "0"), 10 ** len(rest))


@example("10000000001", "Ei")
@given(NUMBERS, st.sampled_from(sorted(SUFFIXES)))
def test_every_suffix_is_exact(number: str, suffix: str) -> None:
    value = exact(number) * SUFFIXES[suffix]
    assert Fraction(parse_quantity(number + suffix)) == value
    assert memory_bytes(number + suffix) == math.ceil(value)
    assert cpu_millicores(number + suffix) == math.ceil(value * 1000)


@given(NUMBERS, st.sampled_from("eE"), st.integers(-18, 18), st.booleans())
def test_exponents_are_exact(number: str, letter: str, exponent: int, plus: bool) -> None:
    text = f"{number}{letter}{'+' if plus and exponent >= 0 else ''}{exponent}"
    value = exact(number) * Fraction(10) ** exponent
    assert Fraction(parse_quantity(text)) == value
    assert memory_bytes(text) == math.ceil(value)


@given(st.integers(-(2**63), 2**63))
def test_plain_json_numbers_are_read(number: int) -> None:
    assert parse_quantity(number) == number


@given(st.text(max_size=20))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        value = parse_quantity(text)
    except ValueError:
        assert memory_bytes(text) == 0
    else:
        assert value.is_finite()


@pytest.mark.parametrize(
    ("text", "millicores"),
    [("1", 1000), ("100m", 100), ("0.1m", 1), ("1n", 1), ("0", 0), ("1.5", 1500), ("2e3", 2000000),
     ("1e-4", 1), ("-1", -1000), (2, 2000), (0.5, 500), ("250000u", 250), (None, 0), ("", 0)],
)  # fmt: skip
def test_cpu_is_rounded_up_to_millicores(text: str | float | None, millicores: int) -> None:
    assert cpu_millicores(text) == millicores


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1Ei", 2**60), ("1Ki", 1024), ("1k", 1000), ("1E", 10**18), ("1e3", 1000), ("1E3", 1000),
     ("1.5Gi", 3 * 2**29), ("100m", 1), ("-1", -1), ("-0.5", 0), ("1e30", 10**30)],
)  # fmt: skip
def test_memory_is_rounded_up_to_bytes(text: str, amount: int) -> None:
    assert memory_bytes(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", "NaN", "nan", "Infinity", "inf", "1ki", "1KI", "1mi", "1K", "1 Gi", "1GiB", "Gi", ".",
     "+", "1.2.3", "1e", "1e3Ki", "1_000", "0x10", "٣", "1e999999999", "9" * 65, "1e31", "--1"],
)  # fmt: skip
def test_nonsense_is_refused_and_counts_nothing(text: str) -> None:
    with pytest.raises(ValueError, match="quantity|range"):
        parse_quantity(text)
    assert memory_bytes(text) == cpu_millicores(text) == 0
