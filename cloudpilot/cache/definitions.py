"""Custom kinds come and go with their CustomResourceDefinition, without a restart.

Where definitions may not be read nothing here happens, and a kind that is not installed is asked
for again on the reflector's timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from cloudpilot.cache.delta import Delta
from cloudpilot.cache.informer import Informer
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import KINDS, Kind
from cloudpilot.kube.objects.extension import CustomResourceDefinition

# A server's discovery follows a definition some moments later.
_TRIES_AFTER_SECONDS = (0.0, 1.0, 3.0, 9.0)


class Definitions:
    """Tells the informers of custom kinds that their definition came, changed or went.

    Args:
        client: Remembers served versions, and has to forget them.
        peek: Returns a kind's informer if it is started.
        spawn: Runs something in the background.
    """

    def __init__(
        self,
        client: KubeClient,
        *,
        peek: Callable[[str], Informer[Any] | None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._client = client
        self._peek = peek
        self._spawn = spawn
        self._kinds = {kind.resource: kind for kind in KINDS.values() if kind.custom}

    def on_delta(self, delta: Delta) -> None:
        """Follow one definition (a handler of that kind's informer)."""
        kind = self._kinds.get((delta.new or delta.old).metadata.name)
        before, now = served_versions(delta.old), served_versions(delta.new)
        if kind is None or before == now:
            return
        if before:
            self._client.forget_version(kind)
            informer = self._peek(kind.name)
            if informer is not None:
                # Its stream lasts as long as the server wishes; the next one shows what it is now.
                informer.reconnect()
        if now:
            self._spawn(self._follow(kind, changed=bool(before)))

    async def _follow(self, kind: Kind, *, changed: bool) -> None:
        for seconds in _TRIES_AFTER_SECONDS:
            await asyncio.sleep(seconds)
            informer = self._peek(kind.name)
            if informer is not None and informer.state.status is SyncStatus.NOT_INSTALLED:
                self._client.forget_version(kind)
                informer.retry_now()
            elif changed:
                self._client.forget_version(kind)
            else:
                return


def served_versions(definition: CustomResourceDefinition | None) -> frozenset[str]:
    """Return the versions that are served; none before the definition is established."""
    if definition is None:
        return frozenset()
    conditions = definition.status.conditions or ()
    if not any(c.type == "Established" and c.status == "True" for c in conditions):
        return frozenset()
    return frozenset(version.name for version in definition.spec.versions if version.served)
