"""What the containers of an image do: how they fail, what they log, what they use."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

Fault = Literal["", "pull", "oom", "crash", "unready"]
_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "k": 10**3, "M": 10**6, "G": 10**9}


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rule of one image (a shell pattern over `registry/name:tag`)."""

    image: str
    fault: Fault = ""
    message: str = ""
    """The pull error or the failed probe, in the kubelet's words."""
    needs_memory: str = "0"
    """With fault `oom`: a limit below this gets the container killed."""
    survives_seconds: float = 20.0
    """With fault `oom` or `crash`: how long a container runs before it dies."""
    exit_code: int = 1
    cpu_millicores: int = 10
    memory_mib: int = 48
    starts_with: tuple[str, ...] = ("starting", "ready to serve")
    """The first log lines of a container."""
    repeats: tuple[str, ...] = ("heartbeat ok",)
    """Log lines that come in turn, one every `every_seconds`."""
    every_seconds: float = 5.0
    ends_with: tuple[str, ...] = ()
    """The last log lines before it dies."""


class Behaviours:
    """All rules of a scene; the first pattern that fits an image decides, else it just runs."""

    def __init__(self, rules: Sequence[Behaviour]) -> None:
        self._rules = rules

    def of(self, image: str) -> Behaviour:
        """Return the rule of an image; the tag `missing` is in no registry."""
        if image.endswith(":missing"):
            return Behaviour(image, fault="pull")
        return next((r for r in self._rules if fnmatchcase(image, r.image)), Behaviour(image))


def memory_bytes(quantity: str) -> int:
    """Return a memory quantity as bytes."""
    for suffix, factor in _UNITS.items():
        if quantity.endswith(suffix):
            return int(float(quantity.removesuffix(suffix)) * factor)
    return int(quantity)
