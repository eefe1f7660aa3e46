"""The one request that changes an object; the dry run sends the very same one."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from cloudpilot.errors import NotFound
from cloudpilot.kube.client import KubeClient, WriteResult
from cloudpilot.kube.kinds import KINDS
from cloudpilot.plans.diff import MARKER


@dataclass(frozen=True, slots=True)
class Write:
    """What is sent, and for which plan."""

    plan_id: str
    verb: str
    kind: str
    namespace: str | None
    name: str
    body: dict[str, Any]

    async def read(self, client: KubeClient) -> dict[str, Any] | None:
        """Return the object as it is now; None if there is none."""
        try:
            return await client.get(KINDS[self.kind], self.name, self.namespace)
        except NotFound:
            return None

    async def send(
        self, client: KubeClient, live: dict[str, Any] | None, *, dry_run: bool = False
    ) -> WriteResult:
        """Send it once, on condition that the object is still the one that was just read."""
        kind = KINDS[self.kind]
        if self.verb == "create":
            return await client.create(kind, self._marked(None), self.namespace, dry_run=dry_run)
        if live is None:
            raise NotFound(f"there is no {self.kind} {self.name}")
        metadata = live["metadata"]
        version = metadata["resourceVersion"]
        if self.verb == "delete":
            return await client.delete(
                kind,
                self.name,
                self.namespace,
                uid=metadata["uid"],
                resource_version=version,
                dry_run=dry_run,
            )
        patch = self._marked(version)
        return await client.patch(kind, self.name, self.namespace, patch, dry_run=dry_run)

    def _marked(self, resource_version: str | None) -> dict[str, Any]:
        body = deepcopy(self.body)
        metadata = body.setdefault("metadata", {})
        metadata["annotations"] = {**(metadata.get("annotations") or {}), MARKER: self.plan_id}
        if resource_version is None:
            metadata |= {"name": self.name, "namespace": self.namespace}
        else:
            metadata["resourceVersion"] = resource_version
        return body


def marker_of(obj: dict[str, Any] | None) -> str | None:
    """Return the plan that wrote this object last, as its annotation says."""
    annotations = ((obj or {}).get("metadata") or {}).get("annotations") or {}
    marker = annotations.get(MARKER)
    return marker if isinstance(marker, str) else None
