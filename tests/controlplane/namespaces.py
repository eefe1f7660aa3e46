"""Namespaces that come and go quickly.

The namespace controller leaves a deleted namespace alone for five seconds before it empties it;
here its content is deleted at once, so that no test sees what the one before left behind.
"""

import asyncio

from tests.controlplane.api import Api, ApiError

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
AT_ONCE: dict[str, str | int] = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}


async def create(api: Api, name: str, labels: dict[str, str]) -> None:
    """Create a namespace; pods are refused until its default ServiceAccount is there."""
    metadata = {"name": name, "labels": labels}
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})


async def delete(api: Api, name: str) -> None:
    """Mark the namespace as going, which refuses new objects, and delete what is in it."""
    await api.delete(f"/api/v1/namespaces/{name}")
    collections = await _collections(api)
    async with asyncio.TaskGroup() as group:
        for root, resource in collections:
            group.create_task(_empty(api, f"{root}/namespaces/{name}/{resource}"))


async def is_empty(api: Api, name: str) -> bool:
    """Whether no pod is left: the last to go, because kwok has to agree."""
    return not await api.table(f"/api/v1/namespaces/{name}/pods")


async def _empty(api: Api, path: str) -> None:
    try:
        await api.delete(path, **AT_ONCE)
    except ApiError as error:
        # The namespace, or a kind another test had defined, may be gone before its turn came.
        if error.status != 404:
            raise


async def _collections(api: Api) -> list[tuple[str, str]]:
    """Root path and plural of every namespaced kind that can be deleted as a collection."""
    found = []
    for prefix in ("/api", "/apis"):
        answer = (await api.request("GET", prefix, headers={"Accept": DISCOVERY})).json()
        for group in answer["items"]:
            preferred = group["versions"][0]
            name = group["metadata"].get("name")
            root = "/".join(part for part in (prefix, name, preferred["version"]) if part)
            found += [
                (root, resource["resource"])
                for resource in preferred["resources"]
                if resource["scope"] == "Namespaced" and "deletecollection" in resource["verbs"]
            ]
    return found
