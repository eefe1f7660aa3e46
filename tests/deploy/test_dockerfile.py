"""The image's recipe: no container engine is needed to know that its steps fit the tree."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from cloudpilot.errors import SettingsError
from cloudpilot.settings import load_settings
from integrations.terminal import arguments
from tests.contracts.tree import ROOT, SHIPPED, files, named, parsed, python_files
from tests.deploy.manifests import container, one

SECRET = ("config.yaml", "cloudpilot.key", "cloudpilot.db", ".git", ".venv")


def steps() -> list[tuple[str, str]]:
    """Every instruction with its arguments, continuation lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n\s*", " ", text).splitlines() if line]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def values(instruction: str) -> list[str]:
    return [rest for word, rest in steps() if word == instruction]


def copies() -> Iterator[tuple[list[str], str]]:
    """What is copied out of the tree, and where to."""
    for rest in values("COPY"):
        if not rest.startswith("--from"):
            *sources, target = shlex.split(rest)
            yield sources, target


def environment() -> dict[str, str]:
    pairs = (pair for rest in values("ENV") for pair in shlex.split(rest))
    return dict(pair.split("=", 1) for pair in pairs)


def test_every_copied_path_is_in_the_tree_and_in_the_build_context():
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:] for line in patterns if line.startswith("!")}
    copied = {source for sources, _ in copies() for source in sources}
    assert [source for source in copied if not (ROOT / source).exists()] == []
    assert copied == allowed


def test_image_holds_everything_the_program_imports():
    copied = {source for sources, target in copies() for source in sources if "/app" in target}
    assert {*SHIPPED, "main.py"} <= copied


def test_build_context_is_empty_but_for_what_is_named():
    first, *others = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert first == "*"
    assert not {f"!{name}" for name in SECRET} & set(others)


def test_image_runs_as_a_number_that_is_not_root():
    [user] = values("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    pod = one("Deployment")["spec"]["template"]["spec"]["securityContext"]
    assert user == f"{pod['runAsUser']}:{pod['runAsGroup']}"


def test_image_writes_only_to_its_volume():
    [volume] = values("VOLUME")
    given = {**environment(), "CLOUDPILOT_TOKEN": "a-token-of-32-different-letters!"}
    settings = load_settings(environ=given)
    assert settings.database.url == f"sqlite:///{volume}/cloudpilot.db"
    assert settings.database.key_file.parent == Path(volume)
    assert environment()["PYTHONDONTWRITEBYTECODE"] == "1"
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    assert mounts["data"] == volume


def test_command_is_accepted_and_like_the_manifests():
    [command] = values("CMD")
    python, program, *given = json.loads(command)
    assert (python, program) == ("python", "main.py")
    chosen = arguments.overrides(arguments.parse(given))
    assert chosen == {"mode": "instant", "server.host": "0.0.0.0", "server.port": 8001}
    assert values("EXPOSE") == ["8001"]
    assert arguments.overrides(arguments.parse(container()["args"][2:])) == chosen


def test_requirements_are_installed_by_their_hashes():
    [install] = [rest for rest in values("RUN") if "pip install" in rest]
    assert "--require-hashes" in install
    assert "requirements-runtime.lock" in install
    assert sum("pip" in rest for rest in values("RUN")) == 1


def test_health_check_asks_a_probe_that_the_server_has():
    [check] = values("HEALTHCHECK")
    python, flag, code = json.loads(check.partition("CMD ")[2])
    assert (python, flag) == ("python", "-c")
    compile(code, "healthcheck", "exec")
    assert "127.0.0.1:8001/healthz" in code


def test_runtime_lock_covers_every_import_of_what_is_shipped():
    locked = set(re.findall(r"^([a-z0-9.-]+)(?:\[[^]]*])?==", _lock(), flags=re.MULTILINE))
    providers = packages_distributions()
    missing = {
        f"{named(path)}: {module}"
        for path in python_files(*SHIPPED, "main.py")
        for module in _imports(path)
        if module in providers
        if not {re.sub(r"[-_.]+", "-", name).lower() for name in providers[module]} & locked
    }
    assert missing == set()


def test_program_of_the_image_starts_from_what_is_copied(tmp_path: Path):
    copied = {source for sources, target in copies() for source in sources if "/app" in target}
    for path in files():
        name = named(path)
        if name.split("/")[0] in copied:
            target = tmp_path / "app" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    ended = subprocess.run(
        [sys.executable, "main.py", *json.loads(values("CMD")[0])[2:]],
        cwd=tmp_path / "app",
        env={"PATH": os.defpath, "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 78, ended.stderr
    assert "server.token" in ended.stderr


def test_token_is_needed_to_listen_beyond_loopback():
    from api.access import settle_token

    [command] = values("CMD")
    given = arguments.parse(json.loads(command)[2:])
    settings = load_settings(overrides=arguments.overrides(given), environ=environment())
    with pytest.raises(SettingsError, match="server.token"):
        settle_token(settings)


def _lock() -> str:
    return (ROOT / "requirements-runtime.lock").read_text()


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found
