"""One server at a time on a SQLite file: a second one would take over the runs of the first.

The lock belongs to the process and ends with it, however that ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cloudpilot.db.session import database_url
from cloudpilot.errors import SettingsError


@contextmanager
def sole_server(url: str) -> Iterator[None]:
    """Hold the database while the block runs; nothing to hold where it is not a file.

    Raises:
        SettingsError: another server holds it, or its folder cannot be written.
    """
    parsed = database_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        yield
        return
    path = Path(f"{parsed.database}.lock").expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as error:
        raise SettingsError.field("database.url", f"cannot be locked: {error}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError.field(
                "database.url",
                "another CloudPilot server is using this database",
                hint="stop that one, or give this one a database of its own (DATABASE_URL)",
            ) from None
        yield
