"""A list, page by page: the next page is made by the server while one is worked on here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

import msgspec

from cloudpilot.cache.backoff import Backoff
from cloudpilot.errors import ClusterUnavailable, NotFound
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.kinds import Kind

PAGE_SIZE = 500
_MOST_PAGES = 2000
_READ_SECONDS = 60.0
_TRIES = 4
_HEAD_START_SECONDS = 0.001
"""Enough for the loop to send the next request before a page is decoded on it."""


class ListMeta(msgspec.Struct, rename="camel", gc=False):
    """The metadata of a list."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class Page(msgspec.Struct):
    """One page; its items are borrowed from the answer's bytes."""

    metadata: ListMeta = msgspec.field(default_factory=ListMeta)
    items: list[msgspec.Raw] | None = None


async def pages(
    client: KubeClient, kind: Kind, accept: str, not_older_than: str = ""
) -> AsyncGenerator[Page, None]:
    """List all objects of a kind.

    Args:
        client: Where to ask.
        kind: What to list, over all namespaces.
        accept: In which form.
        not_older_than: A resourceVersion the list must have reached; empty for the newest.

    Raises:
        ClusterGone: a continue token expired meanwhile; list again.
        ClusterUnavailable: no answer, or one that is no list.
    """
    lister = _Lister(client, kind, accept)
    query: dict[str, str | int] = {"limit": PAGE_SIZE}
    first = dict(query)
    if not_older_than:
        first |= {"resourceVersion": not_older_than, "resourceVersionMatch": "NotOlderThan"}
    body = await lister.fetch(first)
    token = ""
    for _ in range(_MOST_PAGES):
        page = decode_json(body, Page)
        if not page.metadata.resource_version:
            # It is no list of Kubernetes, and cannot be watched.
            raise ClusterUnavailable("the server answered something that is not a Kubernetes list")
        if not page.metadata.continue_:
            yield page
            return
        if page.metadata.continue_ == token:
            break
        token = page.metadata.continue_
        following = asyncio.create_task(lister.fetch_patiently({**query, "continue": token}))
        try:
            await asyncio.sleep(_HEAD_START_SECONDS)
            yield page
            body = await following
        finally:
            following.cancel()
    raise ClusterUnavailable("the server's list never ends")


class _Lister:
    """Fetches pages of one list."""

    def __init__(self, client: KubeClient, kind: Kind, accept: str) -> None:
        self._client = client
        self._kind = kind
        self._accept = accept

    async def fetch(self, query: dict[str, str | int]) -> bytes:
        """Fetch one page."""
        try:
            answer = await self._client.request(
                "GET",
                await self._client.path(self._kind),
                query=query,
                accept=self._accept,
                read_seconds=_READ_SECONDS,
            )
        except NotFound:
            self._client.forget_version(self._kind)
            raise
        return answer.body

    async def fetch_patiently(self, query: dict[str, str | int]) -> bytes:
        """Fetch one page, again if need be: otherwise a list of many pages might never end."""
        backoff = Backoff()
        for _ in range(_TRIES - 1):
            try:
                return await self.fetch(query)
            except ClusterUnavailable as error:
                await asyncio.sleep(max(backoff.next(), error.retry_after_seconds or 0.0))
        return await self.fetch(query)


S = TypeVar("S", bound=msgspec.Struct)


def decode_json(body: bytes | msgspec.Raw, shape: type[S]) -> S:
    """Read JSON of a known shape.

    Raises:
        ClusterUnavailable: it is something else.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ClusterUnavailable(f"the server answered unreadable JSON: {error}") from None
