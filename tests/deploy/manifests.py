"""The shipped manifests, read once for all tests of them."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import yaml

from tests.contracts.tree import ROOT

READER = "kubernetes.yaml"
WRITER = "gateway-writer.yaml"
NAMESPACE = "cloudpilot"
SERVICE_ACCOUNT = "cloudpilot"

Object = dict[str, Any]


@cache
def objects(name: str) -> list[Object]:
    """Every object of a manifest."""
    return list(yaml.safe_load_all((ROOT / "deploy" / name).read_text()))


def one(kind: str, name: str = READER) -> Object:
    """The only object of a kind."""
    [found] = [item for item in objects(name) if item["kind"] == kind]
    return found


def grants(name: str) -> Iterator[tuple[str, str, str]]:
    """Every (group, resource, verb) that the roles of a manifest give."""
    for item in objects(name):
        for rule in item.get("rules", ()):
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        yield group, resource, verb


def container() -> Object:
    """CloudPilot's own container."""
    [found] = one("Deployment")["spec"]["template"]["spec"]["containers"]
    return found
