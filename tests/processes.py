"""Runs the product as a user does: as a process, in an empty folder, with a clean environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

ROOT = Path(__file__).resolve().parents[1]
MAIN = str(ROOT / "main.py")
SECONDS = 60


def environment(**more: str) -> dict[str, str]:
    """Return what a process needs of ours, and what is given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONWARNINGS": "ignore", **more}


def run(
    folder: Path, *arguments: str, stdin: str | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run `main.py` to its end."""
    return subprocess.run(
        [sys.executable, MAIN, *arguments],
        cwd=folder,
        env=environment(**env),
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


class Server:
    """A started server: its process, address, token and the lines it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self.address = ""
        self.token = ""
        self._queue: Queue[str | None] = Queue()
        Thread(target=self._read, daemon=True).start()

    def wait_for_line(self, start: str) -> str:
        """Return the rest of the first line that starts so.

        Raises:
            AssertionError: it did not come in time.
        """
        while True:
            try:
                line = self._queue.get(timeout=SECONDS)
            except Empty:
                raise AssertionError(f"no line {start!r}: {self.lines}") from None
            assert line is not None, f"the server ended: {self.lines}, {self._errors()}"
            self.lines.append(line)
            if line.startswith(start):
                return line.removeprefix(start).strip()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def _errors(self) -> str:
        return self.process.stderr.read() if self.process.stderr else ""


@contextmanager
def serving(folder: Path, *arguments: str, **env: str) -> Iterator[Server]:
    """Start a server on a free port and wait until it has said where it listens."""
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, MAIN, "--port", "0", *arguments],
            cwd=folder,
            env=environment(**env),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        server = Server(process)
        try:
            server.token = server.wait_for_line("token:")
            server.address = server.wait_for_line("address:").partition("/#")[0].rstrip("/")
            yield server
        finally:
            process.kill()
            process.wait(SECONDS)
            assert process.stdout is not None
            process.stdout.close()
