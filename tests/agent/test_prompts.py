"""Every prompt renders, and says what it must."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jinja2 import UndefinedError

import prompts

VALUES: dict[str, dict[str, Any]] = {
    "system": {"model_calls": 25},
    "context": {"clusters": ["a", "b"], "cluster": "a", "namespace": "shop", "state": "State: ok."},
    "summary": {},
}


def test_no_prompt_is_forgotten_here() -> None:
    assert prompts.names() == sorted(VALUES)


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_prompt_renders_without_its_comment(name: str) -> None:
    text = prompts.load(name, **VALUES[name])
    assert text
    assert "{#" not in text
    assert "{{" not in text


@pytest.mark.parametrize("name", sorted(VALUES))
def test_every_prompt_begins_with_what_it_is_for(name: str) -> None:
    source = Path(prompts.__file__).with_name(f"{name}.md").read_text(encoding="utf-8")
    assert source.startswith("{#")


@pytest.mark.parametrize("name", ["system", "context"])
def test_a_missing_value_is_an_error(name: str) -> None:
    with pytest.raises(UndefinedError):
        prompts.load(name)


def test_the_context_names_what_is_selected() -> None:
    assert prompts.load("context", **VALUES["context"]).splitlines() == [
        "Clusters: a, b.",
        "Selected cluster: a.",
        "Selected namespace: shop.",
        "State: ok.",
    ]


def test_the_system_prompt_holds_the_rules() -> None:
    text = prompts.load("system", model_calls=25)
    for rule in ("with the tools", "cluster and namespace", "evidence", '"written": true', "data"):
        assert rule in text
