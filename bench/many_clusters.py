"""Many clusters on one service, some of them dead: what that costs the others.

Three processes: the service as it is shipped, the clusters (`bench.fleet`), and this one, which
asks. The others' `GET overview` is measured in turns, with all clusters alive and with some cut
off, so that what else the machine does meets both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.processes import ROOT, serving

REQUESTS = 2000
TURNS = 3
SETTLE_SECONDS = 120.0


@dataclass
class Figures:
    """What was measured; times in seconds."""

    alive_p99: list[float] = field(default_factory=list)
    """Of the others' overview while every cluster is alive, one a turn."""
    dead_p99: list[float] = field(default_factory=list)
    """The same while some clusters are dead."""
    noticed: list[float] = field(default_factory=list)
    """From a cluster's death until it is said to be unreachable."""
    healed: list[float] = field(default_factory=list)
    """From its return until it is synced again."""

    @property
    def ratio(self) -> float:
        """How the others' p99 changes when some clusters die."""
        return statistics.median(self.dead_p99) / statistics.median(self.alive_p99)


class Rest:
    """Asks the service over one kept connection."""

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        assert parts.hostname is not None
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def get(self, path: str) -> Any:
        """Return the data at a path."""
        return self._ask("GET", path)

    def post(self, path: str, body: Any) -> Any:
        """Send a body; return the data of the answer."""
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        self._connection.request(method, f"/api/v1{path}", body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return json.loads(content)["data"]

    def states(self) -> dict[str, str]:
        """Return the state of each cluster."""
        return {item["name"]: item["state"] for item in self.get("/clusters")["items"]}


class Fleet:
    """The process of the clusters."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        told = json.loads(self._line())
        self.names = [str(item["name"]) for item in told["clusters"]]
        self.registrations = [item | {"ca_data": told["ca_data"]} for item in told["clusters"]]

    def cut_off(self, positions: Sequence[int]) -> None:
        """Let nothing reach or leave these clusters; all others are back."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, positions)) + "\n")
        self._process.stdin.flush()
        assert self._line() == "ok"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def fleet(clusters: int) -> Iterator[Fleet]:
    """Run the clusters' process."""
    command = [sys.executable, "-m", "bench.fleet", "--clusters", str(clusters)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Fleet(process)
        finally:
            process.kill()


def measure(folder: Path, clusters: int, dead: int, turns: int = TURNS) -> Figures:
    """Register the clusters with a service of their own in this folder, kill some, measure."""
    with (
        fleet(clusters) as played,
        serving(folder, "--mode", "server") as server,
        closing(Rest(server.address, server.token)) as rest,
    ):
        _register(rest, played)
        away = range(clusters - dead, clusters)
        alive, gone = played.names[: clusters - dead], played.names[clusters - dead :]
        figures = Figures()
        _p99(rest, alive)  # the first answers warm up what is measured later
        for _ in range(turns):
            figures.alive_p99.append(_p99(rest, alive))
            played.cut_off(away)
            figures.noticed += _times(rest, gone, "unreachable")
            figures.dead_p99.append(_p99(rest, alive))
            assert {rest.states()[name] for name in alive} == {"synced"}
            played.cut_off([])
            figures.healed += _times(rest, gone, "synced")
        return figures


def _register(rest: Rest, played: Fleet) -> None:
    for registration in played.registrations:
        rest.post("/clusters", registration)
    _until(lambda: set(rest.states().values()) == {"synced"})


def _p99(rest: Rest, names: Sequence[str]) -> float:
    times = []
    for number in range(REQUESTS):
        started = time.perf_counter()
        rest.get(f"/clusters/{names[number % len(names)]}/overview")
        times.append(time.perf_counter() - started)
    return statistics.quantiles(times, n=100)[98]


def _times(rest: Rest, names: Sequence[str], state: str) -> list[float]:
    """Return how long each of these clusters takes to be in a state."""
    started = time.perf_counter()
    found: dict[str, float] = {}

    def all_are() -> bool:
        states = rest.states()
        for name in names:
            if states[name] == state:
                found.setdefault(name, time.perf_counter() - started)
        return found.keys() == set(names)

    _until(all_are)
    return list(found.values())


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SETTLE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def report(figures: Figures, clusters: int, dead: int) -> str:
    """Return the figures as text."""
    before, during = (
        ", ".join(f"{seconds * 1e3:.2f}" for seconds in p99)
        for p99 in (figures.alive_p99, figures.dead_p99)
    )
    return (
        f"{clusters} clusters, {dead} of them cut off in turns; p99 of the others' GET overview "
        f"in ms: {before} with all alive, {during} with {dead} dead: {figures.ratio:.2f}x; "
        f"unreachable after at most {max(figures.noticed):.1f} s, "
        f"synced again after at most {max(figures.healed):.1f} s"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=20)
    parser.add_argument("--dead", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        measured = measure(Path(directory), asked.clusters, asked.dead)
    print(report(measured, asked.clusters, asked.dead))
