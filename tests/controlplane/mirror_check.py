"""Compares a mirror with its API server, object by object.

The server's side comes by a client of the test bed, so that nothing but the projection is shared
with what is checked: a mirror that lost, kept or misread anything is told apart.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import httpx
import msgspec

from cloudpilot.cache.informer import Informer
from cloudpilot.cache.reflector import SyncStatus
from cloudpilot.kube.kinds import KINDS, Kind
from cloudpilot.kube.objects.meta import KubeObject
from tests.controlplane.api import Api, ApiError

METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_MOST_NAMED = 20
_MOST_TOLD = 400
_BARE = ("apiVersion", "kind", "metadata", "status")

Key = tuple[str, str]


class Mirrored(Protocol):
    """A mirror, or a dictionary of some informers."""

    def __iter__(self) -> Iterator[str]: ...

    def __getitem__(self, kind: str, /) -> Informer[Any]: ...


class _RawList(msgspec.Struct):
    items: list[msgspec.Raw] | None = None


async def assert_mirrors(mirror: Mirrored, api: Api, within_seconds: float = 60.0) -> None:
    """Wait until every started kind equals the server's; fail naming what differs at the end."""
    deadline = time.monotonic() + within_seconds
    while found := await differences(mirror, api):
        if time.monotonic() > deadline:
            shown = "\n".join(text[:_MOST_TOLD] for text in found[:_MOST_NAMED])
            raise AssertionError(f"{len(found)} differences after {within_seconds} s:\n{shown}")
        await asyncio.sleep(0.1)


async def differences(mirror: Mirrored, api: Api) -> list[str]:
    """Return every difference between the mirror and the server now, in words."""
    found = []
    for name in mirror:
        try:
            found += await _differences_of(mirror, api, KINDS[name])
        except (httpx.TransportError, ApiError) as error:
            found.append(f"{name}: the server cannot be asked: {error!r}")
    return found


async def _differences_of(mirror: Mirrored, api: Api, kind: Kind) -> list[str]:
    path = await _path(api, kind)
    listed = [] if path is None else await _listed(api, kind, path)
    informer = mirror[kind.name]
    status = informer.state.status
    expected = [SyncStatus.NOT_INSTALLED] if path is None else [SyncStatus.LIVE, SyncStatus.POLLING]
    if status not in expected:
        return [f"{kind.name}: {status.value} ({informer.state.reason})"]
    decoder = msgspec.json.Decoder(kind.projection)
    wanted = {_key(obj): (obj, raw) for raw in listed for obj in [decoder.decode(raw)]}
    mirrored = {_key(obj): obj for obj in informer.list()}
    found = [f"{kind.name} {key}: missing" for key in wanted.keys() - mirrored.keys()]
    found += [f"{kind.name} {key}: a ghost" for key in mirrored.keys() - wanted.keys()]
    for key in wanted.keys() & mirrored.keys():
        obj, raw = wanted[key]
        found += [f"{kind.name} {key}: {text}" for text in _compare(kind, mirrored[key], obj, raw)]
    return found


async def _path(api: Api, kind: Kind) -> str | None:
    """Return the path of a kind in the version that CloudPilot prefers of those served."""
    for version in kind.versions:
        root = f"/apis/{kind.group}/{version}" if kind.group else f"/api/{version}"
        try:
            resources = (await api.get(root))["resources"]
        except ApiError as error:
            if error.status != 404:
                raise
            continue
        if any(resource["name"] == kind.plural for resource in resources):
            return f"{root}/{kind.plural}"
    return None


async def _listed(api: Api, kind: Kind, path: str) -> Sequence[msgspec.Raw]:
    headers = {"Accept": METADATA_LIST} if kind.metadata_only else {}
    answer = await api.request("GET", path, headers=headers)
    return msgspec.json.decode(answer.content, type=_RawList).items or []


def _key(obj: KubeObject) -> Key:
    return obj.namespace, obj.name


def _compare(kind: Kind, mirrored: KubeObject, wanted: KubeObject, raw: msgspec.Raw) -> list[str]:
    found = []
    for name in ("uid", "resource_version"):
        ours, theirs = getattr(mirrored.metadata, name), getattr(wanted.metadata, name)
        if ours != theirs:
            found.append(f"{name} is {ours}, the server has {theirs}")
    if not found:
        found = [
            f"{name} differs: {getattr(mirrored, name)!r}, the server has {getattr(wanted, name)!r}"
            for name in wanted.__struct_fields__
            if name != "body" and getattr(mirrored, name) != getattr(wanted, name)
        ]
    if kind.keeps_body and not found:
        held = {k: v for k, v in msgspec.json.decode(raw).items() if k not in _BARE}
        if msgspec.json.decode(mirrored.body or b"null") != held:
            found.append(f"body is {mirrored.body[:200]!r}, the server has {held!r}")
    return found
