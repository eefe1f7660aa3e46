"""Renders `config.example.yaml` from the settings' own docstrings, so that it cannot lie.

Every key is there with its default, commented out: a copy of the file changes nothing until a line
of it is uncommented, and defaults of a later release still apply.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from enum import Enum
from inspect import getdoc
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from cloudpilot.settings import ENVIRONMENT, Settings

_WIDTH = 96
_HEAD = """\
# CloudPilot's configuration: every key, what it means, and its default.
#
# Copy this file to config.yaml and uncomment what you change, together with the name of its
# section: take the first `#` of a line away. CloudPilot reads config.yaml of its working folder, or
# the file that `--config` names. The command line wins over the environment, the environment over
# this file. An unknown key stops the start.
#
# Written by `make docs` from cloudpilot/settings.py.
"""


def render() -> str:
    """Return the whole file."""
    lines = [_HEAD.rstrip()]
    for name, field in Settings.model_fields.items():
        lines += ["", *_top_level(name, field)]
    return "\n".join(lines) + "\n"


def environment_name(key: str) -> str:
    """Return the variable that sets a dotted key."""
    short = next((name for name, target in ENVIRONMENT.items() if target == key), None)
    return short or "CLOUDPILOT_" + key.upper().replace(".", "__")


def _top_level(name: str, field: FieldInfo) -> Iterator[str]:
    section = field.annotation
    if isinstance(section, type) and issubclass(section, BaseModel):
        yield from _comment("# ", getdoc(section) or "")
        yield f"#{name}:"
        for key, inner in section.model_fields.items():
            yield from _key("#  ", f"{name}.{key}", inner)
    else:
        yield from _key("#", name, field)


def _key(indent: str, key: str, field: FieldInfo) -> Iterator[str]:
    text = field.description or ""
    if choices := _choices(field.annotation):
        text += f" One of: {', '.join(choices)}."
    comment = "# " if indent == "#" else f"{indent}# "
    yield from _comment(comment, text)
    variable = environment_name(key)
    if _fits_a_variable(field) and variable not in text:
        yield f"{comment}Environment: {variable}"
    yield indent + _entry(key.rpartition(".")[2], field)


def _choices(annotation: Any) -> list[str]:
    if get_origin(annotation) is Literal:
        return [str(choice) for choice in get_args(annotation)]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [str(member.value) for member in annotation]
    return []


def _fits_a_variable(field: FieldInfo) -> bool:
    """Tell whether one string can hold it: lists and mappings are set in the file."""
    return get_origin(field.annotation) not in (tuple, list, dict)


def _entry(name: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is None:
        return f"{name}:"
    plain = TypeAdapter(Any).dump_python(default, mode="json")
    dumped: str = yaml.safe_dump({name: plain}, width=1000)
    return dumped.strip()


def _comment(prefix: str, text: str) -> Iterator[str]:
    yield from textwrap.wrap(
        " ".join(text.split()), _WIDTH, initial_indent=prefix, subsequent_indent=prefix
    )


if __name__ == "__main__":
    sys.stdout.write(render())
