"""One program of the control plane as a child process: started, looked after, killed by its pid."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

TAIL_LINES = 20


class ComponentDied(Exception):
    """A program of the control plane ended by itself; the message ends with its last log lines."""


class Component:
    """A child process with its log file; `suspend` and `kill` let a test play an outage."""

    def __init__(self, name: str, arguments: Sequence[str], directory: Path) -> None:
        self.name = name
        self.log_file = directory / f"{name}.log"
        self._arguments = [*_die_with_parent(), *arguments]
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it was started and not killed."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the program in a session of its own, so that Ctrl-C leaves it to the teardown."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                env={"HOME": str(self._directory)},
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise ComponentDied when the program ended without being killed by us."""
        if self._process is not None and self._process.poll() is not None:
            raise ComponentDied(
                f"{self.name} ended with {self._process.returncode}:\n{self.log_tail()}"
            )

    def log_tail(self) -> str:
        """The last lines it wrote."""
        if not self.log_file.exists():
            return ""
        lines = self.log_file.read_text(errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def suspend(self) -> None:
        """Stop it from running without closing its connections: a hung server."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a suspended program run on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; its data is temporary, so nothing has to be saved."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports that nobody listens on now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for candidate in sockets:
            candidate.bind(("127.0.0.1", 0))
        return [candidate.getsockname()[1] for candidate in sockets]


def _die_with_parent() -> list[str]:
    """Where util-linux is there, the kernel ends the program even after a kill -9 of the tests."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
