"""The texts the model is given, as Markdown with Jinja placeholders.

Each file begins with a comment that says what it is for. A missing value is an error.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def load(name: str, **values: Any) -> str:
    """Render the prompt of this name.

    Raises:
        jinja2.UndefinedError: a value that the prompt names is missing.
        jinja2.TemplateNotFound: there is no such prompt.
    """
    return _environment().get_template(f"{name}.md").render(**values).strip()


def names() -> list[str]:
    """Return the names of all prompts."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.md"))


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - plain text for a model, never HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )
