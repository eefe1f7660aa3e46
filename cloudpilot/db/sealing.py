"""Seals cluster credentials at rest: AES-256-GCM, bound to the cluster and field they belong to.

The key lies in a file of its own outside the database, mode 0600. A sealed value moved to another
row or field does not open.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cloudpilot.errors import SettingsError

_VERSION = b"\x01"
_NONCE = 12
_KEY = 32


class Sealer:
    """Seals and opens short texts with one key."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def from_file(cls, path: Path) -> Sealer:
        """Read the key, making one if there is none.

        Raises:
            SettingsError: the file cannot be read or made, or holds something else.
        """
        path = path.expanduser()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                pass
            else:
                with os.fdopen(handle, "wb") as file:
                    file.write(secrets.token_bytes(_KEY))
            key = path.read_bytes()
        except OSError as error:
            raise SettingsError.field("database.key_file", f"cannot be used: {error}") from None
        if len(key) != _KEY:
            raise SettingsError.field("database.key_file", f"{str(path)!r} is not a key of ours")
        return cls(key)

    def seal(self, text: str, *, cluster: str, field: str) -> bytes:
        """Return the sealed form of a text."""
        nonce = secrets.token_bytes(_NONCE)
        bound = _bound_to(cluster, field)
        return _VERSION + nonce + self._cipher.encrypt(nonce, text.encode(), bound)

    def open(self, sealed: bytes, *, cluster: str, field: str) -> str:
        """Return the text again.

        Raises:
            SettingsError: the key is another one, or the value was moved or changed.
        """
        nonce, data = sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        try:
            if not sealed.startswith(_VERSION):
                raise ValueError("another format")
            return self._cipher.decrypt(nonce, data, _bound_to(cluster, field)).decode()
        except (InvalidTag, ValueError):
            raise SettingsError.field(
                "database.key_file",
                f"does not open the stored credential of cluster {cluster!r}",
                hint="use the key file this database was made with, or register the cluster anew",
            ) from None


def _bound_to(cluster: str, field: str) -> bytes:
    return f"cloudpilot/{cluster}/{field}".encode()
