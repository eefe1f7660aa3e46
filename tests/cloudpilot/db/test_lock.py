"""Two servers never share a SQLite file."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloudpilot.db.lock import sole_server
from cloudpilot.errors import SettingsError


def test_a_second_server_on_one_file_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/cloudpilot.db"
    with sole_server(url):
        with pytest.raises(SettingsError, match="another CloudPilot server"), sole_server(url):
            pytest.fail("the lock was given twice")
        with sole_server(f"sqlite:///{tmp_path}/other.db"):
            assert (tmp_path / "other.db.lock").exists()
    with sole_server(url):
        assert (tmp_path / "new" / "cloudpilot.db.lock").exists()


def test_what_is_no_file_needs_no_lock() -> None:
    for url in ("sqlite:///:memory:", "postgresql://localhost/cloudpilot"):
        with sole_server(url), sole_server(url):
            pass
    assert not Path(":memory:.lock").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    url = f"sqlite:///{tmp_path}/file/cloudpilot.db"
    with pytest.raises(SettingsError, match="cannot be locked"), sole_server(url):
        pytest.fail("there is no such folder")
