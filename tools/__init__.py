"""What CloudPilot can do: one file a toolset, found by looking in this folder."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module

from cloudpilot.operation import Toolset


def toolsets() -> Sequence[Toolset]:
    """Return the toolset of every module here, in the order of their names."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found: list[Toolset] = [import_module(f"{__name__}.{name}").toolset for name in modules]
    return found
