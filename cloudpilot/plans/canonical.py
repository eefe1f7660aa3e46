"""One byte string for one JSON value, so that a digest over it means something.

RFC 8785 with one deliberate difference: a float always shows as one (`1.0`), so that 1, 1.0 and
true stay three values. What two readers could understand differently is refused, not repaired.
"""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
from decimal import Decimal
from typing import Any

from cloudpilot.errors import InvalidArguments

_INT64 = range(-(2**63), 2**63)
_UINT64 = 2**64
_DEEPEST = 64
_PLAIN_CONTROLS = frozenset("\t\n")


def canonical_json(value: Any, where: str = "arguments") -> bytes:
    """Encode a JSON value.

    Raises:
        InvalidArguments: naming the field, for what has no one meaning: lone surrogates, integers
            over 64 bit, NaN and infinity, keys that are no strings, too deep nesting.
    """
    return _encode(value, where, 0).encode("utf-8")


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def refuse_control_characters(value: Any, where: str = "arguments") -> None:
    """Refuse text that shows as something else than it is.

    Raises:
        InvalidArguments: naming the first field with NUL or another control character.
    """
    if isinstance(value, str):
        for character in value:
            if unicodedata.category(character) == "Cc" and character not in _PLAIN_CONTROLS:
                raise InvalidArguments.field(
                    where, f"holds the control character U+{ord(character):04X}"
                )
    elif isinstance(value, dict):
        for key, item in value.items():
            refuse_control_characters(key, where)
            refuse_control_characters(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            refuse_control_characters(item, f"{where}[{index}]")


def _encode(value: Any, where: str, depth: int) -> str:
    if depth > _DEEPEST:
        raise InvalidArguments.field(where, f"is nested deeper than {_DEEPEST} levels")
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _integer(value, where)
    if isinstance(value, float):
        return _float(value, where)
    if isinstance(value, str):
        return _string(value, where)
    if isinstance(value, list | tuple):
        items = (_encode(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value))
        return "[" + ",".join(items) + "]"
    if isinstance(value, dict):
        return _object(value, where, depth)
    raise InvalidArguments.field(where, f"a {type(value).__name__} is not a JSON value")


def _object(value: dict[Any, Any], where: str, depth: int) -> str:
    names = {}
    for key in value:
        if not isinstance(key, str):
            raise InvalidArguments.field(where, "a key is not a string")
        names[key] = _string(key, where)
    # RFC 8785 sorts by UTF-16 code units.
    order = sorted(names, key=lambda key: key.encode("utf-16-be"))
    pairs = (f"{names[key]}:{_encode(value[key], f'{where}.{key}', depth + 1)}" for key in order)
    return "{" + ",".join(pairs) + "}"


def _string(value: str, where: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidArguments.field(where, "holds half of a surrogate pair")
    return json.dumps(value, ensure_ascii=False)


def _integer(value: int, where: str) -> str:
    if value not in _INT64 and not 0 <= value < _UINT64:
        raise InvalidArguments.field(where, "is an integer over 64 bit")
    return str(value)


def _float(value: float, where: str) -> str:
    if not math.isfinite(value):
        raise InvalidArguments.field(where, "is not a finite number")
    if value == 0:
        return "0.0"
    text = _ecmascript(value)
    return text if "." in text or "e" in text else text + ".0"


def _ecmascript(value: float) -> str:
    """Write a float as ECMAScript does: the shortest digits that read back as the same number."""
    parts = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, parts.digits))
    sign = "-" if parts.sign else ""
    point = len(digits) + int(parts.exponent)
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{point - 1:+d}"
