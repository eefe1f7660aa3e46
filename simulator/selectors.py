"""Label selectors (equality, sets, existence) and field selectors, as query strings."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.kinds import Kind, Obj
from simulator.status import bad_request

Matcher = Callable[[Obj], bool]

_SET = re.compile(r"^\s*([^\s,()=!]+)\s+(in|notin)\s+\(([^()]*)\)\s*$")
_EQUAL = re.compile(r"^\s*([^\s,()=!<>]+)\s*(==|=|!=|<|>)\s*([^\s,()=!<>]*)\s*$")
_EXISTS = re.compile(r"^\s*(!?)\s*([^\s,()=!<>]+)\s*$")
_KEY = re.compile(
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """A parsed pair of selectors; truthy when it selects anything less than everything."""

    matches: Matcher
    narrows: bool

    def __bool__(self) -> bool:
        return self.narrows


def parse_selection(kind: Kind, labels: str, fields: str) -> Selection:
    """Parse the `labelSelector` and `fieldSelector` of a request.

    Raises:
        ApiError: 400 in the server's words.
    """
    tests = [_label_test(part) for part in _split(labels)]
    tests += _field_tests(kind, fields)
    return Selection(lambda obj: all(test(obj) for test in tests), bool(tests))


def _split(selector: str) -> list[str]:
    if not selector.strip():
        return []
    return re.split(r",(?![^(]*\))", selector)


def _labels(obj: Obj) -> dict[str, str]:
    labels: dict[str, str] = obj["metadata"].get("labels") or {}
    return labels


def _label_test(part: str) -> Matcher:
    if match := _SET.match(part):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda obj: _labels(obj).get(key) in values
        return lambda obj: _labels(obj).get(key) not in values
    if match := _EQUAL.match(part):
        key, operator, value = match.groups()
        _check_key(key)
        _check_value(key, value, operator)
        if operator in ("=", "=="):
            return lambda obj: _labels(obj).get(key) == value
        if operator == "!=":
            return lambda obj: _labels(obj).get(key) != value
        return _number_test(key, operator, value)
    if match := _EXISTS.match(part):
        absent, key = match.groups()
        _check_key(key)
        return lambda obj: (key in _labels(obj)) != bool(absent)
    raise bad_request(f"unable to parse requirement: found '{part}', expected: identifier")


def _number_test(key: str, operator: str, value: str) -> Matcher:
    def test(obj: Obj) -> bool:
        found = _labels(obj).get(key, "")
        if not found.lstrip("-").isdigit() or not value.lstrip("-").isdigit():
            return False
        return int(found) > int(value) if operator == ">" else int(found) < int(value)

    return test


def _check_key(key: str) -> None:
    if not _KEY.match(key):
        raise bad_request(
            f'unable to parse requirement: <nil>: Invalid value: "{key}": name part must consist '
            "of alphanumeric characters, '-', '_' or '.', and must start and end with an "
            "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
            "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
        )


def _check_value(key: str, value: str, operator: str) -> None:
    start = "unable to parse requirement: values[0]"
    if operator in ("<", ">"):
        if not value.lstrip("-").isdigit():
            raise bad_request(
                f"{start}: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be "
                "an integer"
            )
    elif len(value) > 63:
        text = f'{start}[{key}]: Invalid value: "{value}": must be no more than 63 bytes'
        raise bad_request(text)


def _field_tests(kind: Kind, fields: str) -> list[Matcher]:
    tests: list[Matcher] = []
    for part in filter(None, _split(fields)):
        match = re.match(r"^([^=!]+)(==|=|!=)(.*)$", part)
        if match is None:
            raise bad_request(f"invalid selector: '{fields}'; can't understand '{part}'")
        name, operator, value = match.groups()
        if name not in kind.fields:
            raise bad_request(_unknown_field(kind, name))
        tests.append(_field_test(name, value, operator != "!="))
    return tests


def _unknown_field(kind: Kind, name: str) -> str:
    common = [field for field in kind.fields if field.startswith("metadata.")]
    if kind.is_custom or len(common) < len(kind.fields):
        return f"field label not supported: {name}"
    known = '"metadata.name", "metadata.namespace"'
    return f'"{name}" is not a known field selector: only {known}'


def _field_test(name: str, value: str, wanted: bool) -> Matcher:
    return lambda obj: (field_value(obj, name) == value) is wanted


def field_value(obj: Obj, path: str) -> str:
    """Return a field as field selectors see it: absent is empty, booleans are words."""
    value: Any = obj
    if path in ("source", "reportingComponent"):
        return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent", ""))
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if path in ("spec.unschedulable", "spec.hostNetwork"):
        return str(bool(value)).lower()
    return "" if value is None else str(value)
