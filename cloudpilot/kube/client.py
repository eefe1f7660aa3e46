"""The thin client: the kinds CloudPilot knows, over the REST client, in the served versions.

Reads and writes single objects and says under which path a kind is listed and watched. Nothing of
the official package's typed models is used: objects are plain dicts here, structs in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from cloudpilot.kube.discovery import Discovery
from cloudpilot.kube.guard import METADATA, METADATA_LIST
from cloudpilot.kube.kinds import Kind
from cloudpilot.kube.rest import JSON, RESTClient, decode

__all__ = ["JSON", "METADATA", "METADATA_LIST", "KubeClient", "WriteResult", "decode"]

FIELD_MANAGER = "cloudpilot"
MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What the API server made of a write, or would make of it in a dry run."""

    object: dict[str, Any]
    warnings: list[str]


class KubeClient(RESTClient):
    """Reads and writes objects of one cluster.

    Promises what the REST client promises. A kind is addressed in the preferred of our versions
    that the cluster serves.
    """

    async def get(self, kind: Kind, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Return one object as the server has it now.

        Raises:
            NotFound: there is none, or its kind is not served.
        """
        path = await self.path(kind, namespace, name)
        return decode(await self.request("GET", path))

    async def list_objects(self, kind: Kind, namespace: str | None = None) -> list[dict[str, Any]]:
        """Return all objects of a kind as the server has them now; for small kinds."""
        path = await self.path(kind, namespace)
        items: list[dict[str, Any]] = decode(await self.request("GET", path)).get("items") or []
        return items

    async def create(
        self, kind: Kind, obj: dict[str, Any], namespace: str | None, *, dry_run: bool = False
    ) -> WriteResult:
        """Create an object, refusing fields that the cluster does not know."""
        path = await self.path(kind, namespace)
        body = {**obj, "apiVersion": await self._api_version(kind), "kind": kind.kind}
        return await self._write("POST", path, body, JSON, dry_run)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        patch: dict[str, Any],
        *,
        dry_run: bool = False,
    ) -> WriteResult:
        """Apply a JSON merge patch; `metadata.resourceVersion` in it makes it conditional."""
        path = await self.path(kind, namespace, name)
        return await self._write("PATCH", path, patch, MERGE_PATCH, dry_run)

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str | None,
        *,
        uid: str,
        resource_version: str | None = None,
        dry_run: bool = False,
    ) -> WriteResult:
        """Delete exactly the object of this UID (and resourceVersion)."""
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": "Background",
        }
        if dry_run:
            # The API server ignores the query of a delete that has a body.
            body["dryRun"] = ["All"]
        path = await self.path(kind, namespace, name)
        return await self._write("DELETE", path, body, JSON, dry_run)

    async def path(self, kind: Kind, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of a collection or an object, in the version the cluster serves."""
        parts = [await self._base(kind)]
        if kind.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(kind.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        return "/".join(parts)

    def forget_version(self, kind: Kind) -> None:
        """Ask the cluster again which version of a kind it serves: a path of it was not found."""
        self._discovery.forget(kind.group)

    async def kube_system_uid(self) -> str:
        """Return the UID of the kube-system namespace: the identity of the cluster."""
        answer = decode(await self.request("GET", "/api/v1/namespaces/kube-system"))
        return str(answer["metadata"]["uid"])

    async def _write(
        self, method: str, path: str, body: Any, content_type: str, dry_run: bool
    ) -> WriteResult:
        query: dict[str, str] = {}
        if method != "DELETE":
            query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        response = await self.request(
            method, path, query=query, body=body, content_type=content_type
        )
        return WriteResult(decode(response), response.warnings)

    async def _base(self, kind: Kind) -> str:
        if not kind.group:
            return "/api/v1"
        if len(kind.versions) == 1:
            return f"/apis/{kind.group}/{kind.versions[0]}"
        return f"/apis/{await self._api_version(kind)}"

    async def _api_version(self, kind: Kind) -> str:
        if not kind.group:
            return "v1"
        return f"{kind.group}/{await self._discovery.version(kind)}"

    @cached_property
    def _discovery(self) -> Discovery:
        return Discovery(self._fetch)

    async def _fetch(self, path: str) -> dict[str, Any]:
        return decode(await self.request("GET", path))
