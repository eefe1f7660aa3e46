"""What servers send of every kind is decoded without loss, and without what nobody may keep."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from cloudpilot.kube.kinds import KINDS, Kind
from cloudpilot.kube.objects.meta import KubeObject
from tests.contracts.kubernetes_api.server import Obj, Server

CANARY = "c4nary"
NAMESPACED = {"Namespace", "Event"}
"""The namespace comes with the fixture, an event with the first pod."""
SAMPLES = Path(__file__).with_name("samples.yaml").read_text()
METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def samples(namespace: str) -> list[Obj]:
    return list(yaml.safe_load_all(SAMPLES.replace("NAMESPACE", namespace)))


def kind_of(obj: Obj) -> Kind:
    group = obj["apiVersion"].rpartition("/")[0]
    [kind] = [k for k in KINDS.values() if (k.kind, k.group) == (obj["kind"], group)]
    return kind


def collection(obj: Obj) -> str:
    """The path of the collection an object belongs to."""
    kind, version = kind_of(obj), obj["apiVersion"]
    namespace = f"namespaces/{obj['metadata']['namespace']}/" if kind.namespaced else ""
    return f"/{'apis' if kind.group else 'api'}/{version}/{namespace}{kind.plural}"


@pytest.fixture
async def created(server: Server, namespace: str) -> AsyncIterator[dict[str, str]]:
    """The collection of every kind the server serves, with one sample in it."""
    paths: dict[str, str] = {}
    cluster_wide: list[str] = []
    try:
        for obj in samples(namespace):
            path = collection(obj)
            if (await server.http.get(path)).status_code == 404 and kind_of(obj).custom:
                continue
            await server.create(path, obj)
            paths[kind_of(obj).name] = path
            if not kind_of(obj).namespaced:
                cluster_wide.append(f"{path}/{obj['metadata']['name']}")
        yield paths
    finally:
        unbound = {"metadata": {"finalizers": None}}
        await server.patch(f"/api/v1/namespaces/{namespace}/pods/sample", "merge", unbound)
        for path in cluster_wide:
            await server.patch(path, "merge", unbound)
            await server.http.delete(path)


def test_there_is_a_sample_of_every_kind():
    assert {kind_of(obj).name for obj in samples("x")} == set(KINDS) - NAMESPACED


async def test_every_kind_is_decoded_without_loss_of_what_is_named(
    server: Server, created: dict[str, str]
):
    assert set(KINDS) - set(created) - NAMESPACED <= {k.name for k in KINDS.values() if k.custom}
    for name, path in created.items():
        accept = {"Accept": METADATA} if KINDS[name].metadata_only else {}
        answer = await server.http.get(path, headers=accept)
        sent = {item["metadata"]["name"]: item for item in answer.json()["items"]}
        decoded = decode(KINDS[name], answer.content)
        assert sent.keys() == decoded.keys()
        assert [name for name in sent if name.startswith("sample")]
        for key, obj in decoded.items():
            assert lost(sent[key], obj, f"{name} {key}") == []


async def test_no_content_crosses_into_memory(server: Server, created: dict[str, str]):
    for name, path in created.items():
        accept = {"Accept": METADATA} if KINDS[name].metadata_only else {}
        answer = await server.http.get(path, headers=accept)
        for obj in decode(KINDS[name], answer.content).values():
            assert CANARY not in msgspec.json.encode(obj).decode(), name


def decode(kind: Kind, body: bytes) -> dict[str, KubeObject]:
    """Strictly, as the mirror does at first: the tolerant second try is slow."""
    items = json.loads(body)["items"]
    decoded = [msgspec.json.decode(json.dumps(item), type=kind.projection) for item in items]
    return {obj.name: obj for obj in decoded}


def lost(sent: Any, kept: Any, where: str) -> list[str]:
    """The fields that a projection names and that differ from what was sent."""
    if isinstance(kept, msgspec.Struct):
        names = {field.name: field.encode_name for field in msgspec.structs.fields(kept)}
        pairs = [
            (sent[json_name], getattr(kept, name), json_name)
            for name, json_name in names.items()
            if sent.get(json_name) is not None
        ]
        return [found for s, k, name in pairs for found in lost(s, k, f"{where}.{name}")]
    if isinstance(kept, tuple) and len(kept) == len(sent):
        pairs = [(s, k, str(n)) for n, (s, k) in enumerate(zip(sent, kept, strict=True))]
        return [found for s, k, n in pairs for found in lost(s, k, f"{where}[{n}]")]
    if isinstance(kept, dict) and kept.keys() == sent.keys():
        return [found for key in kept for found in lost(sent[key], kept[key], f"{where}.{key}")]
    return [] if kept == sent else [f"{where}: {sent!r} became {kept!r}"]
