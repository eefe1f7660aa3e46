"""The shape of the code: sizes, names, who reads the environment, who may import whom."""

import ast
import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

import tools
from tests.contracts.tree import (
    APPLICATION,
    ROOT,
    SHIPPED,
    functions,
    named,
    parsed,
    python_files,
)

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
VAGUE = {
    "base",
    "common",
    "core",
    "helper",
    "helpers",
    "manager",
    "misc",
    "shared",
    "util",
    "utils",
}
GLOBAL_NAMES = {"app", "client", "engine", "model", "runtime", "session", "settings"}
GLOBAL_MAKERS = {"FastAPI", "Settings", "Starlette", "create_app", "create_engine", "load_settings"}
ENVIRONMENT_READERS = {"environ", "environb", "getenv", "getenvb"}
BREACHES = {
    "tools/planted.py": "import api.app\nimport tools.pods\nimport langchain",
    "tools/another.py": "import simulator.cluster",
    "integrations/planted.py": "import integrations.terminal.output\nimport main",
    "simulator/planted.py": "import cloudpilot.errors",
    "agent/planted.py": "import agent.runs\nimport fastapi\nimport starlette",
    "api/planted.py": "import sqlalchemy\nimport kubernetes",
    "cloudpilot/kube/planted.py": "import cloudpilot.runtime\nimport prometheus_client",
    "agent/runs.py": "import agent.planted",
}
"""Appended to (new) files of a copy of the tree; every contract must notice one of them."""


def test_no_file_is_longer_than_400_lines():
    lengths = {named(path): len(path.read_text().splitlines()) for path in python_files()}
    assert {name: n for name, n in lengths.items() if n > LONGEST_FILE} == {}


def test_no_function_is_longer_than_60_lines():
    lengths = {
        f"{named(path)}:{function.name}": (function.end_lineno or 0) - function.lineno + 1
        for path in python_files()
        for function in functions(path)
    }
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION} == {}


def test_only_the_settings_read_the_environment():
    readers = {
        named(path)
        for path in python_files(*SHIPPED, "main.py")
        if ENVIRONMENT_READERS & _names_of_os(parsed(path))
    }
    assert readers == {"cloudpilot/settings.py"}


def test_nothing_that_lives_is_made_at_import():
    made = [
        f"{named(path)}:{statement.lineno}"
        for path in python_files(*SHIPPED, "main.py")
        for statement in parsed(path).body
        if isinstance(statement, ast.Assign | ast.AnnAssign) and _is_global(statement)
    ]
    assert made == []


def test_no_file_has_a_vague_name():
    vague = [
        named(path)
        for path in python_files()
        if VAGUE & {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}
    ]
    assert vague == []


def test_every_test_folder_is_a_package():
    folders = {path.parent for path in python_files("tests")}
    assert [named(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_no_installed_package_takes_the_name_of_a_folder():
    installed = importlib.metadata.packages_distributions()
    assert {name: installed[name] for name in APPLICATION if name in installed} == {}


def test_the_folder_wins_over_a_package_of_its_name():
    assert Path(tools.__file__ or "").parent == ROOT / "tools"


def test_every_import_contract_notices_a_breach(tmp_path: Path):
    for folder in SHIPPED:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    for name, text in BREACHES.items():
        with (tmp_path / name).open("a") as file:
            file.write(f"\n{text}\n")
    contracts = (ROOT / ".importlinter").read_text()
    (tmp_path / ".importlinter").write_text(contracts.replace("exhaustive = True\n", ""))
    outcome = _lint_imports(tmp_path)
    names = [line.removeprefix("name = ") for line in contracts.splitlines() if "name = " in line]
    assert names
    assert [name for name in names if f"{name} BROKEN" not in outcome] == []


def test_a_new_module_of_the_core_must_be_given_a_layer(tmp_path: Path):
    for folder in SHIPPED:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    (tmp_path / "cloudpilot" / "unlisted.py").touch()
    assert "cloudpilot.unlisted" in _lint_imports(tmp_path)


def _lint_imports(folder: Path) -> str:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    ended = subprocess.run(
        [*command, "--config", ".importlinter"], cwd=folder, capture_output=True, text=True
    )
    assert ended.returncode != 0, ended.stdout
    return ended.stdout


def _names_of_os(tree: ast.Module) -> set[str]:
    """What a file takes out of `os`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {node.attr} if node.value.id == "os" else set()
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            found |= {alias.name for alias in node.names}
    return found


def _is_global(statement: ast.Assign | ast.AnnAssign) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    value = statement.value
    made = value.func if isinstance(value, ast.Call) else None
    maker = made.id if isinstance(made, ast.Name) else ""
    return bool(GLOBAL_NAMES & names) or maker in GLOBAL_MAKERS
