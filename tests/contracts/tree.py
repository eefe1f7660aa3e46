"""The files of the repository, as the contract tests walk them."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPLICATION = ("agent", "api", "integrations", "prompts", "tools")
"""The top-level packages that a wheel ships inside `cloudpilot/_app`, simulator apart."""
SHIPPED = (*APPLICATION, "cloudpilot", "simulator")


@cache
def files() -> list[Path]:
    """Every file of the repository that is not ignored, new ones included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    paths = (ROOT / name for name in sorted(set(listed.split("\0"))) if name)
    return [path for path in paths if path.is_file()]


def python_files(*folders: str) -> list[Path]:
    """Every Python file, or those of some folders (and `main.py` where it is named)."""
    found = [path for path in files() if path.suffix == ".py"]
    if not folders:
        return found
    return [path for path in found if path.relative_to(ROOT).parts[0] in folders]


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def named(path: Path) -> str:
    """A path as people write it."""
    return path.relative_to(ROOT).as_posix()
