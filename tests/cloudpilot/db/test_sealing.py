"""Sealing: only the right key, cluster and field open a value, and a bad key file is named."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudpilot.db.sealing import Sealer
from cloudpilot.errors import SettingsError

SEALER = Sealer(b"k" * 32)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_was_sealed_opens_again(text: str) -> None:
    sealed = SEALER.seal(text, cluster="prod", field="token")
    assert SEALER.open(sealed, cluster="prod", field="token") == text


def test_same_text_is_sealed_differently_each_time() -> None:
    assert SEALER.seal("x", cluster="a", field="b") != SEALER.seal("x", cluster="a", field="b")


@pytest.mark.parametrize(("cluster", "field"), [("test", "token"), ("prod", "client_key")])
def test_moved_value_does_not_open(cluster: str, field: str) -> None:
    sealed = SEALER.seal("secret", cluster="prod", field="token")
    with pytest.raises(SettingsError, match=cluster):
        SEALER.open(sealed, cluster=cluster, field=field)


@pytest.mark.parametrize("at", [0, 1, 13, -1])
def test_changed_value_does_not_open(at: int) -> None:
    sealed = bytearray(SEALER.seal("secret", cluster="prod", field="token"))
    sealed[at] ^= 1
    with pytest.raises(SettingsError):
        SEALER.open(bytes(sealed), cluster="prod", field="token")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"x" * 12, b"x" * 200])
def test_nonsense_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SettingsError):
        SEALER.open(sealed, cluster="prod", field="token")


def test_another_key_does_not_open() -> None:
    sealed = SEALER.seal("secret", cluster="prod", field="token")
    with pytest.raises(SettingsError, match="key_file"):
        Sealer(b"x" * 32).open(sealed, cluster="prod", field="token")


def test_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "key"
    sealed = Sealer.from_file(path).seal("secret", cluster="a", field="b")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32
    assert Sealer.from_file(path).open(sealed, cluster="a", field="b") == "secret"


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_file_that_is_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match="not a key"):
        Sealer.from_file(path)
    assert path.read_bytes() == content


def test_folder_in_place_of_the_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"database\.key_file"):
        Sealer.from_file(tmp_path)
