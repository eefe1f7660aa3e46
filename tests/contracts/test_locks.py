"""The two locks: complete, hashed, in step with pyproject.toml, naming no place to fetch from."""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable

import pytest

from tests.contracts.tree import ROOT

EVERYTHING = ROOT / "requirements.lock"
RUNTIME = ROOT / "requirements-runtime.lock"
_PIN = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9.-]*)(?:\[[^]]*])?==(?P<version>[^ ;\\]+)", re.MULTILINE
)
_COPYLEFT = re.compile(r"\bA?GPL|GNU (Affero )?General Public|Server Side Public")


@pytest.mark.parametrize("lock", [EVERYTHING, RUNTIME], ids=lambda path: path.name)
def test_every_requirement_is_pinned_and_hashed(lock):
    text = lock.read_text()
    entries = re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", text, flags=re.MULTILINE).strip())
    assert entries
    assert [entry for entry in entries if not _PIN.match(entry)] == []
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", [EVERYTHING, RUNTIME], ids=lambda path: path.name)
def test_lock_names_no_place_to_fetch_from(lock):
    text = lock.read_text()
    assert "://" not in text
    assert re.findall(r"^-.*", text, flags=re.MULTILINE) == []


def test_locks_hold_what_pyproject_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    runtime = _names(project["project"]["dependencies"])
    dev = _names(project["dependency-groups"]["dev"])
    assert runtime - set(_pins(RUNTIME)) == set()
    assert (runtime | dev) - set(_pins(EVERYTHING)) == set()
    assert (dev - runtime) & {"pytest", "mypy", "ruff"} & set(_pins(RUNTIME)) == set()


def test_runtime_lock_is_a_part_of_the_whole_one():
    everything = _pins(EVERYTHING)
    assert {n: v for n, v in _pins(RUNTIME).items() if everything.get(n) != v} == {}


def test_installed_is_what_is_locked():
    installed = {_normal(d.name): d.version for d in importlib.metadata.distributions()}
    pins = _pins(EVERYTHING)
    assert {n: v for n, v in installed.items() if n in pins and v != pins[n]} == {}


def test_no_dependency_has_a_licence_that_reaches_into_the_product():
    licences = {name: _licence(name) for name in _pins(RUNTIME) if _is_installed(name)}
    assert [name for name, text in licences.items() if not text] == []
    assert {name: text for name, text in licences.items() if _COPYLEFT.search(text)} == {}


def _pins(lock) -> dict[str, str]:
    return {found["name"]: found["version"] for found in _PIN.finditer(lock.read_text())}


def _names(requirements: Iterable[str]) -> set[str]:
    return {_normal(re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0]) for text in requirements}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    """The lock is for every platform; some of it is not for this one."""
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _licence(name: str) -> str:
    """What a distribution says of its licence, shortest and surest first."""
    metadata = importlib.metadata.metadata(name)
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    classifiers = metadata.get_all("Classifier") or []
    stated = [text for text in classifiers if text.startswith("License :: ")]
    words = metadata["License"].split("\n\n")[0] if "License" in metadata else ""
    return "; ".join(stated) or words
