"""Which version of a kind a cluster serves: asked once a group, shared by all its kinds."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cloudpilot.errors import NotFound
from cloudpilot.kube.kinds import Kind

_ABSENCE_SECONDS = 1.0
"""How long an absence is believed: enough for the kinds that ask together."""

Fetch = Callable[[str], Awaitable[dict[str, Any]]]


@dataclass(slots=True)
class _Group:
    """What a cluster says it serves of one API group."""

    at: float
    versions: frozenset[str]
    resources: dict[str, frozenset[str]] = field(default_factory=dict)


class Discovery:
    """Finds the preferred of our versions that is served, and remembers it until told to forget."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._groups: dict[str, _Group] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def version(self, kind: Kind) -> str:
        """Return the served version of a kind.

        Raises:
            NotFound: the cluster serves none that we know.
        """
        # Whoever comes while another asks waits for that answer; a caller whose deadline passes
        # takes nobody else with it.
        async with self._locks[kind.group]:
            group = self._groups.get(kind.group)
            found = await self._served(group, kind) if group else None
            if found is None and (group is None or _age(group) > _ABSENCE_SECONDS):
                found = await self._served(await self._ask(kind.group), kind)
        if found is None:
            raise NotFound(
                f"the cluster does not serve {kind.resource}",
                hint="its CustomResourceDefinition is not installed",
            )
        return found

    def forget(self, group: str) -> None:
        """Ask again at the next need; that a whole group is absent is doubted soon anyway."""
        known = self._groups.get(group)
        if known is not None and known.versions:
            del self._groups[group]

    async def _ask(self, name: str) -> _Group:
        group = _Group(time.monotonic(), frozenset())
        try:
            answer = await self._fetch(f"/apis/{name}")
        except NotFound:
            answer = {}
        group.versions = frozenset(item["version"] for item in answer.get("versions") or [])
        self._groups[name] = group
        return group

    async def _served(self, group: _Group, kind: Kind) -> str | None:
        for version in kind.versions:
            if version not in group.versions:
                continue
            if version not in group.resources:
                group.resources[version] = await self._resources(f"/apis/{kind.group}/{version}")
            if kind.plural in group.resources[version]:
                return version
        return None

    async def _resources(self, path: str) -> frozenset[str]:
        try:
            answer = await self._fetch(path)
        except NotFound:  # taken away since the group was asked
            return frozenset()
        return frozenset(item["name"] for item in answer.get("resources") or [])


def _age(group: _Group) -> float:
    return time.monotonic() - group.at
