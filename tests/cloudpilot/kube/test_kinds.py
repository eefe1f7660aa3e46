"""The table of kinds: addressed as kubectl addresses them, and no two by one name."""

from __future__ import annotations

import pytest

from cloudpilot.kube.kinds import ALWAYS, KINDS, find_kind


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("po", "Pod"),
        ("Pods", "Pod"),
        ("DEPLOY", "Deployment"),
        ("deployments.apps", "Deployment"),
        ("deployment.apps", "Deployment"),
        ("svc", "Service"),
        ("ing", "Ingress"),
        ("vs", "VirtualService"),
        ("virtualservices.networking.istio.io", "VirtualService"),
        ("gateway", "Gateway"),
        ("gw", "Gateway"),
        ("gtw", "Gateway.gateway.networking.k8s.io"),
        ("gateways.gateway.networking.k8s.io", "Gateway.gateway.networking.k8s.io"),
        ("Gateway.gateway.networking.k8s.io", "Gateway.gateway.networking.k8s.io"),
        ("pvc", "PersistentVolumeClaim"),
        ("endpointslices", "EndpointSlice"),
        ("crds", "CustomResourceDefinition"),
    ],
)
def test_kinds_are_found_by_what_kubectl_takes(text: str, name: str) -> None:
    kind = find_kind(text)
    assert kind is not None
    assert kind.name == name


@pytest.mark.parametrize("text", ["", "podz", "deployments.networking.istio.io", "."])
def test_what_names_no_kind_finds_none(text: str) -> None:
    assert find_kind(text) is None


def test_every_kind_is_found_by_its_own_name_and_resource() -> None:
    for name, kind in KINDS.items():
        for text in (name, kind.resource, *kind.short_names):
            assert find_kind(text) is kind, text


def test_no_two_kinds_share_an_address() -> None:
    assert len({(kind.group, kind.plural) for kind in KINDS.values()}) == len(KINDS)


def test_content_of_secrets_and_config_maps_is_never_asked_for() -> None:
    assert KINDS["Secret"].metadata_only
    assert KINDS["ConfigMap"].metadata_only
    assert not any(kind.keeps_body for kind in KINDS.values() if kind.metadata_only)


def test_only_gateways_of_istio_are_written() -> None:
    assert [kind.name for kind in KINDS.values() if kind.writable] == ["Gateway"]


def test_what_is_always_mirrored_is_in_the_table() -> None:
    assert set(ALWAYS) <= set(KINDS)
    assert {"Node", "Namespace", "Pod", "Event"} <= set(ALWAYS)
