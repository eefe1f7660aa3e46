"""Nothing that people or models use is without its words: operations, toolsets, settings."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

import tools
from cloudpilot import config_example
from cloudpilot.operation import Operation, Toolset
from cloudpilot.settings import Settings, load_settings
from tests.contracts.reference import CONFIG, meaning, operations
from tests.contracts.tree import ROOT

LONGEST_SUMMARY = 100
TOOLSETS = sorted(module.name for module in pkgutil.iter_modules(tools.__path__))


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
def test_operation_says_what_it_does_in_its_first_line(operation: Operation):
    assert 10 < len(operation.summary) <= LONGEST_SUMMARY
    assert operation.summary.endswith(".")


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.name)
def test_every_argument_of_an_operation_is_described(operation: Operation):
    schema = operation.params.model_json_schema()
    silent = [
        name
        for name, shape in schema.get("properties", {}).items()
        if not meaning(shape, schema.get("$defs", {}))
    ]
    assert silent == []


@pytest.mark.parametrize("name", TOOLSETS)
def test_module_of_tools_has_a_toolset_and_a_test(name: str):
    toolset = import_module(f"tools.{name}").toolset
    assert isinstance(toolset, Toolset)
    assert toolset.name == name
    assert toolset.operations
    assert (ROOT / "tests" / "tools" / f"test_{name}.py").is_file()


def test_every_setting_says_what_it_means():
    assert [key for key, text in _settings(Settings) if not text] == []


def test_config_example_changes_nothing_as_it_is():
    assert yaml.safe_load(CONFIG.read_text()) is None


def test_config_example_uncommented_is_the_default_configuration(tmp_path: Path):
    path = tmp_path / "config.yaml"
    path.write_text("".join(_uncommented(CONFIG.read_text())))
    given = yaml.safe_load(path.read_text())
    assert set(given) == set(Settings.model_fields)
    assert load_settings(config=path, environ={}) == Settings()


def test_variables_named_in_the_config_example_are_read():
    name = config_example.environment_name("agent.run_seconds")
    assert load_settings(environ={name: "7"}).agent.run_seconds == 7
    assert f"# Environment: {name}\n" in CONFIG.read_text()
    assert config_example.environment_name("llm.model") == "LLM_MODEL"


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield prefix + name, inspect.getdoc(inner) or ""
            yield from _settings(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, field.description or ""


def _uncommented(text: str) -> Iterator[str]:
    for line in text.splitlines(keepends=True):
        is_key = line.startswith("#") and not line.startswith(("# ", "#\n"))
        yield line[1:] if is_key or line.startswith("#  ") else line
