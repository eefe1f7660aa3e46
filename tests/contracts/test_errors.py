"""The map of errors at the head of `cloudpilot/errors.py` is the tree that the code has."""

import builtins
import re
from collections.abc import Iterator

from cloudpilot import errors
from cloudpilot.errors import ApprovalRequired, CloudPilotError

_ENTRY = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>\w+) +(?P<status>[2-5]\d\d)\b")


def test_the_map_shows_every_error_with_its_parent_and_status():
    drawn = {name: (parent, status) for name, parent, status in _drawn()}
    real = {
        error.__name__: (error.__mro__[1].__name__, error.status)
        for error in _tree(CloudPilotError)
        if error is not CloudPilotError
    }
    assert drawn == real | {"CloudPilotError": ("", 500)}


def test_every_error_says_what_it_means():
    assert [error.__name__ for error in _tree(CloudPilotError) if not error.__doc__] == []


def test_only_a_proposed_plan_is_no_failure():
    successes = [error for error in _tree(CloudPilotError) if error.status < 400]
    assert successes == [ApprovalRequired]


def test_no_error_shadows_a_builtin():
    assert [e.__name__ for e in _tree(CloudPilotError) if hasattr(builtins, e.__name__)] == []


def _drawn() -> Iterator[tuple[str, str, int]]:
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if found := _ENTRY.match(line):
            depth = len(found["branch"]) // 4
            del parents[depth:]
            yield found["name"], parents[-1] if parents else "", int(found["status"])
            parents.append(found["name"])


def _tree(root: type[CloudPilotError]) -> Iterator[type[CloudPilotError]]:
    if root.__module__ == errors.__name__:
        yield root
    for child in root.__subclasses__():
        yield from _tree(child)
