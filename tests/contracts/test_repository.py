"""What must, and what must never, lie in the repository."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.contracts.tree import ROOT, SHIPPED, files, named, parsed, python_files

NEEDED = (
    ".ci/run",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Dockerfile",
    "LICENSE",
    "Makefile",
    "README.md",
    "config.example.yaml",
    "deploy/kubernetes.yaml",
)
IGNORED = (
    ".venv/bin/python",
    "cloudpilot.db",
    "cloudpilot.db.checkpoints",
    "cloudpilot.key",
    "config.yaml",
    "dist/cloudpilot.whl",
    "pylock.toml",
    "uv.lock",
)
# Put together here, so that this file does not name what it forbids.
REGISTRIES = re.compile(
    r"|".join(
        [r"pypi\." + "org", "python" + r"hosted\.org", r"proxy\.golang\." + "org"]
        + [r"registry\.npmjs\." + "org", "docker" + r"\.io/", r"sum\.golang\." + "org"]
    )
)
KEY_HEADER = "-----BEGIN " + "%s" + "PRIVATE KEY-----"
BINARY = {".png", ".ico", ".woff2"}
ADR_PARTS = ("## Context", "## Decision", "## Consequences")


def texts() -> dict[str, str]:
    return {
        named(path): path.read_text(encoding="utf-8")
        for path in files()
        if path.suffix not in BINARY
    }


def test_repository_has_what_people_look_for():
    assert [name for name in NEEDED if not (ROOT / name).is_file()] == []
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_no_file_names_a_registry():
    assert [name for name, text in texts().items() if REGISTRIES.search(text)] == []


def test_no_file_names_a_path_of_this_machine():
    # A checkout at, say, /app would find the image's own folder.
    places = [place for place in (ROOT, Path.home()) if len(place.parts) > 2]
    found = re.compile(
        "|".join(rf"(?<![\w.]){re.escape(str(p))}/" for p in (*places, "/" + "root"))
    )
    assert [name for name, text in texts().items() if found.search(text)] == []


def test_no_file_holds_a_whole_private_key():
    kinds = ("", "RSA ", "EC ", "ENCRYPTED ", "OPENSSH ")
    whole = re.compile("|".join(KEY_HEADER % kind + r"\s+[A-Za-z0-9+/]{40}" for kind in kinds))
    assert [name for name, text in texts().items() if whole.search(text)] == []


def test_what_is_made_here_is_never_committed():
    command = ["git", "check-ignore", *IGNORED]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert ended.stdout.split() == list(IGNORED)


def test_script_of_ci_can_run():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], capture_output=True).returncode == 0


def test_every_file_of_tests_asserts_something():
    silent = [
        named(path)
        for path in python_files("tests")
        if path.name.startswith("test_") and not any(map(_asserts, ast.walk(parsed(path))))
    ]
    assert silent == []


def test_no_test_replaces_a_part_of_ours():
    ours = "|".join(SHIPPED)
    patched = re.compile(rf"unittest\.mock|mocker\b|monkeypatch\.setattr\(\s*[\"']?({ours})\b")
    tests = {named(path): path.read_text() for path in python_files("tests")}
    this = named(Path(__file__))
    assert [name for name, text in tests.items() if name != this and patched.search(text)] == []


def test_no_promise_is_left_in_the_code():
    promises = re.compile(r"#\s*(?:TODO|FIXME|XXX|HACK)\b|raise NotImplementedError")
    code = {named(path): path.read_text() for path in python_files()}
    this = named(Path(__file__))
    assert [name for name, text in code.items() if name != this and promises.search(text)] == []


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=named)
def test_decision_has_its_three_parts_on_one_page(path: Path):
    text = path.read_text()
    assert re.match(rf"# {int(path.name[:4])}\. \S", text)
    assert [part for part in ADR_PARTS if part not in text] == []
    assert len(text.splitlines()) <= 60


def test_links_between_pages_lead_somewhere():
    pages = [path for path in files() if path.suffix == ".md"]
    broken = [
        f"{named(page)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert broken == []


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    return isinstance(node, ast.Attribute) and node.attr in {"raises", "fail"}
