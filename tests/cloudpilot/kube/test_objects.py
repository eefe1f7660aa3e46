"""Projections: what they never hold, what they bear, and what they make of label selectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpilot.kube.kinds import KINDS
from cloudpilot.kube.objects.extension import WebhookConfiguration
from cloudpilot.kube.objects.istio import RequestAuthentication
from cloudpilot.kube.objects.job import CronJob
from cloudpilot.kube.objects.meta import KubeObject
from cloudpilot.kube.objects.pod import EnvVar, Pod
from cloudpilot.kube.objects.rbac import Role
from cloudpilot.kube.objects.selector import LabelSelector, Requirement
from cloudpilot.kube.objects.service import EndpointSlice
from cloudpilot.kube.objects.storage import StorageClass

CANARY = "c4nary"
FORBIDDEN = {
    "args",
    "binaryData",
    "caBundle",
    "command",
    "data",
    "jwks",
    "managedFields",
    "openAPIV3Schema",
    "parameters",
    "schema",
    "stringData",
    "token",
}


def structs(root: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """Every type an object of this type may hold."""
    seen: set[Any] = set()
    waiting: list[Any] = [msgspec.inspect.type_info(root)]
    while waiting:
        info = waiting.pop()
        if isinstance(info, msgspec.inspect.StructType):
            if info.cls not in seen:
                seen.add(info.cls)
                yield info.cls
                waiting += [field.type for field in info.fields]
        elif isinstance(info, msgspec.inspect.UnionType):
            waiting += info.types
        elif isinstance(info, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
            waiting.append(info.item_type)
        elif isinstance(info, msgspec.inspect.DictType):
            waiting.append(info.value_type)


PROJECTIONS = sorted({kind.projection for kind in KINDS.values()}, key=lambda cls: cls.__name__)


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda cls: cls.__name__)
def test_no_projection_names_a_field_that_holds_contents(projection: type[KubeObject]) -> None:
    for cls in structs(projection):
        fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
        assert not FORBIDDEN & fields.keys(), cls
        annotations = fields.get("annotations")
        # Chosen ones by their full names, never all.
        assert annotations is None or issubclass(annotations.type, msgspec.Struct), cls


def test_the_value_of_a_variable_has_no_place() -> None:
    assert [field.encode_name for field in msgspec.structs.fields(EnvVar)] == ["valueFrom"]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda cls: cls.__name__)
def test_a_name_is_all_an_object_needs(projection: type[KubeObject]) -> None:
    obj = msgspec.json.decode(b'{"metadata": {"name": "a"}}', type=projection)
    assert (obj.name, obj.namespace, obj.body) == ("a", "", b"")


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda cls: cls.__name__)
def test_a_projection_encodes_and_decodes_to_itself(projection: type[KubeObject]) -> None:
    obj = msgspec.json.decode(b'{"metadata": {"name": "a"}}', type=projection)
    assert msgspec.json.decode(msgspec.json.encode(obj), type=projection) == obj


@pytest.mark.parametrize(
    ("projection", "sent"),
    [
        (Pod, {"spec": {"containers": [{"name": "a", "env": [{"name": "A", "value": CANARY}]}]}}),
        (Pod, {"spec": {"containers": [{"name": "a", "command": [CANARY], "args": [CANARY]}]}}),
        (CronJob, {"spec": {"jobTemplate": {"metadata": {"annotations": {"a": CANARY}}}}}),
        (WebhookConfiguration, {"webhooks": [{"clientConfig": {"caBundle": CANARY}}]}),
        (StorageClass, {"parameters": {"password": CANARY}, "provisioner": "x"}),
        (RequestAuthentication, {"spec": {"jwtRules": [{"jwks": CANARY}]}}),
        (KubeObject, {"data": {"a": CANARY}, "stringData": {"a": CANARY}}),
    ],
)
def test_contents_are_left_behind(projection: type[KubeObject], sent: dict[str, Any]) -> None:
    metadata = {"name": "a", "annotations": {"a": CANARY}, "managedFields": [{"manager": CANARY}]}
    obj = msgspec.json.decode(json.dumps({"metadata": metadata, **sent}), type=projection)
    assert CANARY not in msgspec.json.encode(obj).decode()


@pytest.mark.parametrize(
    ("projection", "sent"),
    [
        (EndpointSlice, {"endpoints": None, "ports": None}),
        (Role, {"rules": None}),
        (KINDS["HorizontalPodAutoscaler"].projection, {"status": {"currentMetrics": None}}),
        (
            KINDS["CustomResourceDefinition"].projection,
            {"status": {"conditions": None, "storedVersions": None}},
        ),
    ],
)
def test_nulls_that_servers_write_are_decoded_at_the_first_try(
    projection: type[KubeObject], sent: dict[str, Any]
) -> None:
    body = json.dumps({"metadata": {"name": "a", "creationTimestamp": None}, **sent})
    assert msgspec.json.decode(body, type=projection).name == "a"


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))


@given(LABELS, LABELS)
def test_a_plain_selector_matches_labels_that_contain_it(
    wanted: dict[str, str], labels: dict[str, str]
) -> None:
    holds = all(labels.get(key) == value for key, value in wanted.items())
    assert LabelSelector(wanted).matches(labels) is holds


@pytest.mark.parametrize(
    ("operator", "values", "labels", "holds"),
    [
        ("In", ("x", "y"), {"a": "y"}, True),
        ("In", ("x",), {}, False),
        ("NotIn", ("x",), {"a": "x"}, False),
        ("NotIn", ("x",), {}, True),
        ("Exists", (), {"a": ""}, True),
        ("DoesNotExist", (), {"a": ""}, False),
        ("Gt", ("5",), {"a": "6"}, True),
        ("Lt", ("5",), {"a": "6"}, False),
        ("Gt", ("five",), {"a": "6"}, False),
        ("Gt", (), {"a": "6"}, False),
        ("Sometimes", ("x",), {"a": "x"}, False),
    ],
)
def test_an_expression_matches_as_the_api_server_does(
    operator: str, values: tuple[str, ...], labels: dict[str, str], holds: bool
) -> None:
    selector = LabelSelector(match_expressions=(Requirement("a", operator, values),))
    assert selector.matches(labels) is holds
