"""What nodes and pods use, as metrics.k8s.io tells it; `kubectl top` reads the same.

The API is served by an add-on (metrics-server), so it may be absent, and it may not be read.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from cloudpilot.errors import ClusterUnavailable
from cloudpilot.kube.client import KubeClient
from cloudpilot.kube.quantity import cpu_millicores, memory_bytes
from cloudpilot.pace import Pace

logger = logging.getLogger(__name__)

API = "/apis/metrics.k8s.io/v1beta1"
_READ_SECONDS = 20.0
_PLAIN = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Usage:
    """What something uses."""

    cpu_millicores: int
    memory_bytes: int


class _Amounts(msgspec.Struct, gc=False):
    cpu: str = "0"
    memory: str = "0"


class _Metadata(msgspec.Struct, gc=False):
    name: str
    namespace: str = ""


class _Container(msgspec.Struct, gc=False):
    usage: _Amounts


class _NodeMetrics(msgspec.Struct, gc=False):
    metadata: _Metadata
    usage: _Amounts


class _PodMetrics(msgspec.Struct, gc=False):
    metadata: _Metadata
    containers: list[_Container] = []


class _RawList(msgspec.Struct):
    items: list[msgspec.Raw] | None = None


T = TypeVar("T", bound=msgspec.Struct)


async def node_usage(client: KubeClient) -> dict[str, Usage]:
    """Return what each node uses, by its name.

    Raises:
        NotFound: the metrics API is not installed.
        CloudPilotError: it may not be read or does not answer.
    """
    items = _items(client, "nodes", _NodeMetrics)
    return {item.metadata.name: _sum([item.usage]) async for item in items}


async def pod_usage(client: KubeClient) -> dict[tuple[str, str], Usage]:
    """Return what each running pod uses, by its namespace and name.

    Raises:
        NotFound: the metrics API is not installed.
        CloudPilotError: it may not be read or does not answer.
    """
    items = _items(client, "pods", _PodMetrics)
    return {
        (item.metadata.namespace, item.metadata.name): _sum([c.usage for c in item.containers])
        async for item in items
    }


async def _items(client: KubeClient, resource: str, shape: type[T]) -> AsyncIterator[T]:
    answer = await client.request("GET", f"{API}/{resource}", read_seconds=_READ_SECONDS)
    try:
        found = msgspec.json.decode(answer.body, type=_RawList).items or []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ClusterUnavailable(f"the metrics API answered unreadable JSON: {error}") from None
    decoder = msgspec.json.Decoder(shape)
    pace = Pace()
    for raw in found:
        await pace.breathe()
        try:
            yield decoder.decode(raw)
        except (msgspec.ValidationError, UnicodeDecodeError) as error:
            logger.debug("skipped unreadable metrics of %s: %s", resource, error)


def _sum(amounts: list[_Amounts]) -> Usage:
    """Add up, and round up once: each of many containers may use less than a millicore."""
    nanocores = sum(_nanocores(amount.cpu) for amount in amounts)
    return Usage(-(-nanocores // 1_000_000), sum(_bytes(amount.memory) for amount in amounts))


# Nearly every value is new, so that exact parsing of each would cost far more than the sampling
# itself; these are the two forms that metrics-server writes.


def _nanocores(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if unit == "n" and _PLAIN.fullmatch(number):
        return int(number)
    return cpu_millicores(text) * 1_000_000


def _bytes(text: str) -> int:
    number, unit = text[:-2], text[-2:]
    if unit == "Ki" and _PLAIN.fullmatch(number):
        return int(number) * 1024
    return memory_bytes(text)
