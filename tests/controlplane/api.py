"""A small HTTPS client of the test API server: paths and plain dicts, nothing of the product.

Tests must see the cluster by other eyes than the code under test, so this shares nothing with it.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx
import yaml

Object = dict[str, Any]

FIELD_MANAGER = "controlplane-tests"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
CONNECTIONS = 32


class ApiError(Exception):
    """The API server refused; `status` is the HTTP status and the message its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Api:
    """Requests of one user, known by a bearer token; without an authority, in plain HTTP."""

    def __init__(self, url: str, token: str, authority: Path | None = None) -> None:
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            verify=ssl.create_default_context(cafile=str(authority)) if authority else True,
            limits=httpx.Limits(max_connections=CONNECTIONS),
            timeout=60.0,
            trust_env=False,
        )
        self._resources: dict[str, dict[str, Object]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send as httpx would; ApiError for every status from 400 on."""
        response = await self._http.request(method, path, **options)
        if response.is_error:
            raise ApiError(response.status_code, _reason(response))
        return response

    async def get(self, path: str, **parameters: str | int) -> Object:
        """The object or list at this path."""
        return (await self.request("GET", path, params=parameters)).json()

    async def text(self, path: str, **parameters: str | int) -> str:
        """The plain text at this path: logs, health, metrics."""
        return (await self.request("GET", path, params=parameters)).text

    async def table(self, path: str, **parameters: str | int) -> list[dict[str, Any]]:
        """The rows kubectl would print, by column name: small where full objects are not."""
        response = await self.request(
            "GET",
            path,
            params={"includeObject": "None", **parameters},
            headers={"Accept": TABLE},
        )
        table = response.json()
        columns = [column["name"] for column in table["columnDefinitions"]]
        return [dict(zip(columns, row["cells"], strict=True)) for row in table["rows"] or []]

    async def create(self, item: Mapping[str, Any]) -> Object:
        """POST the object to the collection of its kind."""
        path = await self.collection_path(item)
        return (await self.request("POST", path, json=item)).json()

    async def apply(self, *items: Mapping[str, Any] | str) -> list[Object]:
        """Server-side apply objects, or every document of YAML text, in the order given."""
        applied = []
        for item in items:
            documents = yaml.safe_load_all(item) if isinstance(item, str) else [item]
            applied += [await self._apply_one(document) for document in documents if document]
        return applied

    async def patch(self, path: str, change: Mapping[str, Any]) -> Object:
        """Merge a change into the object (or its status) at this path."""
        headers = {"Content-Type": "application/merge-patch+json"}
        return (await self.request("PATCH", path, json=change, headers=headers)).json()

    async def delete(self, path: str, **parameters: str | int) -> None:
        """Delete the object, or every object of the collection, at this path."""
        await self.request("DELETE", path, params=parameters)

    async def collection_path(self, item: Mapping[str, Any]) -> str:
        """The path of all objects of the item's kind in the item's namespace."""
        api_version, kind = item["apiVersion"], item["kind"]
        root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        resource = await self._resource(root, kind)
        if not resource["namespaced"]:
            return f"{root}/{resource['name']}"
        namespace = item["metadata"].get("namespace", "default")
        return f"{root}/namespaces/{namespace}/{resource['name']}"

    async def path(self, item: Mapping[str, Any]) -> str:
        """The path of this object."""
        return f"{await self.collection_path(item)}/{item['metadata']['name']}"

    async def _apply_one(self, item: Mapping[str, Any]) -> Object:
        response = await self.request(
            "PATCH",
            await self.path(item),
            json=item,
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        return response.json()

    async def _resource(self, root: str, kind: str) -> Object:
        if kind not in self._resources.get(root, {}):
            listed = (await self.get(root))["resources"]
            # "pods/status" repeats the kind of its parent, "pods/eviction" brings its own.
            self._resources[root] = {r["kind"]: r for r in listed if "/" not in r["name"]}
        return self._resources[root][kind]


def _reason(response: httpx.Response) -> str:
    try:
        return response.json()["message"]
    except (ValueError, KeyError, TypeError):
        return response.text
