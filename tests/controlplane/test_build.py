"""What the builder says where it cannot build, and what counts as built."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane.assets import (
    MANIFESTS,
    PROGRAMS,
    AssetsMissing,
    assets_directory,
    find_assets,
)

ROOT = Path(__file__).parents[2]


def run_builder(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.controlplane.build"],
        cwd=ROOT,
        env={"PATH": "/nonexistent", **environment},
        capture_output=True,
        text=True,
    )


def test_without_go_and_programs_the_builder_says_so_and_exits_with_3(tmp_path: Path) -> None:
    done = run_builder(XDG_CACHE_HOME=str(tmp_path))
    assert done.returncode == 3
    assert "lacks etcd" in done.stdout
    assert "Go is not on PATH" in done.stdout


def test_folder_that_holds_everything_needs_no_go(tmp_path: Path) -> None:
    for name in (*PROGRAMS, *MANIFESTS):
        (tmp_path / name).touch()
    done = run_builder(KUBEBUILDER_ASSETS=str(tmp_path))
    assert done.returncode == 0
    assert f"ready: {tmp_path}" in done.stdout


def test_named_folder_wins_and_what_it_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PROGRAMS:
        (tmp_path / name).touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    assert assets_directory().directory == tmp_path
    with pytest.raises(AssetsMissing, match="lacks istio-crds.yaml"):
        find_assets()
