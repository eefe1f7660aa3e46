"""What a model, a person and a program see of every operation changes only in a reviewed diff."""

import json
from pathlib import Path

import pytest

from tests.contracts.reference import generated
from tests.contracts.tree import named


@pytest.mark.parametrize("path", generated(), ids=named)
def test_generated_file_is_up_to_date(path: Path):
    assert path.is_file(), "run `make golden docs`"
    assert path.read_text(encoding="utf-8") == generated()[path], "run `make golden docs`"


def test_golden_catalog_tells_one_route_and_name_for_each_operation():
    catalog = [json.loads(text) for path, text in generated().items() if path.suffix == ".json"][0]
    routes = [(item["method"], item["route"]) for item in catalog]
    assert len(set(routes)) == len(routes)
    assert len({item["name"] for item in catalog}) == len(catalog)
