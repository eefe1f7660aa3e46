"""The wheel: one top-level name, everything inside it, and a console script that starts."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from cloudpilot import __version__
from tests.contracts.tree import ROOT, SHIPPED, files, named

APPLICATION = "cloudpilot/_app/"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built by the backend itself with what is installed: nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    ended = subprocess.run(
        [*command, "--directory", str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """Every file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    """The wheel as pip would lay it out."""
    folder = wheel.parent / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_wheel_takes_one_name_only(names: set[str]):
    information = f"cloudpilot-{__version__}.dist-info"
    assert {name.split("/")[0] for name in names} == {"cloudpilot", information}


def test_wheel_holds_every_file_of_the_application_and_no_other(names: set[str]):
    tree = [name for name in map(named, files()) if name.split("/")[0] in {*SHIPPED, "main.py"}]
    core = "cloudpilot/"
    expected = {name if name.startswith(core) else APPLICATION + name for name in tree}
    assert {name for name in names if name.startswith(core)} == expected


def test_wheel_declares_the_console_script_and_the_licence(unpacked: Path):
    [info] = unpacked.glob("*.dist-info")
    assert "cloudpilot = cloudpilot.__main__:main" in (info / "entry_points.txt").read_text()
    metadata = (info / "METADATA").read_text()
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert (info / "licenses" / "LICENSE").is_file()


def test_console_script_starts_from_the_wheel(unpacked: Path, tmp_path: Path):
    assert _cloudpilot(unpacked, tmp_path, "--version") == f"cloudpilot {__version__}\n"


def test_wheel_answers_from_the_simulated_cluster(unpacked: Path, tmp_path: Path):
    answer = _cloudpilot(unpacked, tmp_path, "run", "list_clusters", "--demo", "--output", "json")
    assert '"source": "simulated"' in answer


def _cloudpilot(unpacked: Path, folder: Path, *arguments: str) -> str:
    """Run the console script's entry point, with a folder of its own and no checkout in sight."""
    start = "import sys; from cloudpilot.__main__ import main; sys.exit(main())"
    ended = subprocess.run(
        [sys.executable, "-c", start, *arguments],
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(unpacked), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
