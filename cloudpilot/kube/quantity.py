"""Kubernetes quantities: exact numbers from `100m`, `1.5Gi`, `2e3`, `12E` and their kin.

The grammar is that of `k8s.io/apimachinery/pkg/api/resource`: a signed decimal with at most one
suffix, binary (Ki..Ei), decimal (n, u, m, k, M..E) or an exponent (e3, E3).
"""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Context, Decimal
from functools import lru_cache

_FORM = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))"
    r"(?:(?P<binary>[KMGTPE]i)|(?P<exponent>[eE][+-]?\d+)|(?P<decimal>[numkMGTPE]))?",
    re.ASCII,
)
_BINARY = {unit: Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)}
_DECIMAL = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
    "E": Decimal("1e18"),
}
_LONGEST = 64
# Enough digits for the longest number times the largest suffix: nothing is ever rounded.
_EXACT = Context(prec=160)


@lru_cache(maxsize=4096)
def parse_quantity(text: str | int | float) -> Decimal:
    """Return the exact value of a quantity.

    Raises:
        ValueError: it is not a quantity.
    """
    plain = str(text).strip()
    found = _FORM.fullmatch(plain) if len(plain) <= _LONGEST else None
    if found is None:
        raise ValueError(f"{plain[:_LONGEST]!r} is not a quantity")
    number = Decimal(found["number"])
    if found["binary"]:
        return _EXACT.multiply(number, _BINARY[found["binary"][0]])
    if found["decimal"]:
        return _EXACT.multiply(number, _DECIMAL[found["decimal"]])
    if found["exponent"]:
        exponent = int(found["exponent"][1:])
        if abs(exponent) > 30:
            raise ValueError(f"{plain!r} is out of range")
        return number.scaleb(exponent, context=_EXACT)
    return number


def cpu_millicores(text: str | int | float | None) -> int:
    """Return a CPU quantity in millicores, rounded up; 0 for one that cannot be read."""
    return _scaled(text, 1000)


def memory_bytes(text: str | int | float | None) -> int:
    """Return a memory quantity in bytes, rounded up; 0 for one that cannot be read."""
    return _scaled(text, 1)


def _scaled(text: str | int | float | None, factor: int) -> int:
    if text is None or text == "":
        return 0
    try:
        value = _EXACT.multiply(parse_quantity(text), Decimal(factor))
        return int(value.to_integral_value(rounding=ROUND_CEILING, context=_EXACT))
    except (ValueError, ArithmeticError):
        return 0
