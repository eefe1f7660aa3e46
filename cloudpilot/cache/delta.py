"""What a handler is told: one difference between what the mirror held and what it holds now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from cloudpilot.kube.kinds import Kind


@dataclass(frozen=True, slots=True)
class Delta:
    """An object before and after."""

    kind: Kind
    old: Any
    """A projection of the kind; None for an object that was not there."""
    new: Any
    """A projection of the kind; None for an object that is gone."""
    raw: msgspec.Raw | None = None
    """The object as the server sent it, where that is at hand. Valid only during the call: copy
    what is to be kept."""
    is_in_initial_list: bool = False
    """Whether the kind is being seen for the first time, so that nothing changed: it was there."""
    is_withdrawn: bool = False
    """Whether the kind may no longer be read: the object is out of sight, not known to be gone."""


Handler = Callable[[Delta], None]
"""Must be quick and must not raise: long work belongs in a queue."""
